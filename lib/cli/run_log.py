"""The log of unattended runs: one line a stage with its records and seconds, as text or JSON.

Owns the handlers of the product's loggers while a command runs: warnings to standard error, and
everything to a file that is rotated. Decides nothing about a run.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lib.domain.errors import ConfigError
from lib.domain.messages import counted

if TYPE_CHECKING:
    from lib.domain.requests import Progress

FILE_BYTES: Final = 5_000_000
FILES: Final = 5

_PRODUCT: Final = "lib"
_ENDS: Final = {"matching": ("transactions", "auth_logs"), "writing": ("matching",)}
_NOT_WRITABLE: Final = (
    "Não foi possível gravar o log em {file}: confira se a pasta existe e a permissão da conta."
)

_log: Final = logging.getLogger(__name__)


@contextmanager
def kept(file: Path | None, *, as_json: bool = False) -> Iterator[None]:
    """Keep the log while the command runs. Raises ConfigError where the file cannot be written.

    Without a file, JSON lines go to standard error.
    """
    handlers: list[logging.Handler] = []
    formatter = _JsonLines() if as_json else _Lines("%(asctime)s %(levelname)s %(message)s")
    if file is not None:
        handlers.append(_file_handler(file, formatter))
    spoken = logging.StreamHandler(sys.stderr)
    if as_json and file is None:
        spoken.setFormatter(formatter)
    else:
        spoken.setLevel(logging.WARNING)
        spoken.setFormatter(logging.Formatter("Atenção: %(message)s"))
    handlers.append(spoken)
    logger = logging.getLogger(_PRODUCT)
    level = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    except KeyboardInterrupt:
        _log.info("interrompida")
        raise
    except Exception as problem:
        _tell_failure(problem)
        raise
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


@contextmanager
def stages(show: Progress) -> Iterator[Progress]:
    """Pass a run's progress on to ``show``, and log each stage once it ends."""
    watched = _Stages(show)
    yield watched
    watched.end_all()


def event(message: str, **fields: object) -> None:
    """One line about the run; ``fields`` are the JSON line's own keys."""
    _log.info(message, extra={"fields": fields})


def unexpected(problem: Exception) -> None:
    """A problem that nobody foresaw and that the command survives, with its traceback."""
    _log.error("falha inesperada", exc_info=problem)


class _Stages:
    def __init__(self, show: Progress) -> None:
        self._show = show
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}
        self._rows: dict[str, int] = {}

    def __call__(self, stage: str, rows: int) -> None:
        with self._lock:
            for ended in _ENDS.get(stage, ()):
                self._end(ended)
            if not rows or stage not in self._begun:  # a read that begins again counts anew
                self._begun[stage] = time.monotonic()
            self._rows[stage] = rows
        self._show(stage, rows)

    def end_all(self) -> None:
        with self._lock:
            for stage in list(self._begun):
                self._end(stage)

    def _end(self, stage: str) -> None:
        if stage not in self._begun:
            return
        seconds = round(time.monotonic() - self._begun.pop(stage), 3)
        rows = self._rows[stage]
        message = f"{stage}: {counted(rows, 'registro', 'registros')} em {seconds:.1f} s"
        event(message, stage=stage, rows=rows, seconds=seconds)


class _Lines(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return _moment(record)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _moment(record),
            "level": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            # Scrubbed already, where the scrubber is installed.
            line["traceback"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _QuietFileHandler(RotatingFileHandler):
    """A full disk costs the log its lines, and standard error one sentence, never the run."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not self._told:
            self._told = True
            sys.stderr.write(_NOT_WRITABLE.format(file=self.baseFilename) + "\n")

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def _file_handler(file: Path, formatter: logging.Formatter) -> logging.Handler:
    try:
        handler = _QuietFileHandler(
            file.absolute(), maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8"
        )
    except OSError as problem:
        raise ConfigError(_NOT_WRITABLE, file=file) from problem
    handler.setFormatter(formatter)
    return handler


def _tell_failure(problem: Exception) -> None:
    """What ended the command; an unexpected problem with its traceback."""
    if hasattr(problem, "template"):
        _log.info("falha: %s", problem)
    else:
        _log.info("falha inesperada", exc_info=problem)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="seconds")
