"""History of runs, in the state file (`lib.delivery.state_file`), never beside the report.

A run is recorded when it begins and completed when it ends, so that a killed run is recorded too.
Holds counts and sums, never a source's records. Decides nothing about a run and shows nothing.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil  # type: ignore[import-untyped]
import sqlalchemy as sa

from lib.config.settings import ROOT
from lib.delivery import state_file
from lib.delivery.state_file import RUNS
from lib.domain.errors import HistoryError
from lib.domain.messages import Notice
from lib.domain.outcomes import Books
from lib.security.audit_events import account

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from lib.config.settings import Settings

SCHEDULED: Final = "scheduled"
PAGE: Final = "page"

RUNNING: Final = "em andamento"
WAITING: Final = "aguardando dados"
"""Outcome, so far, of a run that waits until the sources are complete."""
DONE: Final = "concluída"
FAILED: Final = "falhou"
INTERRUPTED: Final = "interrompida"
VANISHED: Final = "morta"
SKIPPED: Final = "dispensada"
"""Outcome of a run that found another one writing the same report."""

UNFINISHED: Final = frozenset({RUNNING, WAITING})
COPY: Final = "copy"
NOTICE: Final = "notice"

UNREADABLE_RUN: Final = (
    "A execução {number} do histórico em {path} não pôde ser lida e fica de fora: o registro foi "
    "alterado ou está danificado."
)

_SINCE_VERSION: Final = 3
_ADD_DISPATCH: Final = sa.text(
    "INSERT INTO dispatches (run, kind, event, target, at, problem)"
    " VALUES (:run, :kind, :event, :target, :at, :problem)"
)
_READ_DISPATCHES: Final = sa.text(
    "SELECT run, kind, event, target, at, problem FROM dispatches WHERE run >= :first ORDER BY id"
)

_FIRST_SEARCH: Final = 50
_NAMES: Final = tuple(RUNS.c.keys())
_REQUIRED: Final = tuple(column.name for column in RUNS.c if not column.nullable)
_NO_COUNTS: Final = {field.name: 0 for field in fields(Books) if field.type == "int"}

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dispatch:
    """What a run sent to a target: a `COPY` of its report, or the `NOTICE` of an event.

    ``target`` holds no credentials; ``problem`` is one sentence, None if it arrived.
    """

    kind: str
    target: str
    at: datetime
    event: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Run:
    """One recorded run, moments in UTC.

    ``books`` are the counts and amounts of `Books`, None if the run ended before they balanced;
    ``seconds`` are by stage; ``file`` is the report's current path; ``dispatches`` are in the order
    in which they were sent.
    """

    id: int
    began_at: datetime
    ended_at: datetime | None
    origin: str
    who: str
    merchant: str
    merchant_name: str
    period: tuple[date, date]
    rule: str
    tolerance_seconds: int
    clear: bool
    outcome: str
    message: str | None
    note: str | None
    books: dict[str, Any] | None
    seconds: dict[str, float] | None
    file: Path | None
    size_bytes: int | None
    sha256: str | None
    dispatches: tuple[Dispatch, ...] = ()

    @property
    def is_good(self) -> bool:
        """True if the report is in place, and every copy of it."""
        copies = [sent for sent in self.dispatches if sent.kind == COPY]
        return self.outcome == DONE and all(copy.problem is None for copy in copies)

    @property
    def has_ended(self) -> bool:
        """True if the run came to an outcome of its own, good or bad."""
        return self.outcome not in (*UNFINISHED, SKIPPED)

    @property
    def divergence_rate(self) -> float | None:
        """Share of the logs that are divergences, from 0 to 1; None without logs."""
        if not self.books or not self.books["logs"]:
            return None
        return float(self.books["divergences"] / self.books["logs"])


class History:
    """The runs in one file, created on first write. Every method may raise HistoryError."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def begin(self, **fields: Any) -> int:
        """Record the start of a run and return its number."""
        process = psutil.Process()
        row = {
            "began_at": _now(),
            "who": account().name,
            "process": process.pid,
            "process_born": process.create_time(),
            "outcome": RUNNING,
            **fields,
        }
        with state_file.writing(self.path) as connection:
            result = connection.execute(RUNS.insert().values(row))
            number: Any = result.inserted_primary_key
            return int(number[0])

    def end(self, number: int, outcome: str, **fields: Any) -> None:
        """Complete a run with its outcome."""
        row = {"ended_at": _now(), "outcome": outcome, **fields}
        with state_file.writing(self.path) as connection:
            connection.execute(RUNS.update().where(RUNS.c.id == number).values(row))

    def set_outcome(self, number: int, outcome: str) -> None:
        """Record the state of a run that has not ended."""
        with state_file.writing(self.path) as connection:
            connection.execute(RUNS.update().where(RUNS.c.id == number).values(outcome=outcome))

    def add_dispatches(self, number: int, dispatches: Sequence[Dispatch]) -> None:
        """Record what a run sent."""
        rows = [
            {**vars(sent), "run": number, "at": state_file.text_of(sent.at)} for sent in dispatches
        ]
        with state_file.writing(self.path) as connection:
            for row in rows:
                connection.execute(_ADD_DISPATCH, row)

    def move_file(self, old: Path, new: Path) -> None:
        """Record that a report was renamed."""
        with state_file.writing(self.path) as connection:
            at_old_path = RUNS.c.file == str(old)
            connection.execute(RUNS.update().where(at_old_path).values(file=str(new)))

    def runs(
        self, limit: int = 100, *, origin: str | None = None, merchant: str | None = None
    ) -> list[Run]:
        """The latest runs, newest first; `VANISHED` if the process ended without an outcome.

        A record that cannot be read is a warning and is left out.
        """
        if not state_file.exists(self.path):
            return []
        # Without the columns' types: one bad value would otherwise end the whole read.
        plain = (sa.type_coerce(column, sa.types.NullType()) for column in RUNS.c)
        query = sa.select(*plain).order_by(RUNS.c.id.desc()).limit(limit)
        if origin is not None:
            query = query.where(RUNS.c.origin == origin)
        if merchant is not None:
            query = query.where(RUNS.c.merchant == merchant)
        with state_file.reading(self.path) as connection:
            rows = connection.execute(query).all()
            dispatches = _dispatches(connection, rows[-1][0] if rows else 0)
        runs = []
        for row in rows:
            try:
                sent = tuple(_dispatch(*fields) for fields in dispatches[row[0]])
                runs.append(_run(dict(zip(_NAMES, row, strict=True)), sent))
            except _UNREADABLE:
                _warn_of_run(self.path, row[0])
        return runs

    def counts(self) -> dict[tuple[str, str, str], int]:
        """The number of runs that ended by merchant, origin and outcome; a killed run has none."""
        if not state_file.exists(self.path):
            return {}
        groups = (RUNS.c.merchant, RUNS.c.origin, RUNS.c.outcome)
        ended = RUNS.c.outcome.not_in(UNFINISHED)
        query = sa.select(*groups, sa.func.count()).where(ended).group_by(*groups)
        with state_file.reading(self.path) as connection:
            return {(str(m), str(o), str(e)): n for m, o, e, n in connection.execute(query)}

    def last_good(self, merchant: str) -> Run | None:
        """The merchant's latest good scheduled run."""
        limit = _FIRST_SEARCH
        while True:
            runs = self.runs(limit, origin=SCHEDULED, merchant=merchant)
            good = next((run for run in runs if run.is_good), None)
            if good or len(runs) < limit // 2:  # a few may have been left out as unreadable
                return good
            limit *= 10


