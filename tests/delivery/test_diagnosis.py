"""Diagnosis of two databases that answer, but not as they should."""

from __future__ import annotations

import threading
import time
from dataclasses import fields, replace
from datetime import date, timedelta

import pytest

from lib import pipeline
from lib.config import defaults, loader
from lib.config.settings import Settings
from lib.database import source_checks
from lib.database.sides import BOTH_FAILED
from lib.database.source_checks import Survey
from lib.delivery import diagnosis
from lib.domain import requests
from lib.domain.errors import ExtractionError
from lib.domain.messages import Notice
from lib.domain.outcomes import Finished
from lib.domain.requests import Window
from lib.ui import formatting
from tests.support.servers import MERCHANTS, Databases

DAY = date(2026, 11, 20)
MERCHANT, OTHER = MERCHANTS
CARD = "4000001234561234"


def notices(databases: Databases) -> list[Notice]:
    settings = loader.from_values(databases.values, "teste", {})
    return list(diagnosis.check_sources(settings, defaults.request(settings, DAY, days=0)))


def serious(notices: list[Notice]) -> list[Notice]:
    return [notice for notice in notices if notice.serious]


@pytest.mark.parametrize(("back", "empty"), [(1, 0), (2, 1), (4, 3)])
def test_a_day_without_records_is_pointed_out_once_it_is_over_wherever_the_rows_are(
    databases: Databases, back: int, empty: int
) -> None:
    yesterday = DAY - timedelta(days=1)
    databases.fill(
        [(CARD, yesterday, "12:00", MERCHANT, None, 1)],
        auth_logs=[(CARD, yesterday, "12:00", "00", "", "0" + MERCHANT)],
    )
    settings = loader.from_values(databases.values, "teste", {})
    outcome = pipeline.run(settings, defaults.request(settings, DAY, days=back))
    in_files = Finished(**{field.name: getattr(outcome, field.name) for field in fields(Finished)})
    of_memory = diagnosis.notices_of_run(outcome)
    assert diagnosis.notices_of_run(in_files) == of_memory
    days = [notice.values.get("days", 1) for notice in of_memory]
    assert days == ([empty, empty] if empty else [])


def test_databases_in_order_are_reported_and_nothing_else(databases: Databases) -> None:
    databases.fill(
        [(CARD, DAY, "10:00", MERCHANT, None, "1.00")],
        auth_logs=[(CARD, DAY, "10:00", "00", "", "0" + MERCHANT)],
    )
    results = notices(databases)
    assert [notice.template for notice in results] == [diagnosis.CONNECTED] * 2
    assert [notice.values["side"] for notice in results] == list(requests.SIDES)
    assert [notice.values["rows"] for notice in results] == [1, 1]
    assert serious(results) == []


def test_times_that_are_the_end_of_a_day_are_reported(databases: Databases) -> None:
    databases.fill(
        [(CARD, DAY, "10:00", MERCHANT, None, "1.00")],
        auth_logs=[(CARD, DAY, at, "00", "", "0" + MERCHANT) for at in ("24:00", "00:00", None)],
    )
    assert serious(notices(databases)) == [
        Notice(diagnosis.END_OF_DAY, {"side": "auth_logs", "odd": 1, "rows": 3})
    ]


@pytest.mark.parametrize(("seconds", "reported"), [(59, False), (61, True), (-7200, True)])
def test_clocks_that_differ_by_more_than_a_minute_are_reported(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, seconds: int, reported: bool
) -> None:
    # Both servers have this machine's clock, so one of their answers is shifted.
    survey = source_checks.survey

    def shifted(settings: Settings, side: requests.Side, window: Window) -> Survey:
        answer = survey(settings, side, window)
        return replace(answer, server_time=answer.server_time + seconds * (side == "auth_logs"))

    monkeypatch.setattr(source_checks, "survey", shifted)
    templates = [notice.template for notice in serious(notices(databases))]
    assert (diagnosis.CLOCKS in templates) == reported


