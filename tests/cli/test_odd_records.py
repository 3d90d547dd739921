"""Odd records through the command line: each is kept, and appears where the rules put it."""

from __future__ import annotations

from datetime import date, datetime
from datetime import time as clock
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from lib.cli import main
from lib.delivery import diagnosis
from lib.domain import columns as c
from lib.reports import verification
from lib.reports.description import DUPLICADAS, SEM_LOG
from lib.reports.xlsx_cells import CUT_MARK
from tests.support.command import Command, Sheets, with_query
from tests.support.servers import MERCHANTS

DAY = date(2026, 11, 20)
THAT_DAY = datetime.combine(DAY, clock())
WORDS = ("--start", f"{DAY}", "--end", f"{DAY}")
MERCHANT, OTHER = MERCHANTS
NAME = MERCHANTS[MERCHANT]
CARD, CPF = "4000001234561234", "12345678909"
MASK = "400000******1234"
CLEAR = {"privacy": {"report": "clear"}}


def bought(**values: Any) -> tuple[Any, ...]:
    usual = {"card": CARD, "day": DAY, "time": "12:00:00", "merchant": MERCHANT}
    return tuple({**usual, "virtual": None, "amount": "12.34", **values}.values())


def log(**values: Any) -> tuple[Any, ...]:
    usual = {"card": CARD, "day": DAY, "time": "12:00:05", "code": "00", "text": "ok"}
    return tuple({**usual, "raw": "0" + MERCHANT, **values}.values())


def counts(command: Command) -> str:
    """The finished report's numbers of transactions without log and of duplicates."""
    properties = verification.verify(command.target).properties
    without_log, duplicates = (properties[name] for name in (SEM_LOG, DUPLICADAS))
    return f"{without_log} sem log, {duplicates} duplicadas"


def reported(command: Command, bought: Any, logs: Any, *words: str, **keys: Any) -> Sheets:
    command.databases.fill(bought, [(CPF, CARD)], logs)
    return command.reported(*WORDS, *words, **keys)


def test_no_card_matches_nothing_and_stays_in_the_books(command: Command) -> None:
    report = reported(
        command,
        [bought(card=None), bought(card=""), bought(card=None, virtual="", amount="1")],
        [log(card=None), log(card="", time="12:00:06")],
    )
    assert report.consolidated == []
    assert [(row[0], row[-1]) for row in report.divergences] == [
        (None, c.APROVADA_SEM_TRANSACAO)
    ] * 2
    assert counts(command) == "2 sem log, 1 duplicadas"


def test_an_empty_virtual_card_is_no_card(command: Command) -> None:
    report = reported(command, [bought(virtual="")], [log(card=""), log()])
    [(cpf, card, virtual, *_, join, seconds)] = report.consolidated
    assert (cpf, card, virtual, join, seconds) == ("***.456.789-**", MASK, None, c.FISICO, 5)
    assert len(report.divergences) == 1


def test_a_missing_amount_is_a_blank_cell(command: Command) -> None:
    report = reported(command, [bought(amount=None), bought(amount="0")], [log()])
    assert [row[5] for row in report.consolidated] == [0, None]
    assert verification.verify(command.target).total == 0


def test_a_missing_time_still_matches_by_card_with_no_difference_sorted_last(
    command: Command,
) -> None:
    rows = [bought(time=None), bought(time="23:00:00")]
    report = reported(command, rows, [log(time=None), log(card="9", time=None), log(card="9")])
    assert [(row[4], row[-1]) for row in report.consolidated] == [(clock(23), None), (None, None)]
    assert [row[2] for row in report.divergences] == [clock(12, 0, 5), None]


def test_a_missing_time_is_outside_every_tolerance(command: Command) -> None:
    report = reported(command, [bought(time=None)], [log(), log(time=None)], "--rule", "card_time")
    assert report.consolidated == []
    assert [row[-1] for row in report.divergences] == [c.FORA_DA_TOLERANCIA] * 2
    assert counts(command) == "1 sem log, 0 duplicadas"


def test_a_card_with_spaces_is_another_card_and_check_points_it_out(command: Command) -> None:
    spaced = "4000 0012 3456 1234"
    today = datetime.now(ZoneInfo("America/Sao_Paulo")).date()
    rows = [bought(day=today)], [log(card=spaced, day=today)]
    command.databases.fill(rows[0], [], rows[1])
    report = command.reported("--days", "0")
    assert [(row[0], row[-1]) for row in report.divergences] == [(MASK, c.RECENTE)]
    assert counts(command) == "1 sem log, 0 duplicadas"
    result = command.say("check", "--config", str(command.folder / "aggregator.toml"))
    assert result.code == main.DONE
    assert diagnosis.ODD_CARDS.format(side="auth_logs", odd=1, rows=1) in result.out


EMPTY: list[tuple[list[Any], list[Any], int, str]] = [
    ([], [], 0, "0 sem log, 0 duplicadas"),
    ([bought()], [], 0, "1 sem log, 0 duplicadas"),
    ([], [log()], 1, "0 sem log, 0 duplicadas"),
    ([bought(merchant=OTHER)], [log(raw="0" + OTHER)], 0, "0 sem log, 0 duplicadas"),
]


@pytest.mark.parametrize("rule", ["card", "card_time"])
@pytest.mark.parametrize(("rows", "logs", "divergences", "counted"), EMPTY)
def test_no_rows_on_a_side_make_a_valid_report_with_headers(
    command: Command, rows: Any, logs: Any, divergences: int, counted: str, rule: str
) -> None:
    report = reported(command, rows, logs, "--rule", rule)
    assert len(report.divergences) == divergences
    assert report.consolidated == []
    assert counts(command) == counted
    assert verification.verify(command.target).problems == ()


