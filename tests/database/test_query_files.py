"""A site's own query file: accepted results, and results refused before they are reported."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from lib.database.date_validation import OUTSIDE_WINDOW
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
