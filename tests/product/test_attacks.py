"""Search for planted card numbers and CPFs wherever a masked run could leave them."""

from __future__ import annotations

import gc
import json
import logging
import zipfile
from collections.abc import Iterator
from datetime import date, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lib import pipeline
from lib.cli import main
from lib.config import defaults, loader
from lib.config.settings import ROOT
from lib.dashboard import clear_export, export_worker
from lib.domain import requests
from lib.domain.errors import AuditError, ReportError
from lib.reports import description, verification
from lib.security import redaction
from lib.security.audit_events import Actor
from tests.support.command import Command, with_query
from tests.support.sentences import pattern
from tests.support.servers import Databases

PHYSICAL, VIRTUAL, CPF = "4539578763621486", "5500005555555559", "52998224725"
PLANTED = (PHYSICAL, VIRTUAL, CPF)
TODAY = date(2026, 11, 20)
REASON = "Auditoria interna, pedido 77"
RUI = Actor("rui@example.com", "10.1.2.3")


def values_of(databases: Databases) -> dict[str, Any]:
    return databases.values  # noqa: PD011  # not a frame


@pytest.fixture
def planted(databases: Databases) -> Databases:
    merchant = next(iter(values_of(databases)["merchants"]))
    day = date.today() - timedelta(days=2)  # noqa: DTZ011  # any day of the default period
    databases.fill(
        customer_cards=[(CPF, PHYSICAL)],
        transactions=[(PHYSICAL, day, time(10), merchant, f"VC0001{VIRTUAL}", 10)],
        auth_logs=[
            (
                VIRTUAL,
                day,
                time(10),
                "00",
                f"cartão {PHYSICAL} CPF {CPF}",
                f"0200{PHYSICAL}0{merchant}",
            ),
            (PHYSICAL[:-1] + "0", day, time(11), "00", "sem transação", f"0200{CPF}0{merchant}"),
        ],
    )
    return databases


@pytest.fixture
def command(planted: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(planted, tmp_path, capsys)


@pytest.fixture
def scrubbed() -> Iterator[None]:
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(redaction._clean_record)
    yield
    logging.setLogRecordFactory(factory)


def request_of(databases: Databases) -> tuple[loader.Settings, requests.Request]:
    settings = loader.from_values(values_of(databases), "teste", {})
    return settings, defaults.request(settings, defaults.local_today(settings))


def leaked(text: str | bytes) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    return [number for number in PLANTED if number.encode() in content]


def contents(folder: Path) -> bytes:
    """Every file below a folder, workbooks unpacked."""
    content = b""
    for path in folder.rglob("*"):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                content += b"".join(map(archive.read, archive.namelist()))
        elif path.is_file():
            content += path.read_bytes()
    return content


def test_a_masked_run_leaves_no_card_in_workbook_audit_output_or_logs(
    command: Command, planted: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    result = command.run()
    assert result.code == main.DONE
    assert leaked(result.out + result.err + caplog.text) == []
    assert leaked(contents(command.folder)) == []
    assert leaked(Path(values_of(planted)["audit"]["path"]).read_bytes()) == []


def test_no_table_in_memory_holds_a_clear_value(planted: Databases) -> None:
    outcome = pipeline.run(*request_of(planted))
    assert outcome.books.consolidated == 1
    # The collector does not track tables, but it does track what refers to them.
    referents = chain.from_iterable(map(gc.get_referents, gc.get_objects()))
    tables = [referent for referent in referents if isinstance(referent, pa.Table)]
    assert any(table is outcome.reconciliation.transactions for table in tables)
    assert leaked("".join(str(table.to_pylist()) for table in tables)) == []


def test_the_files_of_an_export_are_masked(planted: Databases, tmp_path: Path) -> None:
    job = export_worker.spool(pipeline.run(*request_of(planted)), tmp_path, {})
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert export_worker.main(tmp_path, job) == 0
    assert leaked(contents(tmp_path)) == []


ERRORS = {
    "a cast": "SELECT q.* FROM ({default}) AS q, {table} AS d"
    " WHERE (d.card_number || 'x')::bigint > 0",
    "a raise": "SELECT q.*, query_to_xml('SELECT ''' || d.card_number || '''::int', true, true, '')"
    " FROM ({default}) AS q, {table} AS d",
}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_of_the_database_with_values_in_it_shows_none_of_them(
    command: Command,
    planted: Databases,
    caplog: pytest.LogCaptureFixture,
    scrubbed: None,
    error: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    default = (ROOT / "lib" / "database" / "sql" / "transactions.sql").read_text()
    sql = ERRORS[error].format(default=default, table="transactions")
    result = command.run(values=with_query(values_of(planted), "transactions", command.folder, sql))
    assert result.code == main.FAILED
    assert leaked(result.out + result.err + caplog.text) == []
    assert leaked(Path(values_of(planted)["audit"]["path"]).read_bytes()) == []


def test_a_clear_export_is_marked_recorded_first_and_leaves_no_file(
    planted: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    export = clear_export.start(*request_of(planted), RUI, f"{REASON} de {CPF}")
    content = export.future.result(60)
    assert list(tmp_path.iterdir()) == []
    trail = Path(values_of(planted)["audit"]["path"]).read_text()
    assert leaked(trail) == []
    assert trail.count('"outcome":"started"') == trail.count('"outcome":"done"') == 1
    file = tmp_path / "clear.xlsx"
    file.write_bytes(content)
    assert leaked(contents(tmp_path)) != []
    properties = verification.properties(file)
    person = properties[description.RESPONSAVEL]
    assert (properties[description.DADOS], person) == ("em claro", RUI.name)
    assert properties[description.MOTIVO] == f"{REASON} de ******"
    assert verification.verify(file).clear


@pytest.mark.parametrize("reason", ["", "  \n ", "curto", "x" * 501])
def test_a_clear_export_without_a_written_reason_is_refused(
    planted: Databases, reason: str
) -> None:
    with pytest.raises(ReportError, match=pattern(clear_export.NO_REASON)):
        clear_export.start(*request_of(planted), RUI, reason)


def test_a_clear_export_that_cannot_be_recorded_reads_nothing(planted: Databases) -> None:
    values = values_of(planted) | {"audit": {"path": ""}}
    settings = loader.from_values(values, "teste", {})
    request = defaults.request(settings, TODAY)
    problem = clear_export.start(settings, request, RUI, REASON).future.exception(60)
    assert isinstance(problem, AuditError)