def _dispatches(connection: Connection, first: Any) -> dict[Any, list[tuple[Any, ...]]]:
    """The stored fields of the dispatches of this run and all later ones, by run."""
    by_run: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
    if state_file.version(connection) >= _SINCE_VERSION:
        for number, *fields in connection.execute(_READ_DISPATCHES, {"first": first}):
            by_run[number].append(tuple(fields))
    return by_run


def _dispatch(kind: Any, event: Any, target: Any, at: Any, problem: Any) -> Dispatch:
    """Raises one of `_UNREADABLE` if any field is damaged."""
    moment = _moment(_text(at).removesuffix("+00:00"))
    optional = _optional(_text)
    return Dispatch(_text(kind), _text(target), moment, optional(event), optional(problem))


@contextmanager
def errors_logged() -> Iterator[None]:
    """Log a failure of the state file as a warning; the block ends there."""
    try:
        yield
    except HistoryError as problem:
        _log.warning("%s", problem)


def of(settings: Settings) -> History:
    """The history in the configured state file. Raises HistoryError."""
    return History(state_file.path_of(settings))


def history_of_demo() -> dict[str, Any]:
    """`[aggregator]` values that keep the demonstration's runs out of the site's history."""
    return {"history": {"path": str(ROOT / ".demo" / "history.sqlite")}}


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


