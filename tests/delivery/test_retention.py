"""Names of reports, and which older ones are kept."""

from __future__ import annotations

import errno
import os
import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main, run
from lib.config import defaults, loader
from lib.delivery import history
from lib.domain import requests
from lib.domain.errors import ConfigError
from lib.reports import retention
from tests.support.command import PREVIOUS, Command, configured, sheets
from tests.support.faults import DAY, MERCHANT, PERIOD
from tests.support.sentences import says
from tests.support.servers import MERCHANTS, Databases

pytestmark = pytest.mark.usefixtures("five_purchases")
OTHER = [cnpj for cnpj in MERCHANTS if cnpj != MERCHANT][0]


def request(databases: Databases) -> requests.Request:
    settings = loader.from_values(databases.values, "teste", {})
    return defaults.request(
        settings, date(2026, 11, 23), start=date(2026, 11, 1), end=date(2026, 11, 20)
    )


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("resultado.xlsx", "resultado.xlsx"),
        ("{date}/r_{merchant}.xlsx", f"2026-11-23/r_{MERCHANT}.xlsx"),
        ("{start}_{end}.xlsx", "2026-11-01_2026-11-20.xlsx"),
    ],
)
def test_the_name_of_the_report_takes_its_values_from_the_request(
    databases: Databases, template: str, name: str
) -> None:
    assert retention.target(Path(template), request(databases)) == Path(name)


def test_a_placeholder_that_does_not_exist_is_named(databases: Databases) -> None:
    with pytest.raises(ConfigError) as caught:
        retention.target(Path("{data}.xlsx"), request(databases))
    assert caught.value.values == {"name": "data"}
    assert "{data}" in str(caught.value)


def test_output_path_may_hold_placeholders(command: Command) -> None:
    path = command.folder / "relatorio_{merchant}_{end}.xlsx"
    file = configured(command.folder, command.databases.values, output_path=str(path))
    result = command.say("--config", str(file), *PERIOD)
    name = f"relatorio_{MERCHANT}_{DAY}.xlsx"
    assert result.out.splitlines()[-1] == run.WRITTEN.format(name=name)
    assert len(sheets(command.folder / name).consolidated) == 5


def reports(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.xlsx"))


def test_without_keep_a_report_takes_the_place_of_the_one_before(command: Command) -> None:
    command.reported(*PERIOD)
    assert reports(command.folder) == [command.target.name]


def test_older_reports_are_kept_under_the_moment_they_were_written(command: Command) -> None:
    where = {"path": str(command.folder / "history.sqlite")}
    os.utime(command.target, (1_780_000_000,) * 2)
    for minute in range(4):
        command.reported(*PERIOD, keep=2, history=where)
        os.utime(command.target, (1_790_000_000 + minute * 60,) * 2)
    names = reports(command.folder)
    assert len(names) == 3
    assert all(re.fullmatch(r"resultado_transacoes(_\d{8}-\d{6})?\.xlsx", name) for name in names)
    # The file from before the first run is the oldest and has been removed.
    assert all((command.folder / name).read_bytes() != PREVIOUS for name in names)
    files = [record.file for record in history.History(Path(where["path"])).runs()]
    assert files[0] == command.target
    assert [path.name for path in files[1:3] if path] == sorted(names[1:], reverse=True)


def test_of_dated_reports_only_those_of_the_same_merchant_are_removed(command: Command) -> None:
    for day in range(1, 6):
        for cnpj in (MERCHANT, OTHER):
            old = command.folder / f"r_{cnpj}_2026-10-0{day}.xlsx"
            old.write_bytes(b"old")
            os.utime(old, (1_790_000_000 + day,) * 2)
    (command.folder / f"r_{MERCHANT}_rascunho.xlsx").write_bytes(b"mine")
    path = str(command.folder / "r_{merchant}_{end}.xlsx")
    file = configured(command.folder, command.databases.values, output_path=path, keep=2)
    assert command.say("--config", str(file), *PERIOD).code == main.DONE
    remaining = [name for name in reports(command.folder) if MERCHANT in name]
    assert remaining == [
        f"r_{MERCHANT}_2026-10-04.xlsx",
        f"r_{MERCHANT}_2026-10-05.xlsx",
        f"r_{MERCHANT}_{DAY}.xlsx",
        f"r_{MERCHANT}_rascunho.xlsx",
    ]
    assert len([name for name in reports(command.folder) if OTHER in name]) == 5


def test_a_failed_run_removes_and_renames_no_report(command: Command) -> None:
    command.databases.execute("auth_logs", "DROP SCHEMA authentication CASCADE")
    command.refused(*PERIOD, keep=1)
    assert reports(command.folder) == [command.target.name]


def older_reports(folder: Path, count: int) -> list[Path]:
    paths = [
        folder / f"resultado_transacoes_2026110{day}-060000.xlsx" for day in range(1, count + 1)
    ]
    for path in paths:
        path.write_bytes(b"old")
    return paths


@pytest.mark.parametrize("gone_at", ["list", "sort", "removal"])
def test_an_older_report_that_somebody_removes_meanwhile_fails_no_run(
    command: Command, monkeypatch: pytest.MonkeyPatch, gone_at: str
) -> None:
    path = older_reports(command.folder, 3)[0]
    methods = {"list": "is_file", "sort": "stat", "removal": "unlink"}
    method = getattr(Path, methods[gone_at])

    def removing(self: Path, *words: Any, **options: Any) -> Any:
        if self == path:
            os.path.lexists(path) and os.unlink(path)
        return method(self, *words, **options)

    monkeypatch.setattr(Path, methods[gone_at], removing)
    command.reported(*PERIOD, keep=1)
    assert not os.path.lexists(path)
    assert len(reports(command.folder)) == 2


@pytest.mark.parametrize("number", [errno.EPERM, errno.EBUSY, errno.EROFS])
def test_an_older_report_that_cannot_be_removed_is_a_warning(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    older = set(older_reports(command.folder, 3))
    unlink = Path.unlink

    def refusing(self: Path, missing_ok: bool = False) -> None:
        if self in older:
            raise OSError(number, os.strerror(number))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    result = command.run(*PERIOD, keep=1)
    assert result.code == main.DONE
    assert says(result.err, retention.NOT_REMOVED)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPERM, errno.ENAMETOOLONG])
def test_a_report_that_cannot_be_kept_is_a_warning_and_the_new_one_is_written(
    command: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", refuse)
    result = command.run(*PERIOD, keep=1)
    assert result.code == main.DONE
    assert says(result.err, retention.NOT_KEPT)
    assert reports(command.folder) == [command.target.name]
