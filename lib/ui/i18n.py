"""The reader's language: Portuguese (pt-BR), or English where the browser prefers it.

Owns the gettext catalogues: a message's id is its Portuguese text, `lib/ui/locale/en` has the
English. A catalogue is compiled in memory from its source at first use, so it is never stale.
"""

from __future__ import annotations

import gettext
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Final

import streamlit as st
from babel import numbers
from babel.messages import mofile, pofile

from lib.domain.errors import AggregatorError

PORTUGUESE: Final = "pt_BR"
ENGLISH: Final = "en"
CATALOGUES: Final = Path(__file__).resolve().parent / "locale"


def language() -> str:
    """`PORTUGUESE` or `ENGLISH`, as this session's browser prefers."""
    preferred = st.context.locale or ""
    return ENGLISH if preferred.lower().startswith("en") else PORTUGUESE


def t(message: str, **values: object) -> str:
    """The message in the reader's language, its values filled in."""
    text = catalogue(language()).gettext(message)
    return text.format(**values) if values else text


def n(one: str, many: str, count: int, **values: object) -> str:
    """The message in its form for this count, with ``{count}`` as the language writes it."""
    locale = language()
    text = catalogue(locale).ngettext(one, many, count)
    return text.format(count=_whole(count, locale), **values)


def sentence(problem: AggregatorError) -> str:
    """An expected failure's sentence in the reader's language."""
    values = {
        name: sentence(value) if isinstance(value, AggregatorError) else value
        for name, value in problem.values.items()
    }
    if "what" in values:  # the name of a file, as `file_permissions` was given it
        values["what"] = t(str(values["what"]))
    return t(problem.template).format(**values)


@lru_cache(maxsize=1024)
def _whole(number: int, locale: str) -> str:
    return numbers.format_decimal(number, format="#,##0", locale=locale)


@lru_cache(maxsize=4)
def catalogue(name: str) -> gettext.NullTranslations:
    """The compiled catalogue of a language; Portuguese needs none."""
    source = CATALOGUES / name / "LC_MESSAGES" / "messages.po"
    if not source.exists():
        return gettext.NullTranslations()
    with source.open("rb") as file:
        compiled = BytesIO()
        mofile.write_mo(compiled, pofile.read_po(file, locale=name))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
