"""Numbers, money, dates and times in the reader's language, or in ``locale`` where it is given.

Local clock readings are shown as they are; nothing is converted between time zones.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from babel import dates, numbers

from lib.ui.i18n import PORTUGUESE, language, t

if TYPE_CHECKING:
    from lib.domain.messages import Notice

_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$~:&=])")
# Icons, emoji, bare addresses of the web and of e-mail are replaced after Markdown has taken its
# escapes away; a time of day is no emoji.
_REPLACED: Final = re.compile(
    r":(?=material/|//|(?!\d\d:)[\w+-]+:)|\bwww(?=\.)|@(?=[\w-])", re.IGNORECASE
)
_JOINER: Final = "\u2060"
NO_VALUE: Final = "–"
_CURRENCY: Final = "BRL"
_LARGE: Final = 100_000_000
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def plain(text: str) -> str:
    """Text as a widget that renders Markdown shows it, letter by letter: no markup, no link.

    Whatever comes from a database, a file or the configuration passes here, or is drawn by a widget
    that renders no Markdown (tables, `st.text`, the options of a box).
    """
    text = _REPLACED.sub(lambda match: match[0] + _JOINER, text)
    return _MARKDOWN.sub(r"\\\1", text)


def whole(number: int, locale: str | None = None) -> str:
    """A whole number: 1.234.567."""
    return f"{number:,}".translate(_marks(locale or language()))


def money(amount: Decimal | float, locale: str | None = None) -> str:
    """An amount in reais: R$ 1.234,56."""
    locale = locale or language()
    sign = "-" if amount < 0 else ""
    return sign + _currency(locale) + f"{abs(amount):,.2f}".translate(_marks(locale))


def large(amount: Decimal) -> str:
    """An amount in reais for a narrow widget: from a hundred million on without cents."""
    if abs(amount) < _LARGE:
        return money(amount)
    return money(round(amount))[: -len(",00")]


def percent(share: float) -> str:
    """A share of one: 97,8%."""
    return _percent(share, language())


def number(value: float) -> str:
    """A number with at most one decimal place: 1.234 or 2,5."""
    if float(value).is_integer():
        return whole(int(value))
    return numbers.format_decimal(value, format="#,##0.#", locale=language())


def tenths(number: float) -> str:
    """A number with one decimal place: 2,5."""
    return numbers.format_decimal(number, format="#,##0.0", locale=language())


def day(value: date, locale: str | None = None) -> str:
    """A date: 22/11/2026."""
    return _day(value, locale or language())


def clock(value: time) -> str:
    """A time of day: 08:01:12."""
    return value.isoformat("seconds")


def instant(value: datetime) -> str:
    """A date and time: 22/11/2026 08:01:12."""
    return f"{day(value.date())} {clock(value.time())}"


def minute(value: datetime) -> str:
    """A date and time without seconds: 22/11/2026 08:01."""
    return f"{day(value.date())} {value:%H:%M}"


def span(start: date, end: date) -> str:
    """A period: 12/11/2026 a 22/11/2026, or the one day."""
    if start == end:
        return day(start)
    return t("{start} a {end}", start=day(start), end=day(end))


def seconds(difference: int) -> str:
    """A signed difference in time in its two largest units: +2 min 5 s."""
    sign = "−" if difference < 0 else "+" if difference else ""
    size = abs(difference)
    if size < _MINUTE:
        return f"{sign}{size} s"
    if size < _HOUR:
        return f"{sign}{size // _MINUTE} min {size % _MINUTE} s"
    if size < _DAY:
        return f"{sign}{size // _HOUR} h {size % _HOUR // _MINUTE} min"
    return f"{sign}{whole(size // _DAY)} d {size % _DAY // _HOUR} h"


def cnpj(text: str) -> str:
    """A CNPJ of 14 characters with its punctuation: 12.345.678/0001-90."""
    return f"{text[:2]}.{text[2:5]}.{text[5:8]}/{text[8:12]}-{text[12:]}"


def size(size_bytes: int) -> str:
    """A file's size: 2,1 MB."""
    if size_bytes < 1_000_000:
        return f"{numbers.format_decimal(size_bytes / 1000, format='#,##0', locale=language())} kB"
    return f"{numbers.format_decimal(size_bytes / 1e6, format='#,##0.0', locale=language())} MB"


# A page of a table has hundreds of values and Babel takes 0.05 ms for each, so these are cached.


@lru_cache(maxsize=4)
def _marks(locale: str) -> dict[int, str]:
    """Translation of Python's separators in numbers to those of the language."""
    return {
        ord(","): numbers.get_group_symbol(locale),
        ord("."): numbers.get_decimal_symbol(locale),
    }


@lru_cache(maxsize=4)
def _currency(locale: str) -> str:
    """The currency symbol with its space."""
    return numbers.format_currency(0, _CURRENCY, locale=locale).partition("0")[0]


@lru_cache(maxsize=4096)
def _percent(share: float, locale: str) -> str:
    return numbers.format_percent(share, format="#,##0.0%", locale=locale)


@lru_cache(maxsize=4096)
def _day(value: date, locale: str) -> str:
    if locale == PORTUGUESE:
        return f"{value.day:02}/{value.month:02}/{value.year:04}"
    return dates.format_date(value, format="medium", locale=locale)


def sentence(notice: Notice) -> str:
    """The notice in the reader's language, as Markdown."""
    values = {
        name: whole(value) if isinstance(value, int) else value
        for name, value in notice.values.items()
    }
    return plain(t(notice.template, **values))
