"""Drives the command line as a person does, on a configuration file, and reads what it wrote."""

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

from lib.cli import main
from lib.config.settings import ROOT
from lib.demo import servers
from lib.domain import columns as c
from tests.support.servers import Databases

PREVIOUS = b"the previous report"
APPLICATION = "marketing-data-aggregator"
# Bounds of waits for a state: a wait that ends well ends much sooner, on any machine.
_PATIENCE_SECONDS = 120.0
_GATE = 7


@dataclass(frozen=True)
class Said:
    """What a command ended with and wrote."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The last thing said on standard error, below warnings and progress."""
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

    def run(self, *words: str, values: Mapping[str, Any] | None = None, **keys: Any) -> Said:
        """A run in this process; ``keys`` of `[aggregator]` go over the databases' values."""
        file = configured(self.folder, values or self.databases.values, **keys)
        return self.say("--config", str(file), "--output", str(self.target), *words)

    def say(self, *words: str) -> Said:
        """These words as they are, in this process."""
        self.capsys.readouterr()
        code = main.main(list(words))
        said = self.capsys.readouterr()
        return Said(code, said.out, said.err)

    def refused(self, *words: str, values: Mapping[str, Any] | None = None, **keys: Any) -> str:
        """The sentence of a run that fails as it should: exit 2, the previous report kept."""
        return self.kept(self.run(*words, values=values, **keys))

    def kept(self, said: Said) -> str:
        """The sentence, once nothing else was said and the previous report is still there."""
        assert said.code == main.FAILED
        assert said.out == ""
        assert "Traceback" not in said.err
        assert self.target.read_bytes() == PREVIOUS
        assert [path.suffix for path in self.folder.iterdir() if path.suffix == ".tmp"] == []
        return said.sentence

    def reported(self, *words: str, **keys: Any) -> Sheets:
        """The sheets that a run wrote; it said so last, and nothing went wrong."""
        said = self.run(*words, **keys)
        assert (said.code, said.out.splitlines()[-1:]) == (
            main.DONE,
            [f"Planilha '{self.target.name}' gerada com sucesso."],
        ), said.err
        return sheets(self.target)


@dataclass(frozen=True)
class Sheets:
    """The rows below the headers, each as tuples of cell values."""

    divergences: list[tuple[Any, ...]]
    consolidated: list[tuple[Any, ...]]


def sheets(path: Path) -> Sheets:
    """Both sheets of a report, which has no others and the contract's columns."""
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
    file.chmod(0o600)  # it may have passwords
    return file


def with_source(values: Mapping[str, Any], side: str, **keys: Any) -> dict[str, Any]:
    """The values with some keys of one side's table changed."""
    return {**values, side: {**values[side], **keys}}


def with_query(values: Mapping[str, Any], side: str, folder: Path, sql: str) -> dict[str, Any]:
    """The values with one side reading by this SQL."""
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
    """The command line as a process of its own, without anything this one's environment says.

    ``prefix`` is another command that is to run it.
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


def finish(process: subprocess.Popen[str], seconds: float = 240) -> Said:
    """What the process said until its end, which comes within so many seconds."""
    with process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Said(process.returncode, out, err)


def statements(databases: Databases, side: str) -> int:
    """How many of the product's statements this side's server is working on."""
    [(number,)] = databases.execute(
        side,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        f" AND application_name = '{APPLICATION}' AND state = 'active'",
    )
    return int(number)


def nothing_runs(databases: Databases) -> bool:
    """Tell whether both servers end every statement of ours, long before `slow_query` ends."""
    return all(soon(lambda s=side.name: statements(databases, s) == 0) for side in servers.SIDES)


def soon(holds: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> bool:
    """Whether it holds before so many seconds are over."""
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
