"""Cases from the command line: runs over a changing world in real databases."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from lib import pipeline
from lib.analysis import case_evidence
from lib.cli import cases as cases_cli
from lib.cli import main
from lib.cli import run as scheduled
from lib.config import defaults, loader
from lib.dashboard import export_worker
from lib.delivery import (
    case_filters,
    case_labels,
    case_marks,
    case_queries,
    case_store,
    cases,
    merchant_summaries,
    run_lines,
    state_file,
)
from lib.domain import columns as c
from lib.domain.cases import Labels
from lib.domain.errors import HistoryError
from lib.reports.verification import verify
from lib.security.audit_events import Actor
from tests.support.command import Command
from tests.support.servers import MERCHANTS, Databases

MERCHANT = next(iter(MERCHANTS))
CARD = "400000123456{:04}"
TODAY = datetime.now(ZoneInfo("America/Sao_Paulo")).date()
YESTERDAY = TODAY - timedelta(days=1)


def days_ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def bought(card: int, day: int, at: str = "10:00:00", amount: str = "10.00") -> tuple[Any, ...]:
    return (CARD.format(card), days_ago(day), at, MERCHANT, None, amount)


def logged(card: int, day: int, at: str = "10:00:05", code: str = "00") -> tuple[Any, ...]:
    return (CARD.format(card), days_ago(day), at, code, "Compra", f"MSG {MERCHANT:0>15} FIM")


def keys(command: Command, **more: Any) -> dict[str, Any]:
    """Configuration keys with a state file of this test."""
    return {"history": {"path": str(command.folder / "state.sqlite")}, **more}


def judged(command: Command, *words: str, **more: Any) -> str:
    """The line about the cases that a successful run prints."""
    result = command.run(*words, **keys(command, **more))
    assert result.code == main.DONE, result.err
    lines = [line for line in result.out.splitlines() if line.startswith("Casos: ")]
    return lines[0] if lines else ""


def stored(command: Command, *words: str) -> list[dict[str, Any]]:
    result = command.say("cases", "--config", str(command.folder / "aggregator.toml"), *words)
    assert result.code == main.DONE, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def states(command: Command) -> dict[tuple[str, str], str]:
    """The state of every case, by kind and the last digits of its card."""
    return {
        (case["kind"], case["values"]["num_cartao"][-4:]): case["state"]
        for case in stored(command, "--all", "--json")
    }


def clear_tables(databases: Databases) -> None:
    databases.execute("transactions", "TRUNCATE transactions")
    databases.execute("auth_logs", "TRUNCATE authentication.transaction_logs")


def line(new: int, resolved: int, still: int) -> str:
    return run_lines.cases_line(case_store.Change(new, resolved, still, 0))


FIRST = {
    "transactions": [bought(1, 2), bought(2, 2), bought(9, 1)],
    "auth_logs": [logged(2, 2), logged(3, 3), logged(4, 3), logged(5, 3, code="51"), logged(6, 0)],
}


@pytest.mark.parametrize("kind", ["memory", "chunked"])
def test_four_runs_over_a_changing_world(command: Command, kind: str, tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "engine": {"kind": kind, "workers": 1, "staging_dir": str(tmp_path / "staging")}
    }
    # A declined log and one of today are no cases.
    command.databases.fill(**FIRST)
    assert judged(command, **more) == line(4, 0, 4)
    assert states(command) == dict.fromkeys(
        [("transaction", "0001"), ("transaction", "0009"), ("log", "0003"), ("log", "0004")], "new"
    )

    # The same world again, in clear: nothing is new, and no clear number is kept.
    assert judged(command, **more, privacy={"report": "clear"}) == line(0, 0, 4)
    assert set(states(command).values()) == {"open"}
    assert b"400000123456" not in (command.folder / "state.sqlite").read_bytes()

    # A log arrives for one, a transaction for another, and a third is gone from its source.
    command.databases.fill(auth_logs=[logged(1, 2)], transactions=[bought(3, 3)])
    delete = "DELETE FROM authentication.transaction_logs WHERE card_number LIKE '%0004'"
    command.databases.execute("auth_logs", delete)
    assert judged(command, **more) == line(0, 3, 1)
    assert states(command) == {
        ("transaction", "0001"): "matched",
        ("log", "0003"): "matched",
        ("log", "0004"): "missing",
        ("transaction", "0009"): "open",
    }
    counterparts = {
        case["values"]["num_cartao"][-4:]: case["counterpart"]
        for case in stored(command, "--all", "--json")
    }
    assert counterparts["0001"] == {
        "num_cartao": "400000******0001",
        "data": days_ago(2).isoformat(),
        "hora": "10:00:05",
        "cod_resposta": "00",
        "des_log": "Compra",
    }
    assert counterparts["0003"]["vlr_total"] == "10.00"
    assert counterparts["0004"] is None

    # What comes back is new; what is left is open.
    command.databases.fill(auth_logs=[logged(4, 3)])
    assert judged(command, **more) == line(1, 0, 2)
    assert states(command)["log", "0004"] == "new"
    assert [case["state"] for case in stored(command, "--new", "--json")] == ["new"]
    assert len(stored(command, "--json")) == len(stored(command, "--open", "--json")) == 2


def test_a_run_that_could_not_read_the_cases_closes_none(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more: dict[str, Any] = {
        "engine": {"kind": "chunked", "workers": 1, "staging_dir": str(tmp_path / "staging")}
    }
    command.databases.fill(**FIRST)
    assert judged(command, **more) == line(4, 0, 4)
    command.databases.fill(transactions=[bought(3, 3)], auth_logs=[logged(8, 3)])

    def busy(*_: object) -> None:
        raise HistoryError(state_file.BUSY, path="x", seconds=10)

    with monkeypatch.context() as patch:
        patch.setattr(case_store, "watched", busy)
        assert judged(command, **more) == line(1, 0, 5)
    assert judged(command, **more) == line(0, 1, 4)
    assert states(command)["log", "0003"] == "matched"


def test_a_case_is_one_json_object_with_the_contracts_fields(command: Command) -> None:
    command.databases.fill(
        customer_cards=[("12345678909", CARD.format(1))],
        transactions=[bought(1, 2, amount="1234.50")],
        auth_logs=[logged(3, 3)],
    )
    judged(command)
    log, transaction = stored(command, "--json")
    assert list(log) == [
        *("key", "kind", "merchant", "state", "status", "owner", "first_seen", "last_seen"),
        *("motivo", "counterpart", "values"),
    ]
    assert (log["kind"], log["merchant"], log["motivo"]) == (
        "log",
        MERCHANT,
        "aprovada sem transação",
    )
    assert transaction["values"] == {
        "num_cpf": "***.456.789-**",
        "num_cartao": "400000******0001",
        "num_cartao_virtual": None,
        "data_transa": days_ago(2).isoformat(),
        "hora_transa": "10:00:00",
        "vlr_total": "1234.50",
        "des_cnpj_reduzido": MERCHANT,
    }
    assert len(log["key"]) == 16
    assert datetime.fromisoformat(log["first_seen"]).utcoffset() == timedelta(0)
    assert command.say("cases", "--new", "--all").sentence == cases_cli.ONE_CHOICE


def test_a_rehearsal_and_another_rule_judge_nothing(command: Command) -> None:
    command.databases.fill(**FIRST)
    assert judged(command, "--dry-run") == ""
    assert judged(command, "--rule", "card_time") == ""
    assert judged(command, "--tolerance-minutes", "9") == ""
    assert stored(command, "--all", "--json") == []
    assert judged(command) == line(4, 0, 4)
    clear_tables(command.databases)
    assert judged(command, "--rule", "card_time") == ""
    assert set(states(command).values()) == {"new"}
    assert judged(command, "--rule", "card_time", match_rule="card_time") == line(0, 4, 0)


def test_days_that_are_not_read_keep_their_cases(command: Command) -> None:
    command.databases.fill(**FIRST)
    judged(command)
    clear_tables(command.databases)
    period = ("--start", f"{days_ago(2)}", "--end", f"{days_ago(1)}")
    result = judged(command, *period)
    # The first day was judged before: under rule card it keeps its cases as well.
    assert states(command) == {
        ("transaction", "0001"): "open",
        ("transaction", "0009"): "missing",
        ("log", "0003"): "open",
        ("log", "0004"): "open",
    }
    assert result == line(0, 1, 1) + run_lines.OUTSIDE.format(outside=2)


def test_a_day_is_judged_first_where_no_run_judged_it(command: Command) -> None:
    command.databases.fill(**FIRST)
    period = ("--start", f"{days_ago(3)}", "--end", f"{days_ago(3)}")
    assert judged(command, *period) == line(2, 0, 2)
    clear_tables(command.databases)
    assert judged(command, *period) == line(0, 0, 2)


def test_after_a_change_of_the_approved_codes_a_declined_log_needs_nobody(
    command: Command,
) -> None:
    command.databases.fill(auth_logs=[logged(3, 3), logged(4, 3, code="51")])
    judged(command)
    assert judged(command, approved_codes=["51"]) == line(1, 1, 1)
    assert states(command) == {("log", "0003"): "matched", ("log", "0004"): "new"}
    assert all(case["counterpart"] is None for case in stored(command, "--all", "--json"))


def test_a_store_that_cannot_be_used_never_stops_the_report(command: Command) -> None:
    (command.folder / "state.sqlite").write_bytes(b"isto nao e um banco" * 100)
    command.databases.fill(**FIRST)
    result = command.run(**keys(command))
    assert result.code == main.DONE
    assert result.out.splitlines()[-1] == scheduled.WRITTEN.format(name=command.target.name)
    assert "Casos: " not in result.out


def test_rows_of_a_screen_have_the_keys_of_their_cases(command: Command) -> None:
    command.databases.fill(**FIRST)
    judged(command)
    settings = loader.load(command.folder / "aggregator.toml")
    outcome = pipeline.run(settings, defaults.request(settings, TODAY))
    divergent, without_log = case_evidence.keys(outcome.reconciliation, MERCHANT, clear=False)
    listed = {case["key"]: case["values"] for case in stored(command, "--json")}
    cards = outcome.reconciliation.divergences()["num_cartao"].to_pylist()
    assert [
        listed[key]["num_cartao"] == card if key in listed else card[-4:] in ("0005", "0006")
        for key, card in zip(divergent, cards, strict=True)
    ] == [True] * 4
    assert {listed[key]["num_cartao"][-4:] for key in without_log} == {"0001", "0009"}


def test_a_reader_sees_the_cases_of_rows_that_their_own_data_have(command: Command) -> None:
    command.databases.fill(**FIRST)
    command.databases.fill(auth_logs=[logged(3, 3), logged(3, 3)])
    judged(command)
    assert len(stored(command, "--json")) == 6
    settings = loader.load(command.folder / "aggregator.toml")
    path = state_file.path_of(settings)
    # What a reader's own policies leave of the rows.
    clear_tables(command.databases)
    command.databases.fill(transactions=[bought(1, 2)], auth_logs=[logged(1, 2), logged(3, 3)])
    outcome = pipeline.run(settings, defaults.request(settings, TODAY))
    visible = case_labels.visible(path, outcome)
    query = case_filters.Filter(keys=visible)
    seen = case_queries.find(path, MERCHANT, query)
    assert sorted(str(c.values["num_cartao"])[-4:] for c in seen.cases) == ["0001", "0003"]
    assert seen.total == 2
    counts = case_queries.counts(path, MERCHANT, TODAY, settings.zone, visible)
    assert (counts.new, counts.open, counts.by_age) == (2, 2, (2, 0, 0, 0, 0))


def test_a_summary_has_the_runs_and_the_cases_of_its_merchant(command: Command) -> None:
    command.databases.fill(**FIRST)
    judged(command)
    judged(command)
    settings = loader.load(command.folder / "aggregator.toml")
    first, second = merchant_summaries.summaries(settings, settings.merchants, TODAY)
    assert (first.merchant, first.counts.open, first.counts.new) == (MERCHANT, 4, 0)
    assert [rate for _, rate in first.rates] == [1 - 4 / 5] * 2
    assert first.reach == (days_ago(1), TODAY)
    assert (second.last, second.rates, second.counts.open) == (None, (), 0)


@pytest.mark.parametrize("report", ["masked", "clear"])
@pytest.mark.parametrize("kind", ["memory", "chunked"])
def test_a_report_with_the_cases_says_what_each_divergence_is(
    command: Command, kind: str, report: str, tmp_path: Path
) -> None:
    more: dict[str, Any] = {
        "cases": {"in_report": True},
        "privacy": {"report": report},
        "engine": {"kind": kind, "workers": 1, "staging_dir": str(tmp_path / "staging")},
    }
    command.databases.fill(**FIRST)
    judged(command, **more)
    assert labels(command) == {
        "0003": ("nova", TODAY, None),
        "0004": ("nova", TODAY, None),
        "0005": (None, None, None),
        "0006": (None, None, None),
    }
    settings = loader.load(command.folder / "aggregator.toml")
    path = state_file.path_of(settings)
    [case] = case_queries.find(path, MERCHANT, case_filters.Filter(search="0003")).cases
    ana = Actor("ana@example.com", "127.0.0.1")
    change = case_marks.Mark(status="em análise", owner="ana@example.com")
    case_marks.mark(settings, [MERCHANT], ana, MERCHANT, {case.key: case.version}, change)
    judged(command, **more)
    assert labels(command)["0003"] == ("em análise", TODAY, "ana@example.com")
    assert labels(command)["0004"] == ("aberta", TODAY, None)
    assert verify(command.target).problems == ()


def labels(command: Command) -> dict[str, tuple[Any, ...]]:
    """The last three columns of the divergences, by the last digits of the card."""
    with closing(openpyxl.load_workbook(command.target, read_only=True)) as workbook:
        header, *rows = workbook["Divergentes"].iter_rows(values_only=True)
    assert header[-3:] == c.CASE_COLUMNS
    return {row[0][-4:]: (row[-3], row[-2] and row[-2].date(), row[-1]) for row in rows if row[0]}


def test_a_workbook_of_the_page_has_the_same_labels_and_judges_nothing(
    command: Command, tmp_path: Path
) -> None:
    more: dict[str, Any] = {"cases": {"in_report": True}}
    command.databases.fill(**FIRST)
    judged(command, **more)
    scheduled_labels = labels(command)
    settings = loader.load(command.folder / "aggregator.toml")
    outcome = pipeline.run(settings, defaults.request(settings, TODAY))
    shown = cases.labels_of_export(settings, outcome)
    job = export_worker.spool(outcome, tmp_path, {}, lambda: shown)
    again = export_worker.unspool(tmp_path, json.loads(json.dumps(job)))
    decoded = Labels.decode(MERCHANT, json.loads(json.dumps(job))["labels"])
    command.target.unlink()
    pipeline.publish(again, command.target, labels=decoded)
    assert labels(command) == scheduled_labels
    assert set(states(command).values()) == {"new"}
