"""History of runs: a SQLite file in the user's state folder, never beside the report.

A run is recorded when it begins and completed when it ends, so that a killed run is recorded too.
Holds counts and sums, never a source's records. Decides nothing about a run and shows nothing.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import platformdirs
import psutil  # type: ignore[import-untyped]
import sqlalchemy as sa

from lib.config.settings import ROOT
from lib.domain import file_system
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
DONE: Final = "concluída"
FAILED: Final = "falhou"
INTERRUPTED: Final = "interrompida"
VANISHED: Final = "morta"
SKIPPED: Final = "dispensada"
"""Outcome of a run that found another one writing the same report."""

_BUSY_SECONDS: Final = 10
UNUSABLE: Final = (
    "Não foi possível usar o histórico de execuções em {path}: confira a permissão da pasta e o "
    "espaço em disco, ou escolha outro lugar em [aggregator.history]."
)
UNREADABLE_RUN: Final = (
    "A execução {number} do histórico em {path} não pôde ser lida e fica de fora: o registro foi "
    "alterado ou está danificado."
)

_log: Final = logging.getLogger(__name__)

_TABLE: Final = sa.Table(
    "runs",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("began_at", sa.DateTime, nullable=False),
    sa.Column("ended_at", sa.DateTime),
    sa.Column("origin", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("process", sa.Integer, nullable=False),
    sa.Column("process_born", sa.Float, nullable=False),
    sa.Column("merchant", sa.String, nullable=False),
    sa.Column("merchant_name", sa.String, nullable=False),
    sa.Column("period_start", sa.Date, nullable=False),
    sa.Column("period_end", sa.Date, nullable=False),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("tolerance_seconds", sa.Integer, nullable=False),
    sa.Column("clear", sa.Boolean, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("message", sa.String),
    sa.Column("note", sa.String),
    sa.Column("books", sa.JSON),
    sa.Column("seconds", sa.JSON),
    sa.Column("file", sa.String),
    sa.Column("size_bytes", sa.Integer),
    sa.Column("sha256", sa.String),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Run:
    """One recorded run, moments in UTC.

    ``books`` are the counts and amounts of `Books`, None if the run ended before they balanced;
    ``seconds`` are by stage; ``file`` is the report's current path.
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
        with self._connected(create=True) as connection:
            result = connection.execute(_TABLE.insert().values(row))
            number: Any = result.inserted_primary_key
            return int(number[0])

    def end(self, number: int, outcome: str, **fields: Any) -> None:
        """Complete a run with its outcome."""
        row = {"ended_at": _now(), "outcome": outcome, **fields}
        with self._connected() as connection:
            connection.execute(_TABLE.update().where(_TABLE.c.id == number).values(row))

    def move_file(self, old: Path, new: Path) -> None:
        """Record that a report was renamed."""
        with self._connected(create=True) as connection:
            at_old_path = _TABLE.c.file == str(old)
            connection.execute(_TABLE.update().where(at_old_path).values(file=str(new)))

    def runs(
        self, limit: int = 100, *, origin: str | None = None, merchant: str | None = None
    ) -> list[Run]:
        """The latest runs, newest first; `VANISHED` if the process ended without an outcome.

        A record that cannot be read is a warning and is left out.
        """
        with self._errors_translated():
            if not self.path.exists():
                return []
        # Without the columns' types: one bad value would otherwise end the whole read.
        plain = (sa.type_coerce(column, sa.types.NullType()) for column in _TABLE.c)
        query = sa.select(*plain).order_by(_TABLE.c.id.desc()).limit(limit)
        if origin is not None:
            query = query.where(_TABLE.c.origin == origin)
        if merchant is not None:
            query = query.where(_TABLE.c.merchant == merchant)
        with self._connected() as connection:
            rows = connection.execute(query).all()
        runs = []
        for row in rows:
            try:
                runs.append(_run(dict(zip(_TABLE.c.keys(), row, strict=True))))
            except _UNREADABLE:
                _warn_of_run(self.path, row[0])
        return runs

    @contextmanager
    def _connected(self, *, create: bool = False) -> Iterator[Connection]:
        with self._errors_translated():
            if create:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
            url = sa.URL.create("sqlite", database=str(self.path))
            engine = sa.create_engine(
                url, connect_args={"timeout": _BUSY_SECONDS}, poolclass=sa.NullPool
            )
            with engine.begin() as connection:
                driver: Any = connection.connection.driver_connection
                driver.text_factory = lambda text: text.decode(errors="replace")
                if create:
                    connection.execute(sa.schema.CreateTable(_TABLE, if_not_exists=True))
                yield connection

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, sa.exc.SQLAlchemyError) as problem:
            raise HistoryError(UNUSABLE, path=self.path) from problem


def of(settings: Settings) -> History:
    """The configured history, by default in the system user's state folder.

    Raises HistoryError for an account that has no usable folder.
    """
    if settings.history.path:
        return History(settings.history.path)
    try:
        folder = file_system.user_folder(platformdirs.user_state_path)
    except OSError as problem:
        raise HistoryError(UNUSABLE, path=problem.filename) from problem
    return History(folder / "history.sqlite")


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


def _run(row: dict[str, Any]) -> Run:
    """The run of a row of the table. Raises one of `_UNREADABLE` if any field is damaged."""
    values = {name: _PARSERS.get(name, _optional(_text))(value) for name, value in row.items()}
    for column in _TABLE.c:
        if values[column.name] is None and not column.nullable:
            raise ValueError(column.name)
    process, born = values.pop("process"), values.pop("process_born")
    if values["outcome"] == RUNNING and not _is_alive(process, born):
        values["outcome"] = VANISHED
    values["period"] = (values.pop("period_start"), values.pop("period_end"))
    return Run(**values)


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
    counts = {field.name: 0 for field in fields(Books) if field.type == "int"}
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
