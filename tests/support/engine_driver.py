"""A run of an engine in a process of its own, which stands at every stage and can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from lib.config.settings import ROOT
from lib.engines import parquet_result as results

if TYPE_CHECKING:
    from tests.support.servers import Databases

# Says each stage it reaches, and waits there for a line before it goes on.
_DRIVER = """
import json, sys
from importlib import import_module
from pathlib import Path
from lib.config import loader
from tests.support import engine_data

def tell(stage, rows):
    print(stage, flush=True)
    sys.stdin.readline()

if __name__ == "__main__":
    name, values, target = sys.argv[1:]
    settings = loader.from_values(json.loads(values), "teste", {})
    engine = import_module(f"lib.engines.{name}")
    found = engine.run(
        settings, engine_data.request(settings, "card"), Path(target), progress=tell
    )
    print("done", json.dumps(engine_data.digest(found)), flush=True)
"""


class Driver:
    """Another process that runs the engine of this name, stage by stage."""

    def __init__(self, databases: Databases, folder: Path, name: str, **engine: Any) -> None:
        staging = {"workers": 2, "memory_limit": "40 MB", "staging_dir": str(folder / "staging")}
        self.target = folder / "resultado"
        self._told = [name, json.dumps(databases.values | {"engine": staging | engine})]
        self._process: subprocess.Popen[str] | None = None
        self._standing = False

    def start(self) -> None:
        """Begin; the run stands at its first stage."""
        self._standing = False
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _DRIVER, *self._told, str(self.target)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def until(self, stage: str) -> str:
        """Let it go on to this stage and return what it says there."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        while True:
            if self._standing:
                process.stdin.write("\n")
                process.stdin.flush()
            said = process.stdout.readline()
            assert said, f"ended before {stage}"
            self._standing = not said.startswith("done")
            if said.split()[0] == stage:
                return said

    def digest(self) -> dict[str, str]:
        """Let it go on to its end: what it published."""
        found: dict[str, str] = json.loads(self.until("done").removeprefix("done "))
        return found

    def kill(self) -> None:
        """End it with -9, and wait until the processes it started have noticed."""
        if self._process is None:
            return
        with self._process as process:
            if process.poll() is None:
                family = psutil.Process(process.pid).children(recursive=True)
                process.kill()
                _, alive = psutil.wait_procs(family, timeout=10)
                assert alive == []
        self._process = None


def left_behind(folder: Path, found: results.Result) -> list[Any]:
    """Everything that is there and does not belong to the finished result."""
    time.sleep(0.1)
    expected = {found.folder / piece.path for all_ in found.pieces.values() for piece in all_}
    expected.add(found.folder / results.MANIFEST)
    return [path for path in folder.rglob("*") if path.is_file() and path not in expected]
