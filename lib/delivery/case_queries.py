"""Questions to the stored cases: pages of them, counts, one case's timeline, figures by merchant.

Only reads. Whoever asks has checked the right to the merchant; where row-level security is on,
`Filter.keys` holds the cases that the reader may see.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from lib.delivery import case_filters, case_pages, case_store, case_texts, state_file
from lib.delivery.case_filters import Filter, Latest
from lib.delivery.case_pages import Order
from lib.domain import cases

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from lib.delivery.case_pages import Sort

RankedBy = Literal["situation", "age", "owner"]

AGES: Final = ((0, 1), (2, 3), (4, 7), (8, 30), (31, None))
"""The buckets of age in local days since a case was first seen, inclusive."""
_MOST_RUNS: Final = 30
_STORED: Final = (str, int, type(None))
_COLUMNS: Final = (
    *("key", "merchant", "state", "opened_by", "status", "owner", "version", "first_seen"),
    *("ordinal", "kind", "day", "amount", "texts", "motivo", "counterpart"),
    f"{case_store.LAST_SEEN} AS last_seen",
)
_RANKED: Final[dict[RankedBy, str]] = {
    "situation": "closed, opened_by DESC, status",
    "age": "first_seen DESC",
    "owner": "owner IS NULL, owner",
}


@dataclass(frozen=True)
class Case:
    """One stored case; ``values`` and ``counterpart`` are by the contract's column names.

    ``alike`` is its ordinal among identical records. Moments are in UTC.
    """

    key: str
    kind: str
    merchant: str
    state: str
    status: str | None
    owner: str | None
    version: int
    first_seen: datetime
    last_seen: datetime
    motivo: str | None
    values: dict[str, str | None]
    counterpart: dict[str, str | None] | None
    alike: int

    def as_json(self) -> str:
        """The contract's JSON object of the case."""
        names = ("key", "kind", "merchant", "state", "status", "owner")
        return json.dumps(
            {name: getattr(self, name) for name in names}
            | {
                "first_seen": self.first_seen.isoformat(),
                "last_seen": self.last_seen.isoformat(),
                "motivo": self.motivo,
                "counterpart": self.counterpart,
                "values": self.values,
            },
            ensure_ascii=False,
        )


@dataclass(frozen=True)
class Found:
    """A page of cases and the number of all that the filter finds."""

    cases: tuple[Case, ...]
    total: int


@dataclass(frozen=True)
class Event:
    """An entry of a timeline: opened, matched, missing, reopened, status, owner or note.

    ``who`` is a person, or `#` and the number of a run.
    """

    at: datetime
    who: str
    kind: str
    text: str | None


@dataclass(frozen=True)
class Counts:
    """The cases of a merchant that nobody accepted or resolved, since the latest judging run.

    ``new`` and ``resolved`` are those of that run (``at``, None before the first); ``open``
    includes the new ones, but not ``outside``: open ones outside its period. ``oldest`` is when
    the oldest was first seen. ``by_age`` follows `AGES`; owner None stands for no owner. ``owners``
    are those of all cases, settled and closed ones too.
    """

    at: datetime | None = None
    new: int = 0
    resolved: int = 0
    open: int = 0
    outside: int = 0
    oldest: datetime | None = None
    by_age: tuple[int, ...] = (0,) * len(AGES)
    by_owner: dict[str | None, int] = field(default_factory=dict)
    by_status: dict[str | None, int] = field(default_factory=dict)
    owners: tuple[str, ...] = ()


def find(
    path: Path,
    merchant: str,
    query: Filter = Filter(),  # noqa: B008 immutable
    *,
    sort: Sort = "moment",
    descending: bool = True,
    offset: int = 0,
    limit: int = 50,
) -> Found:
    """Return a page of the cases, by default those of the newest records first.

    Raises HistoryError.
    """
    with state_file.reading_cases(path) as connection:
        if connection is None:
            return Found((), 0)
        latest = _latest(connection, merchant)
        order = Order(sort, descending)
        keys, total = case_pages.keys(connection, merchant, query, latest, order, offset, limit)
        rows = connection.exec_driver_sql(
            f"SELECT {', '.join(_COLUMNS)} FROM cases WHERE {case_filters.WITH_KEYS}",
            (json.dumps(keys),),
        )
        by_key = {row.key: row for row in rows}
        return Found(tuple(_case(by_key[key], latest.number) for key in keys), total)


