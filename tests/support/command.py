"""Drive the command line with a configuration file, and read its output and its reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from lib.cli import main, run
from lib.config.settings import ROOT
from lib.demo import servers
from lib.domain import columns as c
from tests.support.servers import Databases

PREVIOUS = b"the previous report"
APPLICATION = "marketing-data-aggregator"
# Limits of waits for a state; far above what any machine needs.
_PATIENCE_SECONDS = 120.0
_GATE = 7


@dataclass(frozen=True)
class Completed:
    """A finished command's exit code and output."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The last line on standard error, below warnings and progress."""
        return self.err.splitlines()[-1] if self.err else ""


@dataclass(frozen=True)
class Command:
    """The command line over a pair of databases, with a previous report where it writes."""

    databases: Databases
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __post_init__(self) -> None:
        self.target.write_bytes(PREVIOUS)

    @property
    def target(self) -> Path:
        return self.folder / "resultado_transacoes.xlsx"

    def run(self, *words: str, values: Mapping[str, Any] | None = None, **keys: Any) -> Completed:
        """Run in this process; ``keys`` of `[aggregator]` override the databases' values."""
        file = configured(self.folder, values or self.databases.values, **keys)
        return self.say("--config", str(file), "--output", str(self.target), *words)

    def say(self, *words: str) -> Completed:
        """Run a command with exactly these arguments, in this process."""
        self.capsys.readouterr()
        code = main.main(list(words))
        output = self.capsys.readouterr()
        return Completed(code, output.out, output.err)

    def refused(self, *words: str, values: Mapping[str, Any] | None = None, **keys: Any) -> str:
        """The sentence of a run that must fail: exit 2, the previous report kept."""
        return self.kept(self.run(*words, values=values, **keys))

    def kept(self, result: Completed) -> str:
        """The sentence of a failed command, after checking that it left the previous report."""
        assert result.code == main.FAILED
        assert result.out == ""
        assert "Traceback" not in result.err
        assert self.target.read_bytes() == PREVIOUS
        assert [path.suffix for path in self.folder.iterdir() if path.suffix == ".tmp"] == []
        return result.sentence

    def reported(self, *words: str, **keys: Any) -> Sheets:
        """The sheets that a successful run wrote."""
        result = self.run(*words, **keys)
        sentence = run.WRITTEN.format(name=self.target.name)
        assert (result.code, result.out.splitlines()[-1:]) == (main.DONE, [sentence]), result.err
        return sheets(self.target)


@dataclass(frozen=True)
class Sheets:
    """The rows below the headers, as tuples of cell values."""

    divergences: list[tuple[Any, ...]]
    consolidated: list[tuple[Any, ...]]


def sheets(path: Path) -> Sheets:
    """Both sheets of a report, after checking its sheets and columns against the contract."""
    with closing(openpyxl.load_workbook(path, read_only=True)) as workbook:
        assert workbook.sheetnames == [c.SHEET_DIVERGENCES, c.SHEET_CONSOLIDATED]
        tables = [list(workbook[name].iter_rows(values_only=True)) for name in workbook.sheetnames]
        clear = "em claro" in workbook.properties.description
    assert tables[0][0] == (*c.DIVERGENCES, *([c.DES_LINHA_RECEBIMENTO] if clear else []))
    assert tables[1][0] == c.CONSOLIDATED
    return Sheets(tables[0][1:], tables[1][1:])


def configured(folder: Path, values: Mapping[str, Any], **keys: Any) -> Path:
    """A configuration file of these `[aggregator]` values."""
    file = folder / "aggregator.toml"
    merged = {**values, **keys}
    file.write_text("\n".join(_toml("aggregator", merged)), encoding="utf-8")
    file.chmod(0o600)  # it may contain passwords
    return file


def with_source(values: Mapping[str, Any], side: str, **keys: Any) -> dict[str, Any]:
    """The values with some keys of one side's table changed."""
    return {**values, side: {**values[side], **keys}}


def with_query(values: Mapping[str, Any], side: str, folder: Path, sql: str) -> dict[str, Any]:
    """The values with this SQL as one side's query file."""
    file = folder / f"{side}.sql"
    file.write_text(sql, encoding="utf-8")
    return with_source(values, side, query_file=str(file))


def slow_query(side: str, seconds: int = 240) -> str:
    """The default query of a side, made to last this long; by default longer than any test."""
    return f"SELECT d.* FROM pg_sleep({seconds}), (\n{_default(side)}\n) AS d"


def gated_query(side: str) -> str:
    """The default query of a side, which waits while the side's `gate` is held."""
    return behind_gate(_default(side))


def behind_gate(sql: str) -> str:
    """This query, which waits while its side's `gate` is held."""
    return f"SELECT d.* FROM pg_advisory_xact_lock_shared({_GATE}), (\n{sql}\n) AS d"


@contextmanager
def gate(databases: Databases, side: str) -> Iterator[Callable[[], None]]:
    """Hold up each `gated_query` of this side until the yielded function is called."""
    with closing(databases.connect(side)) as holder:
        holder.autocommit = True
        holder.cursor().execute(f"SELECT pg_advisory_lock({_GATE})")
        yield holder.close


def _default(side: str) -> str:
    return (ROOT / "lib" / "database" / "sql" / f"{side}.sql").read_text(encoding="utf-8")


def start(*words: str, prefix: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
    """Start the command line as a process, without this environment's `AGGREGATOR` variables.

    ``prefix`` is a command that runs it.
    """
    environment = {k: v for k, v in os.environ.items() if not k.upper().startswith("AGGREGATOR")}
    return subprocess.Popen(
        [*prefix, sys.executable, "-W", "error", str(ROOT / "aggregator.py"), *words],
        env={**environment, **options.pop("env", {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )


def finish(process: subprocess.Popen[str], seconds: float = 240) -> Completed:
    """Wait for the process and return its output; raise TimeoutExpired after so many seconds."""
    with process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Completed(process.returncode, out, err)


def statements(databases: Databases, side: str) -> int:
    """The number of the product's statements under way on this side's server."""
    [(number,)] = databases.execute(
        side,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        f" AND application_name = '{APPLICATION}' AND state = 'active'",
    )
    return int(number)


def nothing_runs(databases: Databases) -> bool:
    """True if the product's statements end on both servers, long before `slow_query` would."""
    return all(soon(lambda s=side.name: statements(databases, s) == 0) for side in servers.SIDES)


def soon(holds: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> bool:
    """True if the condition holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _toml(name: str, table: Mapping[str, Any]) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"[{name}]", *(f"{json.dumps(k)} = {_value(v)}" for k, v in plain.items())]
    for key in table.keys() - plain.keys():
        lines += _toml(f"{name}.{json.dumps(key)}", table[key])
    return lines


def _value(value: Any) -> str:
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