def test_a_side_that_takes_long_to_examine_leaves_the_clocks_alone(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey, begin = source_checks.survey, time.time()
    spent = {"transactions": 100, "auth_logs": 300}
    clock = threading.local()  # each side has its own thread

    def slow(settings: Settings, side: requests.Side, window: Window) -> Survey:
        answer = survey(settings, side, window)
        clock.now = begin + spent[side]
        return replace(answer, server_time=clock.now)

    monkeypatch.setattr(diagnosis.time, "time", lambda: getattr(clock, "now", begin))
    monkeypatch.setattr(source_checks, "survey", slow)
    results = notices(databases)
    assert serious(results) == []
    assert [notice.values["drift"] for notice in results] == [0, 0]


def test_a_clock_slightly_behind_is_not_shown_as_minus_zero(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = source_checks.survey

    def shifted(settings: Settings, side: requests.Side, window: Window) -> Survey:
        return replace(survey(settings, side, window), server_time=time.time() - 0.2)

    monkeypatch.setattr(source_checks, "survey", shifted)
    assert [" +0 s " in str(notice) for notice in notices(databases)[:2]] == [True, True]


def test_numbers_in_a_notice_are_written_as_the_reader_writes_them() -> None:
    assert formatting.sentence(Notice("{rows} registros", {"rows": 4943})) == r"4\.943 registros"


def test_logs_without_the_merchant_are_reported(databases: Databases) -> None:
    databases.fill(auth_logs=[(CARD, DAY, "10:00", "00", "", "0" + OTHER)])
    assert serious(notices(databases)) == [Notice(diagnosis.NO_MERCHANT, {"merchant": MERCHANT})]


def test_padded_or_odd_virtual_numbers_and_codes_with_spaces_are_counted(
    databases: Databases,
) -> None:
    numbers = [f"{CARD}    ", CARD, f"VC0001{CARD}", f"VC01{CARD}", None]
    databases.fill(
        [(CARD, DAY, "10:00", MERCHANT, number, "1.00") for number in numbers],
        auth_logs=[
            (CARD, DAY, "10:00", code, "", "0" + MERCHANT) for code in ("00", "00 ", "\t00", None)
        ],
    )
    assert serious(notices(databases)) == [
        Notice(diagnosis.ODD_VIRTUAL, {"side": "transactions", "odd": 1, "rows": 5}),
        Notice(diagnosis.OTHER_LENGTH, {"side": "transactions", "odd": 1, "rows": 5}),
        Notice(diagnosis.SPACED_CODES, {"side": "auth_logs", "odd": 2, "rows": 4}),
    ]


@pytest.mark.parametrize("failing", requests.SIDES)
def test_what_is_found_on_one_side_is_told_where_the_other_fails(
    databases: Databases, failing: requests.Side
) -> None:
    table = {"transactions": "transactions", "auth_logs": "authentication.transaction_logs"}
    databases.execute(failing, f"REVOKE SELECT ON {table[failing]} FROM aggregator")
    settings = loader.from_values(databases.values, "teste", {})
    told: list[Notice] = []
    with pytest.raises(ExtractionError) as caught:
        told.extend(diagnosis.check(settings, defaults.request(settings, DAY, days=0)))
    [found] = told
    assert found.template == diagnosis.CONNECTED
    assert found.values["side"] != failing
    assert str(caught.value).startswith(failing)


def test_both_sides_that_fail_are_named_at_once(databases: Databases) -> None:
    for side, table in (
        ("transactions", "transactions"),
        ("auth_logs", "authentication.transaction_logs"),
    ):
        databases.execute(side, f"REVOKE SELECT ON {table} FROM aggregator")
    with pytest.raises(ExtractionError) as caught:
        notices(databases)
    assert caught.value.template == BOTH_FAILED
    assert [str(error).partition(":")[0] for error in caught.value.values.values()] == list(
        requests.SIDES
    )