def each(path: Path, merchant: str, query: Filter) -> Iterator[Case]:
    """Yield the cases by date, time and key. Raises HistoryError."""
    with state_file.reading_cases(path) as connection:
        if connection is None:
            return
        latest = _latest(connection, merchant)
        where, values = case_filters.where(connection, merchant, query, latest)
        source = case_filters.source(connection, merchant, query, latest)
        # Keys are ordered as their hexadecimal digits.
        rows = connection.exec_driver_sql(
            f"SELECT {', '.join(_COLUMNS)} FROM {source} WHERE {where}"
            " ORDER BY moment, key < 0, key",
            values,
        )
        for row in rows:
            yield _case(row, latest.number)


def versions(path: Path, merchant: str, query: Filter) -> dict[str, int]:
    """The key and version of all that the filter finds, to be marked. Raises HistoryError."""
    with state_file.reading_cases(path) as connection:
        if connection is None:
            return {}
        latest = _latest(connection, merchant)
        where, values = case_filters.where(connection, merchant, query, latest)
        source = case_filters.source(connection, merchant, query, latest)
        rows = connection.exec_driver_sql(
            f"SELECT key, version FROM {source} WHERE {where}", values
        )
        return {cases.hexadecimal(key): number for key, number in rows}


def ranks(path: Path, keys: Sequence[str], order: RankedBy) -> dict[str, int]:
    """The rank of each stored one of these cases, equal for equal ones. Raises HistoryError."""
    with state_file.reading_cases(path) as connection:
        if connection is None:
            return {}
        rows = connection.exec_driver_sql(
            f"SELECT key, dense_rank() OVER (ORDER BY {_RANKED[order]}) FROM cases"
            f" WHERE {case_filters.WITH_KEYS}",
            (json.dumps([cases.from_hexadecimal(key) for key in keys]),),
        )
        return {cases.hexadecimal(key): number for key, number in rows}


def by_key(path: Path, merchant: str, keys: Sequence[str]) -> dict[str, Case]:
    """The stored ones of these cases, whatever their state. Raises HistoryError."""
    query = Filter(states=cases.STATES, keys=frozenset(keys))
    return {case.key: case for case in each(path, merchant, query)}


def identical(path: Path, key: str) -> frozenset[str]:
    """The stored cases of records identical to this one, itself included. Raises HistoryError."""
    with state_file.reading_cases(path) as connection:
        if connection is None:
            return frozenset()
        rows = connection.exec_driver_sql(
            "SELECT other.key FROM cases JOIN cases AS other USING (merchant, moment, base)"
            " WHERE cases.key = ? AND other.closed IN (0, 1)",
            (cases.from_hexadecimal(key),),
        )
        return frozenset(cases.hexadecimal(row.key) for row in rows)


def timeline(path: Path, key: str) -> tuple[Event, ...]:
    """Everything that happened to a case, oldest first. Raises HistoryError."""
    number = cases.from_hexadecimal(key)
    with state_file.reading_cases(path) as connection:
        if connection is None:
            return ()
        first = connection.exec_driver_sql(
            "SELECT first_seen FROM cases WHERE key = ?", (number,)
        ).scalar()
        if first is None:
            return ()
        rows = connection.exec_driver_sql(
            "SELECT at, who, kind, text FROM case_events WHERE key = ? ORDER BY id", (number,)
        )
        events = (Event(datetime.fromisoformat(row.at), *row[1:]) for row in rows)
        return (Event(datetime.fromisoformat(first), "", "opened", None), *events)


def counts(
    path: Path,
    merchant: str,
    today: date,
    zone: ZoneInfo,
    keys: frozenset[str] | None = None,
) -> Counts:
    """Count the open cases; ages are local days before ``today``. Raises HistoryError."""
    with state_file.reading_cases(path) as connection:
        if connection is None:
            return Counts()
        latest = _latest(connection, merchant)
        query = Filter(keys=keys)
        rows = case_filters.grouped(
            connection, merchant, query, latest, "first_seen, owner, status"
        )
        outside = case_filters.total(
            connection, merchant, Filter(statuses=_UNSETTLED, outside=True, keys=keys), latest
        )
        new = case_filters.total(
            connection, merchant, Filter((cases.NEW,), statuses=_UNSETTLED, keys=keys), latest
        )
        owned = case_filters.grouped(
            connection, merchant, Filter(cases.STATES, keys=keys), latest, "owner"
        )
        resolved = latest.resolved if keys is None else _resolved(connection, latest, keys)
    by_age = [0] * len(AGES)
    by_owner: dict[str | None, int] = {}
    by_status: dict[str | None, int] = {}
    oldest = None
    for first_seen, owner, status, number in rows:
        by_status[status] = by_status.get(status, 0) + number
        if status in cases.SETTLED:
            continue
        moment = datetime.fromisoformat(first_seen)
        oldest = min(oldest or moment, moment)
        by_age[_bucket((today - moment.astimezone(zone).date()).days)] += number
        by_owner[owner] = by_owner.get(owner, 0) + number
    return Counts(
        at=latest.at,
        new=new,
        resolved=resolved,
        open=sum(by_age) - outside,
        outside=outside,
        oldest=oldest,
        by_age=tuple(by_age),
        by_owner=by_owner,
        by_status=by_status,
        owners=tuple(sorted(row.owner for row in owned if row.owner)),
    )


