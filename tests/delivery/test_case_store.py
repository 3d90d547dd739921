"""The state file as a store of cases: marks, migration, concurrency, and what a fault leaves."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from lib.analysis.case_evidence import Evidence
from lib.config.settings import ROOT, Settings
from lib.delivery import case_marks, case_pages, case_queries, case_store, state_file
from lib.delivery.case_filters import Filter
from lib.delivery.case_marks import Mark
from lib.delivery.case_store import Judging
from lib.delivery.history import History
from lib.domain import cases
from lib.domain.errors import AccessError, AuditError, ConfigError, HistoryError
from lib.security import audit_events
from lib.security.audit_events import Actor
from tests.delivery.test_case_states import MERCHANT, rows
from tests.support.sentences import pattern

ANA = Actor("ana@example.com", "10.0.0.7")
RUI = Actor("rui@example.com", "10.0.0.8")
DAY = date(2026, 11, 1)
AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
# The table as the version before the cases wrote it.
OLD = """
CREATE TABLE runs (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, began_at DATETIME NOT NULL,
 ended_at DATETIME, origin VARCHAR NOT NULL, who VARCHAR NOT NULL, process INTEGER NOT NULL,
 process_born FLOAT NOT NULL, merchant VARCHAR NOT NULL, merchant_name VARCHAR NOT NULL,
 period_start DATE NOT NULL, period_end DATE NOT NULL, rule VARCHAR NOT NULL,
 tolerance_seconds INTEGER NOT NULL, clear BOOLEAN NOT NULL, outcome VARCHAR NOT NULL,
 message VARCHAR, note VARCHAR, books JSON, seconds JSON, file VARCHAR, size_bytes INTEGER,
 sha256 VARCHAR);
INSERT INTO runs VALUES (7, '2026-11-19 09:00:00.000000', '2026-11-19 09:00:09.000000',
 'scheduled', 'root', 1, 1.0, '12345678000190', 'Loja Exemplo', '2026-11-09', '2026-11-19', 'card',
 300, 0, 'concluída', NULL, NULL, '{"logs": 10, "divergences": 1}', NULL, NULL, NULL, NULL);
"""
VERSION_3 = ROOT / "tests" / "support" / "data" / "state_file_3.sql"
WRITER = """
import sys
from pathlib import Path
from lib.delivery import state_file
with state_file.writing(Path(sys.argv[1])) as connection:
    connection.exec_driver_sql("UPDATE cases SET owner = 'half'")
    print("half", flush=True)
    sys.stdin.read()
