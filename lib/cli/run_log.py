"""Log of unattended runs: a line per stage with its records and seconds, as text or JSON.

Owns the handlers of the product's loggers while a command runs: warnings to standard error,
everything to a rotated file. Decides nothing about a run.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lib.cli import progress
from lib.domain.errors import AggregatorError, ConfigError

if TYPE_CHECKING:
    from lib.domain.requests import Progress

FILE_BYTES: Final = 5_000_000
FILES: Final = 5

_PRODUCT: Final = "lib"
NOT_WRITABLE: Final = (
    "Não foi possível gravar o log em {file}: confira se a pasta existe e a permissão da conta."
)

_log: Final = logging.getLogger(__name__)


@contextmanager
def attached(file: Path | None, *, as_json: bool = False) -> Iterator[None]:
    """Attach the handlers while the command runs; without a file, JSON goes to standard error.

    Raises ConfigError if the file cannot be written.
    """
    handlers: list[logging.Handler] = []
    formatter = _JsonLines() if as_json else _Lines("%(asctime)s %(levelname)s %(message)s")
    if file is not None:
        handlers.append(_file_handler(file, formatter))
    console = logging.StreamHandler(sys.stderr)
    if as_json and file is None:
        console.setFormatter(formatter)
    else:
        console.setLevel(logging.WARNING)
        console.setFormatter(logging.Formatter("Atenção: %(message)s"))
    handlers.append(console)
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
        if isinstance(problem, AggregatorError):
            _log.info("falha: %s", problem)
        else:
            _log.info("falha inesperada", exc_info=problem)
        raise
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def stages(show: Progress) -> AbstractContextManager[Progress]:
    """Log each stage when it ends, and pass the progress on to ``show``."""

    def log_stage(stage: str, rows: int, seconds: float) -> None:
        message = f"{stage}: {progress.records(rows)} em {seconds:.1f} s"
        event(message, stage=stage, rows=rows, seconds=round(seconds, 3))

    return progress.timed(log_stage, show)


def event(message: str, **fields: object) -> None:
    """Log one line about the run; ``fields`` become keys of the JSON line."""
    _log.info(message, extra={"fields": fields})


def unexpected(problem: Exception) -> None:
    """Log the traceback of an unexpected error that does not stop the command."""
    _log.error("falha inesperada", exc_info=problem)


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
            # Already scrubbed if redaction is installed.
            line["traceback"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _QuietFileHandler(RotatingFileHandler):
    """Report a full disk once on standard error instead of stopping the run."""

    _reported = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not self._reported:
            self._reported = True
            sys.stderr.write(NOT_WRITABLE.format(file=self.baseFilename) + "\n")

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def _file_handler(file: Path, formatter: logging.Formatter) -> logging.Handler:
    try:
        if file.is_fifo():  # opening it waits for a reader
            os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))
        handler = _QuietFileHandler(
            file.absolute(),
            maxBytes=FILE_BYTES,
            backupCount=FILES,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except OSError as problem:
        raise ConfigError(NOT_WRITABLE, file=file) from problem
    handler.setFormatter(formatter)
    return handler


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="seconds")