_MOST: Final = 2**63
# Raised by the parsers of a record's fields.
_UNREADABLE: Final = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


@cache  # once a process, as pages read the history at every turn
def _warn_of_run(path: Path, number: object) -> None:
    _log.warning("%s", Notice(UNREADABLE_RUN, {"number": number, "path": path}))


def _run(row: dict[str, Any], dispatches: tuple[Dispatch, ...]) -> Run:
    """The run of a row of the table. Raises one of `_UNREADABLE` if any field is damaged."""
    values = {name: _PARSERS.get(name, _optional(_text))(value) for name, value in row.items()}
    if any(values[name] is None for name in _REQUIRED):
        raise ValueError
    process, born = values.pop("process"), values.pop("process_born")
    if values["outcome"] in UNFINISHED and not _is_alive(process, born):
        values["outcome"] = VANISHED
    values["period"] = (values.pop("period_start"), values.pop("period_end"))
    return Run(**values, dispatches=dispatches)


def _optional(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else parse(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError
    if abs(value) > _MOST:
        raise ValueError
    return value


def _path(value: Any) -> Path:
    if "\0" in _text(value):
        raise ValueError
    return Path(value)


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(_text(value)).replace(tzinfo=UTC)
    if not date.min.year < moment.year < date.max.year:  # it has no local time everywhere
        raise ValueError
    return moment


def _books(value: Any) -> dict[str, Any] | None:
    books = json.loads(_text(value))
    if books is None:
        return None
    # A count that another version did not record is 0, so that every figure can be shown.
    counts = dict(_NO_COUNTS)
    for name in counts.keys() & books.keys():
        counts[name] = _whole(books[name])
    return {**books, **counts}


def _seconds(value: Any) -> dict[str, float] | None:
    seconds = json.loads(_text(value))
    if seconds is None:
        return None
    return {name: _duration(number) for name, number in seconds.items()}


def _duration(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError
    return float(value)


_PARSERS: Final[dict[str, Callable[[Any], Any]]] = {
    "id": _whole,
    "began_at": _optional(_moment),
    "ended_at": _optional(_moment),
    "process": _optional(_whole),
    "process_born": _optional(_duration),
    "period_start": _optional(lambda value: date.fromisoformat(_text(value))),
    "period_end": _optional(lambda value: date.fromisoformat(_text(value))),
    "tolerance_seconds": _optional(_whole),
    "clear": _optional(lambda value: bool(_whole(value))),
    "books": _optional(_books),
    "seconds": _optional(_seconds),
    "file": _optional(_path),
    "size_bytes": _optional(_whole),
}
"""Parsers of the columns that are no text."""


def _is_alive(pid: int, born: float) -> bool:
    with suppress(psutil.Error, ValueError, OverflowError):
        process = psutil.Process(pid)
        alive = bool(process.status() != psutil.STATUS_ZOMBIE)
        # The system may have reused the number for another process.
        return alive and abs(float(process.create_time()) - born) < 1.0
    return False
