"""One run brought to its file: the name, the lock, the older reports, and the run's record.

The command line delivers through here, and the dashboard has its exports recorded. The record
never stands in the way: a report is written whether or not the history can be. Shows nothing.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lib import audit, history, pipeline, unusual
from lib.errors import AggregatorError, ConfigError, HistoryError
from lib.locks import exclusively
from lib.pipeline import Outcome, Progress, Request

if TYPE_CHECKING:
    from lib.report import Written
    from lib.settings import Settings

_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")
_DAY: Final = r"\d{4}-\d{2}-\d{2}"
_ASIDE: Final = "_%Y%m%d-%H%M%S"
_ASIDE_PATTERN: Final = r"(_\d{8}-\d{6})?"
_UNKNOWN: Final = (
    "O nome do arquivo de saída usa {{{name}}}, que não existe; há {{date}}, {{start}}, {{end}} "
    "e {{merchant}}."
)

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """A run that reached its file; ``notes`` are sentences about what is unusual in it."""

    outcome: Outcome
    written: Written
    notes: tuple[str, ...]


def target(template: Path, asked: Request) -> Path:
    """The file of this request: ``{date}``, ``{start}``, ``{end}`` and ``{merchant}`` filled in.

    Raises ConfigError where the template has others.
    """
    values = _values(asked)

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise ConfigError(_UNKNOWN, name=found[1])
        return values[found[1]]

    return Path(_PLACEHOLDER.sub(value, str(template)))


def deliver(
    settings: Settings,
    asked: Request,
    template: Path,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> Delivery:
    """Run, write the report under its name, keep the configured older ones, and record the run.

    Raises AggregatorError; ReportError at once where another run is writing the same file.
    """
    path = target(template, asked)
    with (
        _recorded(settings, asked, clear=clear) as record,
        audit.deed(settings, "run", audit.account(), asked, clear=clear) as deed,
    ):
        with exclusively(path):
            outcome = pipeline.run(settings, asked, clear=clear, progress=progress)
            record.learn(outcome)
            deed.learn(outcome)
            older = _put_aside(path) if settings.keep else None
            begun = time.perf_counter()
            try:
                written = pipeline.publish(
                    outcome, path, progress=progress, marks=deed.marks, approve=deed.approve
                )
            except BaseException:
                if older:
                    older.unlink(missing_ok=True)
                raise
            outcome.seconds["write"] = time.perf_counter() - begun
            if older:
                record.moved(path, older)
            record.wrote(written, outcome)
            if settings.keep:
                _forget_older(template, path, asked, settings.keep)
        return Delivery(outcome, written, record.notes)


def rehearse(
    settings: Settings,
    asked: Request,
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> Outcome:
    """Run and write nothing but the audit, which has what was read. Raises AggregatorError."""
    who = audit.account()
    with audit.deed(settings, "run", who, asked, clear=clear, dry_run=True) as deed:
        outcome = pipeline.run(settings, asked, clear=clear, progress=progress)
        deed.learn(outcome)
        deed.end()
        return outcome


def record_export(settings: Settings, outcome: Outcome, who: str, workbook: Future[Any]) -> None:
    """Record an export of the dashboard, complete once its workbook is written or has failed.

    The workbook has ``size_bytes`` and ``sha256``; its file is the server's own and goes with it.
    """
    record = Record(settings, outcome.request, history.PAGE)
    record.begin(outcome.clear, who=who)
    record.learn(outcome)

    def end(written: Future[Any]) -> None:
        problem = written.exception()
        if problem is None:
            record.end(history.DONE, found=written.result())
        else:
            record.end(history.FAILED, _message(problem))

    workbook.add_done_callback(end)


class Record:
    """A run on its way into the history; where that fails, the run goes on without."""

    def __init__(self, settings: Settings, asked: Request, origin: str) -> None:
        self._history = history.of(settings)
        self._settings = settings
        self._asked = asked
        self._origin = origin
        self._number: int | None = None
        self._fields: dict[str, Any] = {}
        self.notes: tuple[str, ...] = ()

    def begin(self, clear: bool, **fields: Any) -> None:
        """The run begins."""
        asked = self._asked
        with self._tolerantly():
            self._number = self._history.begin(
                origin=self._origin,
                merchant=asked.merchant,
                merchant_name=self._settings.merchants[asked.merchant],
                period_start=asked.period.start,
                period_end=asked.period.end,
                rule=asked.rule.name,
                tolerance_seconds=asked.rule.tolerance_seconds,
                clear=clear,
                **fields,
            )

    def learn(self, outcome: Outcome) -> None:
        """The run is matched and its books tie; what is unusual about it becomes its notes."""
        books = {name: _plain(value) for name, value in vars(outcome.books).items()}
        self._fields |= {"books": books, "seconds": dict(outcome.seconds)}
        with self._tolerantly():
            earlier = self._history.runs(
                unusual.SEARCHED, origin=history.SCHEDULED, merchant=self._asked.merchant
            )
            zone = self._settings.zone
            self.notes = tuple(map(str, unusual.notices(outcome, earlier, zone)))
        for note in self.notes:
            _log.warning("%s", note)
        self._fields["note"] = "\n".join(self.notes) or None

    def moved(self, old: Path, new: Path) -> None:
        """An older report has another name now."""
        with self._tolerantly():
            self._history.moved(old, new)

    def wrote(self, written: Written, outcome: Outcome) -> None:
        """The report is in its place."""
        self._fields |= {
            "seconds": dict(outcome.seconds),
            "file": str(written.path),
            "size_bytes": written.size_bytes,
            "sha256": written.sha256,
        }

    def end(self, outcome: str, message: str | None = None, found: Any = None) -> None:
        """The run is over; ``found`` is the workbook it made, where it has none of its own."""
        if found is not None:
            self._fields |= {"size_bytes": found.size_bytes, "sha256": found.sha256}
        if self._number is not None:
            with self._tolerantly():
                self._history.end(self._number, outcome, message=message, **self._fields)

    @contextmanager
    def _tolerantly(self) -> Iterator[None]:
        try:
            yield
        except HistoryError as problem:
            _log.warning("%s", problem)


@contextmanager
def _recorded(settings: Settings, asked: Request, *, clear: bool) -> Iterator[Record]:
    """A scheduled run from its beginning to whichever end it has."""
    record = Record(settings, asked, history.SCHEDULED)
    record.begin(clear)
    try:
        yield record
    except (KeyboardInterrupt, SystemExit):
        record.end(history.INTERRUPTED)
        raise
    except BaseException as problem:
        record.end(history.FAILED, _message(problem))
        raise
    record.end(history.DONE)


def _message(problem: BaseException) -> str:
    expected = isinstance(problem, AggregatorError)
    return str(problem) if expected else f"erro inesperado ({type(problem).__name__})"


def _values(asked: Request) -> dict[str, str]:
    return {
        "date": f"{asked.period.today:%Y-%m-%d}",
        "start": f"{asked.period.start:%Y-%m-%d}",
        "end": f"{asked.period.end:%Y-%m-%d}",
        "merchant": asked.merchant,
    }


def _put_aside(path: Path) -> Path | None:
    """Give the report in this place a second name that says when it was written."""
    with suppress(FileNotFoundError):
        written = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        aside = path.with_name(f"{path.stem}{written:{_ASIDE}}{path.suffix}")
        if not aside.exists():
            try:
                os.link(path, aside)
            except OSError:  # a file system without links
                shutil.copy2(path, aside)
        return aside
    return None


def _forget_older(template: Path, current: Path, asked: Request, keep: int) -> None:
    """Remove this merchant's reports beyond the newest ``keep`` older ones."""
    name = re.escape(template.stem)
    for placeholder in ("date", "start", "end"):
        name = name.replace(re.escape(f"{{{placeholder}}}"), _DAY)
    name = name.replace(re.escape("{merchant}"), re.escape(asked.merchant))
    pattern = re.compile(name + _ASIDE_PATTERN + re.escape(template.suffix))
    older = [
        path
        for path in current.parent.iterdir()
        if pattern.fullmatch(path.name) and path.name != current.name and path.is_file()
    ]
    older.sort(key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
    for path in older[keep:]:
        with suppress(OSError):
            path.unlink()
            _log.info("relatório antigo removido: %s", path.name)


def _plain(value: object) -> object:
    return value if isinstance(value, int) else str(value)
