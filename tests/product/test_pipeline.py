"""Requests and their windows, and the outcome of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lib import pipeline
from lib.analysis import books
from lib.config import defaults, loader
from lib.database import date_validation
from lib.domain import container, memory, outcomes, requests
from lib.domain.errors import ConfigError, ContractError, ExtractionError
from lib.domain.requests import CARD, CARD_TIME, Period, Rule, Side
from lib.matching import reconcile
from lib.matching.log_index import LogIndex
from lib.matching.prepared import Transactions
from lib.reports import verification
from tests.support.command import (
    behind_gate,
    gate,
    nothing_runs,
    sheets,
    slow_query,
    with_query,
)
from tests.support.sentences import pattern
from tests.support.servers import MERCHANTS, Databases

TODAY = date(2026, 11, 22)
ZONE = ZoneInfo("America/Sao_Paulo")
STARTED = datetime.now(ZONE).replace(microsecond=0)
FIRST, SECOND = MERCHANTS
SOURCE = {"host": "/nowhere", "database": "d", "user": "u"}
VALUES: Mapping[str, Any] = {
    "merchants": MERCHANTS,
    "transactions": SOURCE,
    "auth_logs": SOURCE,
}


def request(keys: Mapping[str, Any] | None = None, **arguments: Any) -> requests.Request:
    settings = loader.from_values({**VALUES, **(keys or {})}, "teste", {})
    return defaults.request(settings, TODAY, **arguments)


def day(back: int) -> date:
    return TODAY - timedelta(days=back)


PERIODS: list[tuple[dict[str, Any], dict[str, Any], date, date]] = [
    ({}, {}, day(10), TODAY),
    ({"window_days": 0}, {}, TODAY, TODAY),
    ({"window_days": 3}, {}, day(3), TODAY),
    ({"window_days": 3}, {"days": 7}, day(7), TODAY),
    ({}, {"days": 0}, TODAY, TODAY),
    ({}, {"days": 365}, date(2025, 11, 22), TODAY),
    ({}, {"start": day(9), "end": day(9)}, day(9), day(9)),
    ({}, {"start": day(400), "end": day(-30)}, day(400), day(-30)),
]


@pytest.mark.parametrize(("keys", "arguments", "start", "end"), PERIODS)
def test_a_period_is_a_number_of_days_to_today_or_from_one_date_to_another(
    keys: dict[str, Any], arguments: dict[str, Any], start: date, end: date
) -> None:
    assert request(keys, **arguments).period == Period(start, end, TODAY)


RULES: list[tuple[dict[str, Any], dict[str, Any], Rule]] = [
    ({}, {}, Rule(CARD, 300, ("00",))),
    ({"match_rule": "card_time"}, {}, Rule(CARD_TIME, 300, ("00",))),
    ({"match_rule": "card_time"}, {"rule": "card"}, Rule(CARD, 300, ("00",))),
    ({"tolerance_minutes": 9}, {"rule": "card_time"}, Rule(CARD_TIME, 540, ("00",))),
    ({"tolerance_minutes": 9}, {"tolerance_minutes": 0}, Rule(CARD, 0, ("00",))),
    ({"approved_codes": ["00", "85"]}, {}, Rule(CARD, 300, ("00", "85"))),
]


@pytest.mark.parametrize(("keys", "arguments", "rule"), RULES)
def test_arguments_override_the_configuration(
    keys: dict[str, Any], arguments: dict[str, Any], rule: Rule
) -> None:
    assert request(keys, **arguments).rule == rule


def test_the_merchant_is_the_first_configured_one_unless_another_is_requested() -> None:
    assert request().merchant == FIRST
    assert request(merchant=SECOND).merchant == SECOND


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"days": 3, "start": day(3)}, defaults.DAYS_AND_DATES),
    ({"days": 0, "start": day(3), "end": TODAY}, defaults.DAYS_AND_DATES),
    ({"days": 3, "end": TODAY}, defaults.DAYS_AND_DATES),
    ({"start": day(3)}, defaults.ONE_DATE),
    ({"end": day(3)}, defaults.ONE_DATE),
    ({"start": TODAY, "end": day(1)}, defaults.REVERSED_DATES),
    ({"merchant": "11111111111111"}, loader.NOT_CONFIGURED),
    ({"merchant": "não é"}, loader.NOT_CONFIGURED),
]


@pytest.mark.parametrize(("arguments", "template"), REFUSALS)
def test_an_invalid_request_is_refused_in_one_sentence(
    arguments: dict[str, Any], template: str
) -> None:
    with pytest.raises(ConfigError, match=pattern(template)):
        request(**arguments)


WINDOWS: list[tuple[dict[str, Any], int]] = [
    ({"rule": CARD, "tolerance_minutes": 60}, 0),
    ({"rule": CARD_TIME, "tolerance_minutes": 0}, 0),
    ({"rule": CARD_TIME, "tolerance_minutes": 1}, 1),
    ({"rule": CARD_TIME, "tolerance_minutes": 1_440}, 1),
    ({"rule": CARD_TIME, "tolerance_minutes": 1_441}, 2),
]


@pytest.mark.parametrize(("arguments", "wider"), WINDOWS)
def test_rule_card_time_reads_every_date_its_tolerance_touches(
    arguments: dict[str, Any], wider: int
) -> None:
    window = requests.window_of(request(start=day(2), end=day(1), **arguments))
    assert (window.start, window.end) == (day(2 + wider), day(1 - wider))


@pytest.mark.parametrize("end", [date(1, 1, 1), date.max])
def test_the_first_and_the_last_possible_date_can_be_requested(end: date) -> None:
    window = requests.window_of(request(start=end, end=end, rule=CARD_TIME))
    assert date.min <= window.start <= end <= window.end <= date.max


@pytest.fixture
def outcome(databases: Databases) -> outcomes.Outcome:
    """A run of three purchases around midnight at the end of a period of one day."""
    rows = [
        ("4000001", day(1), "23:59:50", FIRST, None, 10),
        ("4000002", TODAY, "00:00:10", FIRST, None, 20),
        ("4000003", day(1), "10:00", FIRST, None, 30),
    ]
    logs = [
        ("4000001", TODAY, "00:00:05", "00", "", "0" + FIRST),
        ("4000002", day(1), "23:59:55", "00", "", "0" + FIRST),
        ("9", day(1), "11:00", "51", "", "0" + FIRST),
    ]
    databases.fill(rows, auth_logs=logs)
    settings = loader.from_values(databases.values, "teste", {})
    one_day = defaults.request(settings, TODAY, start=day(1), end=day(1), rule=CARD_TIME)
    return pipeline.run(settings, one_day)


def test_a_run_under_rule_card_time_pairs_across_the_edges_of_its_period(
    outcome: outcomes.Outcome,
) -> None:
    books = outcome.books
    assert (books.transactions, books.consolidated, books.without_log) == (2, 1, 1)
    assert (books.logs, books.logs_matched, books.divergences) == (2, 1, 1)
    [seconds] = outcome.reconciliation.pair_seconds.tolist()
    assert seconds == 15


def test_an_outcome_has_its_merchant_the_moment_of_extraction_and_the_durations(
    outcome: outcomes.Outcome,
) -> None:
    now = datetime.now(ZONE)
    assert outcome.merchant_name == MERCHANTS[FIRST]
    assert not outcome.clear
    assert outcome.extracted_at.utcoffset() == now.utcoffset()
    assert STARTED <= outcome.extracted_at <= now
    assert set(outcome.seconds) >= {"extract", "match"}


def test_the_side_that_arrives_first_is_prepared_while_the_other_is_read(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, build = threading.Event(), LogIndex.build

    def observed(*arguments: Any) -> LogIndex:
        index = build(*arguments)
        prepared.set()
        return index

    def progress(stage: str, _: int) -> None:
        if stage == "transactions":
            assert prepared.wait(60)

    monkeypatch.setattr(LogIndex, "build", observed)
    databases.fill([], auth_logs=[("9", day(1), "12:00", "00", "", "012345678000190")])
    settings = loader.from_values(databases.values, "teste", {})
    asked = defaults.request(settings, TODAY, rule=CARD)
    assert pipeline.run(settings, asked, progress=progress).books.divergences == 1


def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "free_bytes", lambda: 1 << 40)
    monkeypatch.setitem(memory.PREPARING_BYTES, CARD, dict.fromkeys(requests.SIDES, 1 << 50))


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transactions, "of", lambda table: table.missing)


WITHOUT_DATES = (
    "SELECT NULL AS num_cpf, card_number AS num_cartao, NULL AS num_cartao_virtual,"
    " transaction_date AS data_transa, transaction_time AS hora_transa, amount AS vlr_total,"
    " merchant_id AS des_cnpj_reduzido FROM transactions"
)
LOGS_WITHOUT_DATES = (
    "SELECT card_number AS num_cartao, log_date AS data, log_time AS hora,"
    " response_code AS cod_resposta, description AS des_log, raw_data AS des_linha_recebimento"
    " FROM authentication.transaction_logs"
)
FAILURES = {
    "a lack of memory": (short_of_memory, pattern(pipeline.NO_MEMORY)),
    "dates of another period": (lambda _: None, pattern(date_validation.OUTSIDE_WINDOW)),
    "a bug": (broken, "has no attribute 'missing'"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_while_a_side_is_prepared_ends_the_read_of_the_other(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: str
) -> None:
    strike, message = FAILURES[failure]
    strike(monkeypatch)
    back = 40 if failure == "dates of another period" else 1
    databases.fill([("9", day(back), "12:00", FIRST, None, 1)])
    values = with_query(databases.values, "transactions", tmp_path, WITHOUT_DATES)
    values = with_query(values, "auth_logs", tmp_path, slow_query("auth_logs"))
    settings = loader.from_values(values, "teste", {})
    with pytest.raises((ExtractionError, AttributeError), match=message):
        pipeline.run(settings, defaults.request(settings, TODAY))
    assert nothing_runs(databases)


def test_no_other_check_counts_on_the_memory_that_preparation_and_matching_take(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, steps = 1 << 40, []

    def observed(step: Callable[..., Any], taken: int) -> Callable[..., Any]:
        def observing(*arguments: Any) -> Any:
            with pytest.raises(MemoryError):
                memory.require(free - taken + 1)
            steps.append(taken)
            return step(*arguments)

        return observing

    preparing, matching = memory.PREPARING_BYTES[CARD]["transactions"], memory.MATCHING_BYTES[CARD]
    monkeypatch.setattr(container, "free_bytes", lambda: free)
    monkeypatch.setattr(Transactions, "of", observed(Transactions.of, preparing))
    monkeypatch.setattr(reconcile, "match", observed(reconcile.match, matching))
    monkeypatch.setattr(books, "balance_by_day", observed(books.balance_by_day, matching))
    databases.fill([("9", day(1), "12:00", FIRST, None, 1)])
    settings = loader.from_values(databases.values, "teste", {})
    assert pipeline.run(settings, defaults.request(settings, TODAY)).books.transactions == 1
    assert steps == [preparing, matching, matching]
    memory.require(free)


@pytest.mark.parametrize("last", requests.SIDES)
def test_wrong_dates_on_both_sides_are_one_sentence_whichever_side_arrives_first(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last: Side
) -> None:
    databases.fill(
        [("9", day(40), "12:00", FIRST, None, 1)],
        auth_logs=[("9", day(50), "12:00", "00", "", "0" + FIRST)],
    )
    queries = {"transactions": WITHOUT_DATES, "auth_logs": LOGS_WITHOUT_DATES}
    values = databases.values
    for side, sql in queries.items():
        query = behind_gate(sql) if side == last else sql
        values = with_query(values, side, tmp_path, query)
    settings = loader.from_values(values, "teste", {})
    sentence = str(
        ContractError(
            date_validation.OUTSIDE_WINDOW, side="transactions", first=day(40), last=day(40)
        )
    )
    require_dates = date_validation.require_dates
    with gate(databases, last) as open_gate:

        def observed(side: Side, *arguments: Any) -> None:
            if side != last:
                open_gate()
            require_dates(side, *arguments)

        monkeypatch.setattr(date_validation, "require_dates", observed)
        with pytest.raises(ContractError) as refusal:
            pipeline.run(settings, defaults.request(settings, TODAY, rule=CARD))
    assert str(refusal.value) == sentence


def test_a_published_workbook_verifies_and_has_the_rows_of_its_outcome(
    outcome: outcomes.Outcome, tmp_path: Path
) -> None:
    target = tmp_path / "a.xlsx"
    stages: list[tuple[str, int]] = []
    written = pipeline.publish(outcome, target, progress=lambda *stage: stages.append(stage))
    assert stages == [("writing", 2)]
    assert written.path == target
    assert len(sheets(target).consolidated) == len(sheets(target).divergences) == 1
    assert verification.verify(target).problems == ()


def test_today_is_the_date_in_the_configured_time_zone() -> None:
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        settings = loader.from_values({**VALUES, "timezone": zone}, "teste", {})
        earliest = datetime.now(ZoneInfo(zone)).date()
        assert earliest <= defaults.local_today(settings) <= datetime.now(ZoneInfo(zone)).date()
