"""The states of cases over random worlds, against a history kept record by record."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lib.analysis.case_evidence import Evidence, Watched
from lib.delivery import case_queries, case_store
from lib.delivery.case_filters import Filter
from lib.delivery.case_store import Judging
from lib.domain import cases
from tests.support.stored_cases import DAY, MERCHANT, Record, rows

EVERYTHING = Filter(states=cases.STATES)
RECORDS = [(kind, card, day) for kind in cases.NAMES for card in range(2) for day in range(4)]


@dataclass(frozen=True)
class Run:
    """One judging run; ``world`` is (cases, matched, needing nobody) by record."""

    start: int
    end: int
    today: int
    by_card: bool
    incomplete: frozenset[int]
    world: dict[Record, tuple[int, int, int]]


@dataclass
class Naive:
    """A history that holds one entry for each (record, ordinal), judged one record at a time."""

    states: dict[tuple[Record, int], str] = field(default_factory=dict)
    judged: set[int] = field(default_factory=set)

    def judge(self, run: Run) -> None:
        for key, state in self.states.items():
            if state == cases.NEW:
                self.states[key] = cases.OPEN
        days = {day for day in range(run.start, run.end + 1) if day < run.today} - run.incomplete
        if run.by_card and run.start in self.judged:
            days.discard(run.start)
        for record in RECORDS:
            if record[2] in days:
                self._record(record, *run.world.get(record, (0, 0, 0)))
        self.judged |= days

    def _record(self, record: Record, found: int, matched: int, idle: int) -> None:
        for ordinal in range(1, found + 1):
            if self.states.get((record, ordinal)) != cases.OPEN:
                self.states[record, ordinal] = cases.NEW
        for ordinal in range(found + 1, 10):
            if self.states.get((record, ordinal)) == cases.OPEN:
                settled = matched + idle > 0
                matched, idle = (matched - 1, idle) if matched else (0, max(idle - 1, 0))
                self.states[record, ordinal] = cases.MATCHED if settled else cases.MISSING


def runs() -> st.SearchStrategy[Run]:
    number = st.integers(0, 4)
    small = st.integers(0, 2)
    return st.builds(
        lambda a, b, **values: Run(start=min(a, b), end=max(a, b), **values),
        number,
        number,
        today=st.integers(1, 5),
        by_card=st.booleans(),
        incomplete=st.frozensets(number, max_size=1),
        world=st.dictionaries(st.sampled_from(RECORDS), st.tuples(small, small, small)),
    )


def judge(path: Path, number: int, run: Run) -> case_store.Change:
    """Apply the run as a delivery does."""
    inside = {r: n for r, n in run.world.items() if run.start <= r[2] <= run.end}
    found = rows(r for r, (count, _, _) in inside.items() for _ in range(count))
    base = dict(zip(RECORDS, cases.bases(MERCHANT, rows(RECORDS)).tolist(), strict=True))

    def evidence(watched: Watched) -> Evidence:
        paired = [base[r] for r, (_, n, _) in inside.items() for _ in range(n)]
        idle = [base[r] for r, (_, _, n) in inside.items() for _ in range(n)]
        return Evidence(paired, idle, [(b, 0, '{"num_cartao": "x"}') for b in paired])

    days = {day for day in range(run.start, run.end + 1) if day < run.today} - run.incomplete
    moments = {day: DAY + timedelta(days=day) for day in range(10)}
    judging = Judging(
        run=number,
        merchant=MERCHANT,
        at=datetime(2026, 11, 20, 6, number, tzinfo=UTC),
        period=(moments[run.start], moments[run.end]),
        days=frozenset(moments[day] for day in days),
        first_day=moments[run.start] if run.by_card else None,
    )
    return case_store.judge(path, judging, cases.of_run(MERCHANT, found), evidence)


def stored(path: Path) -> dict[tuple[Record, int], str]:
    """The state of every stored case, by record and ordinal."""
    return {
        (
            (
                case.kind,
                int((case.values["num_cartao"] or "")[-4:]),
                (date.fromisoformat(str(list(case.values.values())[at])) - DAY).days,
            ),
            case.alike,
        ): case.state
        for case in case_queries.find(path, MERCHANT, EVERYTHING, limit=1_000).cases
        for at in [1 if case.kind == cases.LOG else 3]
    }


@given(st.lists(runs(), max_size=6))
@settings(deadline=None, max_examples=60)
def test_the_states_are_those_of_a_history_kept_record_by_record(history: list[Run]) -> None:
    naive = Naive()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.sqlite"
        for number, run in enumerate(history, 1):
            naive.judge(run)
            change = judge(path, number, run)
            assert stored(path) == naive.states
            states = list(naive.states.values())
            new = states.count(cases.NEW)
            assert (change.new, change.open + change.outside) == (
                new,
                new + states.count(cases.OPEN),
            )
            outside = [
                record
                for (record, _), state in naive.states.items()
                if state in (cases.NEW, cases.OPEN) and not run.start <= record[2] <= run.end
            ]
            assert change.outside == len(outside)
            # Applied again, after a crash of whatever followed it, it changes nothing.
            assert judge(path, number, run) == change
            assert stored(path) == naive.states
            for state in cases.STATES:
                total = case_queries.find(path, MERCHANT, Filter(states=(state,)), limit=1).total
                assert total == states.count(state)
