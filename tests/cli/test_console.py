"""Commands whose standard streams are full, closed, or cannot hold a name."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lib.config.settings import ROOT
from lib.delivery import history
from lib.delivery.history import History
from tests.support.command import configured
from tests.support.faults import PERIOD, fill
from tests.support.servers import Databases

NAME = "Pão & Cia – Filial 2 \U0001f956"
TRIED = [
    ("ascii", ("history",)),
    ("cp1252", ("history",)),
    ("iso-8859-1", ("history",)),
    ("utf-8", ("history",)),
    ("ascii", ("history", "--json")),
    ("ascii", ("run",)),
    ("cp1252", ("check",)),
]
VALUES: dict[str, Any] = {
    "merchants": {"12345678000195": NAME},
    "transactions": {"host": "/nowhere", "database": "d", "user": "u"},
    "auth_logs": {"host": "/nowhere", "database": "d", "user": "u"},
}


def aggregator(
    command: str, *words: str, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line by this line of a shell, where it is `"$@"`."""
    environment = {k: v for k, v in os.environ.items() if not k.upper().startswith("AGGREGATOR")}
    return subprocess.run(
        ["/bin/sh", "-c", command, "sh", sys.executable, str(ROOT / "aggregator.py"), *words],
        env=environment | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration whose history has one run of a merchant with a difficult name."""
    path = tmp_path / "history.sqlite"
    record = History(path)
    number = record.begin(
        origin=history.SCHEDULED,
        merchant="12345678000195",
        merchant_name=NAME,
        period_start=date(2026, 11, 1),
        period_end=date(2026, 11, 2),
        rule="card",
        tolerance_seconds=300,
        clear=False,
    )
    record.end(number, history.FAILED, message=f"{NAME} falhou")
    return configured(tmp_path, VALUES, history={"path": str(path)})


@pytest.mark.parametrize(("encoding", "words"), TRIED)
def test_a_name_that_the_console_cannot_hold_is_no_traceback(
    site: Path, encoding: str, words: tuple[str, ...]
) -> None:
    result = aggregator('exec "$@"', *words, "--config", str(site), encoding=encoding)
    assert result.returncode == (0 if words[0] == "history" else 2)
    assert b"Traceback" not in result.stderr
    if words[0] == "history":
        assert b"Cia" in result.stdout


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2</dev/null"])
@pytest.mark.parametrize("words", [("history",), ("run",), ("--no-such-option",)])
def test_standard_error_that_takes_nothing_changes_no_exit_code(
    site: Path, redirection: str, words: tuple[str, ...]
) -> None:
    result = aggregator(f'"$@" {redirection}', *words, "--config", str(site))
    assert result.returncode == (0 if words[0] == "history" else 2)
    assert result.stderr == b""


@pytest.mark.parametrize(
    ("redirection", "log"),
    [
        ("2>/dev/full", ()),
        ("2>/dev/full", ("--log-file", "run.log")),
        ("2>/dev/full", ("--json-log",)),
        ("2>&-", ()),
    ],
)
def test_the_report_is_written_where_standard_error_takes_nothing(
    databases: Databases, tmp_path: Path, redirection: str, log: tuple[str, ...]
) -> None:
    fill(databases, 3)
    values = databases.values
    values["merchants"] = dict.fromkeys(values["merchants"], NAME)
    file = configured(tmp_path, values)
    words = [str(tmp_path / word) if word.endswith(".log") else word for word in log]
    target = tmp_path / "resultado.xlsx"
    result = aggregator(
        f'"$@" {redirection}',
        *("run", "--config", str(file), "--output", str(target), *PERIOD, *words),
        encoding="ascii",
    )
    assert result.returncode == 0
    assert target.stat().st_size > 0


@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", "2>&-"])
def test_a_missing_stream_leaves_its_number_to_no_other_file(redirection: str) -> None:
    program = (
        "import os; from lib.cli import console; console.prepare();"
        " os._exit(os.open(os.devnull, os.O_RDONLY) < 3)"
    )
    command = f'exec "$1" -c "$2" {redirection}'
    words = ["/bin/sh", "-c", command, "sh", sys.executable, program]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == 0
