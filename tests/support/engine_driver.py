"""A run of an engine in a process of its own, which waits at every stage and can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from lib.config.settings import ROOT
from lib.engines import result_index

if TYPE_CHECKING:
    from lib.engines.parquet_result import Result
    from lib.engines.sizing import Kind
    from tests.support.servers import Databases

# Prints each stage it reaches and waits for a line before it continues.
_DRIVER = """
import json, sys
from pathlib import Path
from lib.config import loader
from tests.support import engine_data

def wait(stage, rows):
    print(stage, flush=True)
    sys.stdin.readline()

if __name__ == "__main__":
    kind, values, target = sys.argv[1:]
    settings = loader.from_values(json.loads(values), "teste", {})
    request = engine_data.request(settings, "card")
    result = engine_data.run(settings, request, Path(target), kind, progress=wait)
    print("done", json.dumps(engine_data.digest(result)), flush=True)
"""


class Driver:
    """A process that runs the engine of this kind, stage by stage."""

    def __init__(self, databases: Databases, folder: Path, kind: Kind, **engine: Any) -> None:
        staging = {"workers": 2, "memory_limit": "40 MB", "staging_dir": str(folder / "staging")}
        self.target = folder / "resultado"
        self._arguments = [kind, json.dumps(databases.values | {"engine": staging | engine})]
        self._process: subprocess.Popen[str] | None = None
        self._waiting = False

    def start(self) -> None:
        """Start the run, which waits at its first stage."""
        self._waiting = False
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _DRIVER, *self._arguments, str(self.target)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def until(self, stage: str) -> str:
        """Continue to this stage and return the line printed there."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        while True:
            if self._waiting:
                process.stdin.write("\n")
                process.stdin.flush()
            line = process.stdout.readline()
            assert line, f"ended before {stage}"
            self._waiting = not line.startswith("done")
            if line.split()[0] == stage:
                return line

    def digest(self) -> dict[str, str]:
        """Continue to the end and return the digest of the published result."""
        digest: dict[str, str] = json.loads(self.until("done").removeprefix("done "))
        return digest

    def kill(self) -> None:
        """Kill it with SIGKILL and wait until the processes it started have exited."""
        if self._process is None:
            return
        with self._process as process:
            if process.poll() is None:
                family = psutil.Process(process.pid).children(recursive=True)
                process.kill()
                _, alive = psutil.wait_procs(family, timeout=120)
                assert alive == []
        self._process = None


def leftovers(folder: Path, result: Result) -> list[Path]:
    """The files in the folder that do not belong to the published result."""
    expected = {result.folder / piece.path for table in result.pieces.values() for piece in table}
    expected.add(result.folder / result_index.MANIFEST)
    return [path for path in folder.rglob("*") if path.is_file() and path not in expected]
