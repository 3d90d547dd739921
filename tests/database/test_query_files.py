"""A site's own query file: accepted results, and results refused before they are reported."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from lib.config import defaults, loader
from lib.database.date_validation import LAST_DAY_CUT, OUTSIDE_WINDOW
from lib.delivery import diagnosis
from lib.domain.errors import ContractError
from tests.support.command import Command, with_query
from tests.support.servers import MERCHANTS, Databases

MERCHANT = next(iter(MERCHANTS))
WORDS = ("--start", "2026-11-18", "--end", "2026-11-20")
QUERY = (
    "SELECT '12345678909' AS num_cpf, card_number AS num_cartao, NULL AS num_cartao_virtual,"
    " {day} AS data_transa, transaction_time AS hora_transa, amount AS vlr_total,"
    " merchant_id AS des_cnpj_reduzido FROM transactions"
    " WHERE merchant_id = :merchant"
)
CARD = "4000001234561234"


@pytest.fixture
def command(databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    day = date(2026, 11, 20)
    databases.fill(
        [(CARD, day, "10:00", MERCHANT, None, "1.00")],
        auth_logs=[(CARD, day, "10:00", "00", "", "0" + MERCHANT)],
    )
    return Command(databases, tmp_path, capsys)


@pytest.mark.parametrize("engine", [{}, {"engine": {"kind": "chunked", "workers": 1}}])
def test_dates_outside_the_period_are_refused(command: Command, engine: dict[str, object]) -> None:
    sql = QUERY.format(day="transaction_date - 5")
    values = with_query(command.databases.values, "transactions", command.folder, sql)
    day = date(2026, 11, 15)
    sentence = OUTSIDE_WINDOW.format(side="transactions", first=day, last=day)
    assert command.refused(*WORDS, values=values, **engine) == sentence


CUT = "moment BETWEEN :start AND :end"
OFF_BY_ONE = "moment >= :start AND moment < :end"
WHOLE = "moment >= :start AND moment < :end + 1"
BY_DATE = "moment::date BETWEEN :start AND :end"
ENGINES = [{}, {"engine": {"kind": "chunked", "workers": 3}}]


def by_moment(command: Command, side: str, condition: str, *moments: str) -> dict[str, Any]:
    """The values with a query file over a table of these instants, shown as dates and times."""
    command.databases.execute(
        side,
        "CREATE TABLE moments (moment timestamp); GRANT SELECT ON moments TO aggregator;"
        f" INSERT INTO moments VALUES {', '.join(f'({moment!r})' for moment in moments)}",
    )
    columns = {
        "transactions": "NULL AS num_cpf, '4000' AS num_cartao, NULL AS num_cartao_virtual,"
        " moment::date AS data_transa, moment::time AS hora_transa, 1.00 AS vlr_total,"
        " :merchant AS des_cnpj_reduzido",
        "auth_logs": "'4000' AS num_cartao, moment::date AS data, moment::time AS hora,"
        " '00' AS cod_resposta, '' AS des_log, :merchant_field AS des_linha_recebimento",
    }
    sql = f"SELECT {columns[side]} FROM moments WHERE {condition}"
    return with_query(command.databases.values, side, command.folder, sql)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("side", ["transactions", "auth_logs"])
@pytest.mark.parametrize("condition", [CUT, OFF_BY_ONE])
def test_a_query_that_loses_the_last_day_is_refused_by_run_and_check(
    command: Command, engine: dict[str, object], side: str, condition: str
) -> None:
    moments = ["2026-11-19 08:00", "2026-11-19 23:00", "2026-11-20 00:00", "2026-11-20 19:30"]
    values = by_moment(command, side, condition, *moments)
    sentence = LAST_DAY_CUT.format(side=side)
    assert command.refused(*WORDS, values=values, **engine) == sentence
    settings = loader.from_values(values, "t", {})
    for today in (date(2026, 11, 20), date(2026, 11, 21)):
        with pytest.raises(ContractError, match=re.escape(sentence)):
            list(diagnosis.check_sources(settings, defaults.request(settings, today, days=2)))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("condition", [WHOLE, BY_DATE])
@pytest.mark.parametrize(
    "moments",
    [
        ["2026-11-20 00:00", "2026-11-20 00:00:01", "2026-11-21 00:00"],
        ["2026-11-20 07:00", "2026-11-20 23:59:59.9", "2026-11-21 10:00"],
        ["2026-11-18 10:00", "2026-11-19 10:00", "2026-11-21 10:00"],
    ],
)
def test_a_query_that_has_the_last_day_whole_is_read(
    command: Command, engine: dict[str, object], condition: str, moments: list[str]
) -> None:
    values = by_moment(command, "auth_logs", condition, *moments)
    assert len(command.reported(*WORDS, values=values, **engine).divergences) == 2
    settings = loader.from_values(values, "t", {})
    request = defaults.request(settings, date(2026, 11, 20), days=2)
    assert list(diagnosis.check_sources(settings, request))[1].values["rows"] == 2


def test_a_cut_that_loses_no_record_is_no_failure(
    command: Command,
) -> None:
    values = by_moment(command, "auth_logs", CUT, "2026-11-19 08:00", "2026-11-20 00:00")
    assert len(command.reported(*WORDS, values=values).divergences) == 2


def test_a_date_in_text_is_read_in_the_brazilian_format(command: Command) -> None:
    sql = QUERY.format(day="'10/11/2026'")
    values = with_query(command.databases.values, "transactions", command.folder, sql)
    report = command.reported("--start", "2026-11-09", "--end", "2026-11-20", values=values)
    assert [row[3] for row in report.consolidated] == [datetime(2026, 11, 10)]  # noqa: DTZ001


def test_a_byte_order_mark_is_ignored(command: Command) -> None:
    sql = QUERY.format(day="transaction_date")
    values = with_query(command.databases.values, "transactions", command.folder, sql)
    file = Path(values["transactions"]["query_file"])
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(command.reported(*WORDS, values=values).consolidated) == 1
