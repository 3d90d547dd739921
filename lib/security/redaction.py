"""Redaction of card numbers, CPFs, passwords and tokens in log records and tracebacks.

`install` scrubs every log record of the process before any handler sees it. Short card numbers
with a wrong check digit are not recognized here; SQL has masked them already. Over-masking a log
line is harmless, a leak is not.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, Final

from lib.domain import long_numbers

MASK: Final = "******"

_LONG: Final = re.compile(r"(?<!\d)\d{15,}(?!\d)")
_CARD: Final = re.compile(r"(?<!\d)\d{13,14}(?!\d)")
_CPF: Final = re.compile(r"(?<!\d)\d{11}(?!\d)")
# Between the usual groups of a card number or a CPF.
_S: Final = r"(?:\s{1,2}|[./_,:|–—-])"
_GROUPED: Final = re.compile(
    rf"(?<!\d)(\d{{3}}{_S}\d{{3}}{_S}\d{{3}}{_S}\d{{2}}|\d{{9}}{_S}\d{{2}}"
    rf"|\d{{4}}{_S}\d{{4}}{_S}\d{{4}}({_S}\d{{1,7}})?|\d{{4}}{_S}\d{{6}}{_S}\d{{4,5}}"
    rf"|\d{{8}}{_S}\d{{8}}|\d{{6}}{_S}\d{{10}})(?!\d)"
)
_NAMES: Final = r"pwd|pass(?:word|wd|phrase)?|senha|secret|token|cookie|authorization|api[_-]?key"
# A password may contain any punctuation, so only a space ends an unquoted one.
_VALUE: Final = r"""(?:SecretStr\()?(?:b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*"|\S+)"""
_NAMED: Final = re.compile(rf"""(?i)((?:{_NAMES})["']?\s*[=:]\s*)(?:bearer\s+)?{_VALUE}""")
# Bounded: in a long text with many "://", an unbounded search takes quadratic time.
_IN_URL: Final = re.compile(r"(?<=://)([^\s/:@]*):\S{0,1024}@(?=[^\s@/]*)")
_VAULT: Final = re.compile(r"\bhv[sbr]\.[\w-]{8,}")

_make_record: Final = logging.getLogRecordFactory()


def scrub(text: str) -> str:
    """The text without card numbers, CPFs, passwords and tokens."""
    text = _IN_URL.sub(rf"\1:{MASK}@", text)
    text = _VAULT.sub(MASK, text)
    text = _NAMED.sub(rf"\1{MASK}", text)
    text = _GROUPED.sub(MASK, text)
    text = _LONG.sub(MASK, text)
    text = _CARD.sub(lambda match: MASK if luhn(match[0]) else match[0], text)
    return _CPF.sub(lambda match: MASK if is_cpf(match[0]) else match[0], text)


def scrub_typed(text: str) -> str:
    """As `scrub`, of a text that a person typed: every number of eleven digits or more goes."""
    return scrub(long_numbers.replace(text, lambda _: MASK))


def luhn(digits: str) -> bool:
    """True if the last digit is the check digit of a card number (Luhn)."""
    total = 0
    for position, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * (1 + position % 2)
        total += doubled - 9 * (doubled > 9)
    return total % 10 == 0


def is_cpf(digits: str) -> bool:
    """True if the last two of the eleven digits are the check digits of a CPF."""
    numbers = [int(digit) for digit in digits]
    for end in (9, 10):
        total = sum(number * (end + 1 - index) for index, number in enumerate(numbers[:end]))
        if numbers[end] != total * 10 % 11 % 10:
            return False
    return True


def install() -> None:
    """Scrub every log record and every uncaught exception of this process from now on."""
    logging.setLogRecordFactory(_clean_record)
    sys.excepthook = _write_traceback
    threading.excepthook = _write_thread_traceback


def _clean_record(*arguments: Any, **keywords: Any) -> logging.LogRecord:
    record = _make_record(*arguments, **keywords)
    try:
        message = record.getMessage()
    except (TypeError, ValueError):
        return record  # the handler reports the wrong arguments
    clean = scrub(message)
    if clean != message:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0]:
        # Formatters reuse this text if it is set.
        record.exc_text = scrub(logging.Formatter().formatException(record.exc_info))
    return record


def _write_traceback(
    kind: type[BaseException], problem: BaseException, trace: TracebackType | None
) -> None:
    sys.stderr.write(scrub("".join(traceback.format_exception(kind, problem, trace))))


def _write_thread_traceback(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_type is not SystemExit and failure.exc_value is not None:
        _write_traceback(failure.exc_type, failure.exc_value, failure.exc_traceback)