def latest(path: Path, merchant: str) -> Latest:
    """The merchant's latest judging run. Raises HistoryError."""
    with state_file.reading_cases(path) as connection:
        return Latest() if connection is None else _latest(connection, merchant)


def age_bounds(
    bucket: tuple[int, int | None], today: date, zone: ZoneInfo
) -> tuple[datetime | None, datetime]:
    """The moments between which cases of this age were first seen, for `Filter.first_seen`."""
    youngest, eldest = bucket
    end = _midnight(today - timedelta(days=youngest - 1), zone)
    return None if eldest is None else _midnight(today - timedelta(days=eldest), zone), end


# A run takes the mark `resolvida` off a case that it reopens.
_SETTLED_BEFORE: Final = (
    "(SELECT text LIKE 'aceita%' OR text LIKE 'resolvida%' AND NOT EXISTS (SELECT 1"
    " FROM case_events WHERE key = marked.key AND kind = 'reopened'"
    " AND id BETWEEN marked.id AND closing.id)"
    " FROM case_events AS marked WHERE key = closing.key AND kind = 'status'"
    " AND id < closing.id ORDER BY id DESC LIMIT 1)"
)
_UNSETTLED: Final[tuple[str | None, ...]] = (None, cases.IN_ANALYSIS)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _bucket(days: int) -> int:
    return max(index for index, (first, _) in enumerate(AGES) if first <= max(days, 0))


def _latest(connection: Connection, merchant: str) -> Latest:
    row = connection.exec_driver_sql(
        "SELECT id, run, at, period_start, period_end, new, resolved, transactions_until,"
        " logs_until FROM judgements WHERE merchant = ? ORDER BY id DESC LIMIT 1",
        (merchant,),
    ).one_or_none()
    if row is None:
        return Latest()
    reach = [day and date.fromisoformat(day) for day in row[7:]]
    return Latest(
        number=row.id,
        run=row.run,
        at=datetime.fromisoformat(row.at),
        period=(date.fromisoformat(row.period_start), date.fromisoformat(row.period_end)),
        new=row.new,
        resolved=row.resolved,
        reach=(reach[0], reach[1]),
    )


def _resolved(connection: Connection, latest: Latest, keys: frozenset[str]) -> int:
    """How many of these cases the latest judging run closed, without those settled before."""
    return int(
        connection.exec_driver_sql(
            "SELECT count(*) FROM case_events AS closing WHERE who = ?"
            f" AND kind IN ('matched', 'missing') AND {case_filters.limited_to(connection, keys)}"
            f" AND NOT coalesce({_SETTLED_BEFORE}, FALSE)",
            (f"#{latest.run}",),
        ).scalar_one()
    )


def _case(row: Any, latest: int) -> Case:
    values = {**row._mapping, **case_texts.unpacked(row.texts)}
    state = values["state"]
    if state not in cases.STATES or not all(isinstance(v, _STORED) for v in values.values()):
        raise ValueError
    if state == cases.OPEN and values["opened_by"] == latest:
        state = cases.NEW
    names = {name: column for column, name in cases.NAMES[values["kind"]].items()}
    shown = {name: values[names[name]] for name in cases.order(values["kind"])}
    counterpart = values["counterpart"]
    return Case(
        key=cases.hexadecimal(values["key"]),
        kind=values["kind"],
        merchant=values["merchant"],
        state=state,
        status=values["status"],
        owner=values["owner"],
        version=values["version"],
        first_seen=datetime.fromisoformat(values["first_seen"]),
        last_seen=datetime.fromisoformat(values["last_seen"]),
        motivo=values["motivo"],
        values=shown,
        counterpart=None if counterpart is None else json.loads(counterpart),
        alike=values["ordinal"],
    )