FORMULAS = ["=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "'=1"]


@pytest.mark.parametrize("clear", [False, True])
def test_texts_that_begin_like_formulas_stay_texts(command: Command, clear: bool) -> None:
    rows = [bought(card=text, virtual=text, merchant=MERCHANT) for text in FORMULAS]
    logs = [
        log(card=card, code=text, text=text, raw=f"{text} 0{MERCHANT}")
        for text in FORMULAS
        for card in (text, "9")
    ]
    report = reported(command, rows, logs, **(CLEAR if clear else {}))
    assert sorted(row[4] for row in report.divergences) == sorted(FORMULAS)
    assert sorted({row[8] for row in report.consolidated}) == sorted(FORMULAS)
    workbook = openpyxl.load_workbook(command.target)
    kinds = {cell.data_type for sheet in workbook for row in sheet.iter_rows() for cell in row}
    assert kinds <= {"s", "n", "d"}
    if clear:
        assert sorted(row[1] for row in report.consolidated) == sorted(FORMULAS)


CONTROL = "início\x01\x08\x1f\x7f fim"
EMOJI = "pago 😀👩‍💻🇧🇷 ok"
TEXTS = [CONTROL, EMOJI, "linha\r\noutra", "tab\there", "_x0041_", "&lt;<b>\"'", "\ufffe\uffff"]


def test_control_characters_and_emoji_are_kept_inert(command: Command) -> None:
    logs = [log(card="9", text=text, time=f"12:00:{n:02}") for n, text in enumerate(TEXTS)]
    report = reported(command, [], logs)
    shown = [unescape(row[4]) for row in report.divergences]
    assert shown[:2] == [CONTROL, EMOJI]
    assert shown[3:6] == TEXTS[3:6]
    assert shown[2].split() == TEXTS[2].split()
    assert len(shown) == len(TEXTS)


LONG = {
    "a" * 40_000: "a" * 32_756,
    "😀" * 40_000: "😀" * 16_378,
    "a" * 32_767: "a" * 32_767,
    "a" * 32_768: "a" * 32_756,
}


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize(("stored", "start"), LONG.items(), ids=range(len(LONG)))
def test_a_description_longer_than_a_cell_is_cut_with_a_mark(
    command: Command, stored: str, start: str, clear: bool
) -> None:
    raw = stored + "0" + MERCHANT
    report = reported(command, [], [log(text=stored, raw=raw)], **(CLEAR if clear else {}))
    [row] = report.divergences
    if start == stored:
        assert row[4] == stored
    else:
        assert row[4] == start + CUT_MARK
    if clear:
        assert row[-1].startswith(start[:9_000])
        assert row[-1].endswith(CUT_MARK)


def test_every_value_arrives_in_its_cell_in_a_clear_report(command: Command) -> None:
    report = reported(
        command,
        [bought(card="007", virtual="VC00010000001234561234", amount="1234.50")],
        [log(card="0000001234561234", code="00"), log(card="000", code="05", text="recusada")],
        **CLEAR,
    )
    assert report.consolidated == [
        (
            *(None, "007", "0000001234561234", THAT_DAY, clock(12), 1234.5, MERCHANT),
            *("00", "ok", c.VIRTUAL, 5),
        )
    ]
    assert report.divergences == [
        ("000", THAT_DAY, clock(12, 0, 5), "05", "recusada", c.NEGADA, "0" + MERCHANT)
    ]


PREFIXES = [
    ("auto", "VC00014000001234561234", True),
    ("auto", "4000001234561234", True),
    ("auto", "VC00014000001234561"[:19], False),
    (0, "VC00014000001234561234", False),
    (0, "4000001234561234", True),
    (6, "VC00014000001234561234", True),
    (6, "4000001234561234", False),
]


@pytest.mark.parametrize(("length", "stored", "matches"), PREFIXES)
def test_the_prefix_of_a_virtual_number_is_dropped_as_configured(
    command: Command, length: int | str, stored: str, matches: bool
) -> None:
    rows, logs = [bought(card="1", virtual=stored)], [log(card="4000001234561234")]
    report = reported(command, rows, logs, virtual_prefix_length=length)
    assert (len(report.consolidated), len(report.divergences)) == ((1, 0) if matches else (0, 1))


def test_dates_of_other_times_come_out_as_written(command: Command) -> None:
    old = date(2019, 2, 16)
    command.databases.fill([bought(day=old, time="23:30")], [], [log(day=old, time="23:59:59.9")])
    report = command.reported("--start", "2019-02-16", "--end", "2019-02-17")
    assert [row[3] for row in report.consolidated] == [datetime.combine(old, clock())]
    assert [row[-1] for row in report.consolidated] == [1_799]
    assert verification.verify(command.target).first == old


def test_a_query_file_reads_other_tables_with_the_bound_parameters(command: Command) -> None:
    command.databases.execute(
        "auth_logs",
        "CREATE TABLE other AS SELECT 'x' AS extra, '9'::char(5) AS card, date '2026-11-20' AS day;"
        " GRANT SELECT ON other TO aggregator",
    )
    sql = (
        "-- Our own log: 100% ours\n"
        "SELECT extra, card AS num_cartao, day AS data, '12:00'::time AS hora, '00' AS"
        " cod_resposta, '100%' AS des_log, :merchant_field::text AS des_linha_recebimento\n"
        "FROM other WHERE day BETWEEN :start::date AND :end::date AND :merchant LIKE '1234%';\n"
    )
    values = with_query(command.databases.values, "auth_logs", command.folder, sql)
    report = command.reported(*WORDS, values=values, **CLEAR)
    assert [(row[4], row[-1]) for row in report.divergences] == [("100%", "0" + MERCHANT)]
