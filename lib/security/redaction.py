"""Takes card numbers, CPFs and passwords out of everything that is logged or dies as a traceback.

`install` makes every log record of the process clean before any handler sees it. What it cannot
know (a card number that is no card number by its digits, and short) is masked in SQL already.
Over-masking a log line is no harm; the other way round is one.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, Final

MASK: Final = "******"

_LONG: Final = re.compile(r"(?<!\d)\d{15,}(?!\d)")
_CARD: Final = re.compile(r"(?<!\d)\d{13,14}(?!\d)")
_CPF: Final = re.compile(r"(?<!\d)\d{11}(?!\d)")
_GROUPED: Final = re.compile(
    r"(?<!\d)(\d{3}\.\d{3}\.\d{3}-\d{2}"
    r"|\d{4}[ .-]\d{4}[ .-]\d{4}([ .-]\d{1,7})?"
    r"|\d{4}[ .-]\d{6}[ .-]\d{5})(?!\d)"
)
_NAMES: Final = r"pwd|pass(?:word|wd|phrase)?|senha|secret|token|cookie|authorization|api[_-]?key"
# A password may have any sign of punctuation in it, so only a space ends one without quotes.
_VALUE: Final = r"""(?:SecretStr\()?(?:b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*"|\S+)"""
_NAMED: Final = re.compile(rf"""(?i)((?:{_NAMES})["']?\s*[=:]\s*)(?:bearer\s+)?{_VALUE}""")
# Bounded, as a long text of many beginnings would be searched to its end from each of them.
_IN_URL: Final = re.compile(r"(?<=://)([^\s/:@]*):\S{0,1024}@(?=[^\s@/]*)")
_VAULT: Final = re.compile(r"\bhv[sbr]\.[\w-]{8,}")

_make: Final = logging.getLogRecordFactory()


def scrub(text: str) -> str:
    """The text without card numbers, CPFs, passwords and tokens."""
    text = _IN_URL.sub(rf"\1:{MASK}@", text)
    text = _VAULT.sub(MASK, text)
    text = _NAMED.sub(rf"\1{MASK}", text)
    text = _GROUPED.sub(MASK, text)
    text = _LONG.sub(MASK, text)
    text = _CARD.sub(lambda found: MASK if luhn(found[0]) else found[0], text)
    return _CPF.sub(lambda found: MASK if is_cpf(found[0]) else found[0], text)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of a card number."""
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * (1 + place % 2)
        total += doubled - 9 * (doubled > 9)
    return total % 10 == 0


def is_cpf(digits: str) -> bool:
    """Whether the last two of eleven digits are the check digits of a CPF."""
    numbers = [int(digit) for digit in digits]
    for end in (9, 10):
        total = sum(number * (end + 1 - place) for place, number in enumerate(numbers[:end]))
        if numbers[end] != total * 10 % 11 % 10:
            return False
    return True


def install() -> None:
    """Scrub every log record and every uncaught exception of this process from now on."""
    logging.setLogRecordFactory(_clean_record)
    sys.excepthook = _tell
    threading.excepthook = _tell_of_thread


def _clean_record(*arguments: Any, **keywords: Any) -> logging.LogRecord:
    record = _make(*arguments, **keywords)
    try:
        message = record.getMessage()
    except (TypeError, ValueError):
        return record  # the handler says what is wrong with the arguments
    clean = scrub(message)
    if clean != message:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0]:
        # A formatter takes this text where it is there already.
        record.exc_text = scrub(logging.Formatter().formatException(record.exc_info))
    return record


def _tell(kind: type[BaseException], problem: BaseException, where: TracebackType | None) -> None:
    sys.stderr.write(scrub("".join(traceback.format_exception(kind, problem, where))))


def _tell_of_thread(said: threading.ExceptHookArgs) -> None:
    if said.exc_type is not SystemExit and said.exc_value is not None:
        _tell(said.exc_type, said.exc_value, said.exc_traceback)