"""


def judge(path: Path, run: int, cards: list[int], at: datetime = AT, **more: Any) -> Any:
    """Judge a run that found logs of these cards on the first day."""
    judging = Judging(
        run=run, merchant=MERCHANT, at=at, period=(DAY, DAY), days=frozenset([DAY]), **more
    )
    found = cases.of_run(MERCHANT, rows((cases.LOG, card, 0) for card in cards))
    return case_store.judge(path, judging, found, lambda gone: Evidence())


def everything(path: Path) -> dict[str, case_queries.Case]:
    query = Filter(states=cases.STATES)
    return {str(c.values["num_cartao"])[-1]: c for c in case_queries.each(path, MERCHANT, query)}


def mark(
    settings: Settings, actor: Actor, change: Mark, *seen: case_queries.Case
) -> case_marks.Marked:
    expected = {case.key: case.version for case in seen}
    return case_marks.mark(settings, [MERCHANT], actor, MERCHANT, expected, change)


def records(settings: Settings) -> list[dict[str, Any]]:
    assert settings.audit.path is not None
    lines = map(json.loads, settings.audit.path.read_text().splitlines())
    return [line for line in lines if line["kind"] == "mark"]


def test_a_mark_is_in_the_case_its_timeline_and_the_audit(settings: Settings, path: Path) -> None:
    judge(path, 1, [1, 2])
    case = everything(path)["1"]
    change = Mark(
        status=cases.ACCEPTED,
        reason="Teste da loja com o cartão 4000 0012 3456 1234",
        owner=ANA.name,
        note="Ligar para 123.456.789-09",
    )
    assert mark(settings, ANA, change, case).applied == (case.key,)
    marked = everything(path)["1"]
    assert (marked.status, marked.owner) == (cases.ACCEPTED, ANA.name)
    events = case_queries.timeline(path, case.key)
    assert [(event.kind, event.who) for event in events] == [
        ("opened", ""),
        *((kind, ANA.name) for kind in ("status", "owner", "note")),
    ]
    [record] = records(settings)
    assert (record["who"], record["from"], record["keys"]) == (ANA.name, ANA.origin, [case.key])
    assert record["status"] == cases.ACCEPTED
    for text in (*(str(event.text) for event in events), *map(str, record.values())):
        assert "1234 5678" not in text
        assert "0012" not in text
        assert "456.789" not in text
    counts = case_queries.counts(path, MERCHANT, date(2026, 11, 24), ZoneInfo("UTC"))
    assert (counts.open, counts.by_age, counts.by_owner) == (1, (0, 0, 1, 0, 0), {None: 1})
    assert counts.by_status == {None: 1, cases.ACCEPTED: 1}


def test_what_somebody_else_changed_meanwhile_is_shown_and_not_overwritten(
    settings: Settings, path: Path
) -> None:
    judge(path, 1, [1, 2])
    seen = everything(path)
    mark(settings, RUI, Mark(owner=RUI.name), seen["1"])
    marked = mark(settings, ANA, Mark(owner=ANA.name), *seen.values())
    assert marked.applied == (seen["2"].key,)
    assert [(case.key, case.owner) for case in marked.conflicts] == [(seen["1"].key, RUI.name)]
    # A note is only added, and a second look allows the change.
    assert mark(settings, ANA, Mark(note="vi"), seen["1"]).conflicts == ()
    assert mark(settings, ANA, Mark(owner=ANA.name), *marked.conflicts).conflicts == ()
    assert everything(path)["1"].owner == ANA.name


def test_accepted_stays_and_resolved_is_unmarked_when_a_case_comes_back(
    settings: Settings, path: Path
) -> None:
    judge(path, 1, [1, 2, 3])
    seen = everything(path)
    mark(settings, ANA, Mark(status=cases.ACCEPTED, reason="ok", owner="a"), seen["1"])
    mark(settings, ANA, Mark(status=cases.RESOLVED, owner="b"), seen["2"])
    assert judge(path, 2, [1, 2, 3]).open == 1
    assert {case.state for case in everything(path).values()} == {cases.OPEN}
    assert everything(path)["2"].status == cases.RESOLVED
    change = judge(path, 3, [])
    assert (change.resolved, change.open) == (1, 0)
    change = judge(path, 4, [1, 2, 3])
    assert (change.new, change.open) == (2, 2)
    again = everything(path)
    assert {case.state for case in again.values()} == {cases.NEW}
    assert (again["1"].status, again["1"].owner) == (cases.ACCEPTED, "a")
    assert (again["2"].status, again["2"].owner) == (None, None)
    kinds = [event.kind for event in case_queries.timeline(path, again["2"].key)]
    assert kinds == ["opened", "status", "owner", "missing", "reopened"]


@pytest.mark.parametrize(
    ("analyst", "change", "error", "sentence"),
    [
        ([], Mark(note="x"), AccessError, case_marks.NOT_ALLOWED),
        (["99999999000199"], Mark(note="x"), AccessError, case_marks.NOT_ALLOWED),
        ([MERCHANT], Mark(status=cases.ACCEPTED), ConfigError, case_marks.NO_REASON),
        ([MERCHANT], Mark(status="feito"), ConfigError, case_marks.UNKNOWN_STATUS),
        ([MERCHANT], Mark(note="  "), ConfigError, case_marks.NO_MARK),
    ],
)
def test_a_mark_without_the_role_or_the_words_is_refused(
    settings: Settings,
    path: Path,
    analyst: list[str],
    change: Mark,
    error: type[Exception],
    sentence: str,
) -> None:
    judge(path, 1, [1])
    case = everything(path)["1"]
    with pytest.raises(error, match=pattern(sentence)):
        case_marks.mark(settings, analyst, ANA, MERCHANT, {case.key: 0}, change)
    assert everything(path)["1"] == case


def test_a_mark_that_the_audit_cannot_record_is_not_set(
    settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(path, 1, [1])
    case = everything(path)["1"]

    def refuse(*_: object, **__: object) -> None:
        raise AuditError("não")

    monkeypatch.setattr(audit_events, "record", refuse)
    with pytest.raises(AuditError):
        mark(settings, ANA, Mark(owner="x"), case)
    assert everything(path)["1"] == case


def test_a_history_of_before_is_taken_over_with_its_runs(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as file:
        file.executescript(OLD)
    assert [run.id for run in History(path).runs()] == [7]
    assert case_queries.find(path, MERCHANT).total == 0
    assert case_queries.counts(path, MERCHANT, DAY, ZoneInfo("UTC")).at is None
    judge(path, 8, [1])
    assert [run.id for run in History(path).runs()] == [7]
    assert History(path).runs()[0].divergence_rate == 0.1
    assert list(everything(path)) == ["1"]


@pytest.mark.parametrize("first", ["reader", "run"])
def test_the_cases_of_an_older_version_are_taken_over(path: Path, first: str) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as file:
        file.executescript(VERSION_3.read_text(encoding="utf-8"))
    second = AT + timedelta(days=1)
    if first == "run":
        # The day of card 1 is judged again, and the case without a date is gone.
        change = judge(path, 3, [1], at=second + timedelta(days=1))
        assert (change.new, change.resolved, change.open, change.outside) == (0, 1, 1, 1)
    found = everything(path)
    assert {card: (case.state, case.last_seen) for card, case in found.items()} == {
        "1": (cases.OPEN, AT + timedelta(days=2 if first == "run" else 1)),
        "2": (cases.OPEN, AT),
        "3": (cases.MISSING, AT),
        "7": (cases.MISSING if first == "run" else cases.OPEN, second),
    }
    assert case_queries.find(path, MERCHANT, Filter(search="******0002")).total == 1
    assert [event.kind for event in case_queries.timeline(path, found["3"].key)] == [
        "opened",
        "missing",
    ]


def test_a_search_finds_accents_in_the_cases_of_an_older_version(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as file:
        file.executescript(VERSION_3.read_text(encoding="utf-8"))
        file.execute("UPDATE cases SET text = 'TRANSAÇÃO NEGADA' WHERE card LIKE '%2'")
        file.commit()
    for words in ("TRANSAÇÃO", "transação neg", "transacao"):
        assert case_queries.find(path, MERCHANT, Filter(search=words)).total == 1


@pytest.mark.parametrize("version", [5, state_file.VERSION])
@pytest.mark.parametrize("words", ["transacao", "TRANSAÇÃO não", "livia", "LÍVIA çao"])
def test_a_search_looks_past_accents_as_in_the_tables(
    settings: Settings, path: Path, words: str, version: int
) -> None:
    table = rows([(cases.LOG, 1, 0), (cases.LOG, 2, 0)])
    at = table.column_names.index(cases.TEXT)
    table = table.set_column(at, cases.TEXT, [["TRANSAÇÃO NÃO CONCLUÍDA", None]])
    judging = Judging(1, MERCHANT, AT, (DAY, DAY), frozenset([DAY]))
    case_store.judge(path, judging, cases.of_run(MERCHANT, table), lambda gone: Evidence())
    mark(settings, ANA, Mark(owner="Lívia"), everything(path)["1"])
    if version == 5:
        with closing(sqlite3.connect(path)) as file:
            file.execute("UPDATE cases SET words = replace(words, 'cao nao', 'ção não')")
            file.execute("PRAGMA user_version = 5")
            file.commit()
    assert case_queries.find(path, MERCHANT, Filter(search=words)).total == 1


def test_texts_of_an_older_version_with_the_separator_of_packed_ones_stay_apart(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as file:
        file.executescript(VERSION_3.read_text(encoding="utf-8"))
        file.execute("UPDATE cases SET code = '0' || char(31) || '5', text = 'negada'")
        file.commit()
    values = [case.values for case in everything(path).values() if case.kind == cases.LOG]
    assert {(row["cod_resposta"], row["des_log"]) for row in values} == {("0 5", "negada")}


def test_identical_cases_of_an_older_version_keep_their_keys_and_are_told_apart(
    path: Path,
) -> None:
    twins = cases.of_run(MERCHANT, rows([(cases.LOG, 1, 0)] * 2))
    second = int(twins.keys[twins.ordinals == 2][0])
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as file:
        file.executescript(VERSION_3.read_text(encoding="utf-8"))
        names = [row[1] for row in file.execute("PRAGMA table_info(cases)")]
        values = ", ".join({"key": f"{second}", "ordinal": "2"}.get(name, name) for name in names)
        file.execute(f"INSERT INTO cases SELECT {values} FROM cases WHERE card LIKE '%1'")
        file.commit()
    same = case_queries.identical(path, cases.hexadecimal(second))
    assert same == set(map(cases.hexadecimal, twins.keys.tolist()))
    with state_file.reading(path) as connection:
        stored = connection.exec_driver_sql(
            "SELECT key, base, ordinal, digest FROM cases WHERE texts LIKE '%0001%' ORDER BY key"
        ).all()
    columns = (twins.keys, twins.bases, twins.ordinals, twins.digests)
    assert stored == list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_file_of_a_newer_version_is_one_sentence(path: Path) -> None:
    judge(path, 1, [1])
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {state_file.VERSION + 1}")
    with pytest.raises(HistoryError, match=pattern(state_file.NEWER)):
        judge(path, 2, [1])


def test_a_file_that_is_no_history_is_one_sentence(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"isto nao e um banco" * 100)
    for use in (
        lambda: judge(path, 1, [1]),
        lambda: case_queries.find(path, MERCHANT),
        lambda: case_queries.timeline(path, "0" * 16),
    ):
        with pytest.raises(HistoryError, match=pattern(state_file.NOT_A_HISTORY)):
            use()


def test_damage_among_the_cases_sets_the_file_aside_and_the_next_run_begins_another(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judge(path, 1, list(range(1, 9)))
    with closing(sqlite3.connect(path)) as file:
        ((size,),) = file.execute("PRAGMA page_size")
        ((page,),) = file.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'cases_by_moment'"
        )
    with path.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    with pytest.raises(HistoryError, match=pattern(state_file.DAMAGED)):
        judge(path, 2, [1])
    assert len(caplog.records) == 1
    assert judge(path, 3, [1]).new == 1


def test_a_killed_writer_leaves_the_file_whole(path: Path) -> None:
    judge(path, 1, [1, 2])
    before = everything(path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        assert everything(path) == before  # readers are not held up
        writer.send_signal(signal.SIGKILL)
    assert everything(path) == before
    assert judge(path, 2, [1, 2]).open == 2


def test_readers_and_marks_go_on_while_runs_judge(settings: Settings, path: Path) -> None:
    judge(path, 1, list(range(1, 9)))
    failures: list[BaseException] = []

    def repeated(work: Callable[[int], object]) -> threading.Thread:
        def run() -> None:
            try:
                for number in range(10):
                    work(number)
            except BaseException as problem:  # noqa: BLE001 shown below
                failures.append(problem)

        return threading.Thread(target=run)

    threads = [
        repeated(lambda n: judge(path, 2 + n, list(range(1, 9)))),
        repeated(lambda n: mark(settings, ANA, Mark(note=f"a {n}"), everything(path)["1"])),
        repeated(lambda n: mark(settings, RUI, Mark(note=f"r {n}"), everything(path)["1"])),
        repeated(lambda n: case_queries.find(path, MERCHANT).total == 8 or pytest.fail(str(n))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    notes = [e for e in case_queries.timeline(path, everything(path)["1"].key) if e.kind == "note"]
    assert len(notes) == 20


def test_cases_are_kept_for_some_days_after_they_were_last_seen(
    settings: Settings, path: Path
) -> None:
    judge(path, 1, [1, 2])
    key = everything(path)["1"].key
    later = AT + timedelta(days=30)
    judge(path, 2, [2], at=later, kept_since=later - timedelta(days=30))
    assert sorted(everything(path)) == ["1", "2"]
    much_later = later + timedelta(days=1)
    judge(path, 3, [2], at=much_later, kept_since=much_later - timedelta(days=30))
    assert list(everything(path)) == ["2"]
    assert case_queries.timeline(path, key) == ()


def test_cases_without_a_date_are_kept_as_long_as_others(path: Path) -> None:
    table = rows([(cases.LOG, 1, 0)])
    undated = table.set_column(
        table.column_names.index(cases.DAY), cases.DAY, pa.nulls(1, pa.date32())
    )
    for run, found, after in ((1, undated, 0), (2, undated[:0], 1), (3, undated[:0], 40)):
        at = AT + timedelta(days=after)
        judging = Judging(
            run=run,
            merchant=MERCHANT,
            at=at,
            period=(DAY, DAY),
            days=frozenset([DAY]),
            kept_since=at - timedelta(days=30),
        )
        numbered = cases.of_run(MERCHANT, found)
        case_store.judge(path, judging, numbered, lambda gone: Evidence())
        assert len(everything(path)) == (run < 3)


def test_the_counts_of_a_run_leave_out_what_it_removes(path: Path) -> None:
    judge(path, 1, [1])
    judging = Judging(
        run=2,
        merchant=MERCHANT,
        at=AT + timedelta(days=40),
        period=(DAY + timedelta(days=40), DAY + timedelta(days=40)),
        days=frozenset([DAY + timedelta(days=40)]),
        kept_since=AT + timedelta(days=10),
    )
    nothing = cases.of_run(MERCHANT, rows([]))
    change = case_store.judge(path, judging, nothing, lambda gone: Evidence())
    assert (change.open, change.outside) == (0, 0)


def test_an_open_case_was_last_seen_when_its_day_was_judged_last(path: Path) -> None:
    judge(path, 1, [1, 2])
    judge(path, 2, [1, 2], at=AT + timedelta(days=1))
    judge(path, 3, [2], at=AT + timedelta(days=2))
    judge(path, 4, [2], at=AT + timedelta(days=3))
    seen = {card: case.last_seen - AT for card, case in everything(path).items()}
    assert seen == {"1": timedelta(days=1), "2": timedelta(days=3)}


def test_the_sums_are_those_of_the_cases_after_runs_marks_and_removals(
    settings: Settings, path: Path
) -> None:
    judge(path, 1, [1, 1, 2, 3])
    seen = everything(path)
    mark(settings, ANA, Mark(status=cases.ACCEPTED, reason="ok", owner="a"), seen["1"], seen["2"])
    judge(path, 2, [1, 4], at=AT + timedelta(days=1))
    judge(path, 3, [1, 2, 4], at=AT + timedelta(days=2))
    later = AT + timedelta(days=40)
    judge(path, 4, [4], at=later, kept_since=later - timedelta(days=39))
    columns = "merchant, day, kind, motivo, state, opened_by, first_seen, status, owner"
    with state_file.reading(path) as connection:
        counted = connection.exec_driver_sql(f"SELECT {columns}, cases FROM case_counts").all()
        summed = connection.exec_driver_sql(
            f"SELECT {columns}, count(*) FROM cases GROUP BY {columns}"
        ).all()
    assert sorted(map(str, counted)) == sorted(map(str, summed))
    assert len(counted) > 1


@pytest.mark.parametrize(
    ("words", "cards"),
    [
        ("0002", {"2"}),
        ("400000", {"1", "2", "3"}),
        ("bia", {"3"}),
        ("BIA 0003", {"3"}),
        ("0002 bia", set[str]()),
        ("00 ****", {"1", "2", "3"}),
        ("100%", set[str]()),
    ],
)
@pytest.mark.parametrize("few", [100, 1])
def test_a_search_finds_cards_codes_texts_and_owners(
    settings: Settings,
    path: Path,
    words: str,
    cards: set[str],
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(case_pages, "FEW", few)
    judge(path, 1, [1, 2, 3])
    mark(settings, ANA, Mark(owner="Bia"), everything(path)["3"])
    query = Filter(search=words)
    found = case_queries.find(path, MERCHANT, query, sort="owner")
    assert {str(case.values["num_cartao"])[-1] for case in found.cases} == cards
    assert found.total == len(cards) == len(case_queries.versions(path, MERCHANT, query))


def test_cases_rank_by_situation_age_and_owner(settings: Settings, path: Path) -> None:
    judge(path, 1, [1, 2, 3])
    mark(settings, ANA, Mark(owner="Ana"), everything(path)["1"])
    judge(path, 2, [1, 2, 4], at=AT + timedelta(days=1))
    named = {case.key: card for card, case in everything(path).items()}

    def ranks(order: case_queries.RankedBy) -> dict[str, int]:
        found = case_queries.ranks(path, [*named, "f" * 16], order)
        return {named[key]: rank for key, rank in found.items()}

    assert ranks("situation") == {"4": 1, "1": 2, "2": 2, "3": 3}
    assert ranks("age") == {"4": 1, "1": 2, "2": 2, "3": 2}
    assert ranks("owner") == {"1": 1, "2": 2, "3": 2, "4": 2}


def test_the_file_belongs_to_its_owner_alone(path: Path) -> None:
    judge(path, 1, [1])
    with state_file.reading(path):
        assert {entry.stat().st_mode & 0o077 for entry in path.parent.iterdir()} == {0}


@pytest.mark.parametrize("sort", ["moment", "first_seen", "owner", "status", "amount"])
@pytest.mark.parametrize("descending", [True, False])
def test_the_pages_of_an_order_hold_every_case_once(
    path: Path, sort: case_queries.Sort, descending: bool
) -> None:
    judge(path, 1, list(range(1, 8)))
    query = Filter(states=cases.STATES)
    order = {"sort": sort, "descending": descending}
    whole = case_queries.find(path, MERCHANT, query, limit=50, **order)
    pages = [
        case_queries.find(path, MERCHANT, query, offset=at, limit=3, **order) for at in (0, 3, 6)
    ]
    assert [case.key for page in pages for case in page.cases] == [c.key for c in whole.cases]
    assert case_queries.find(path, MERCHANT, query, offset=9, **order).cases == ()
    assert whole.total == 7
