"""A table as HTML: words in the headings, rows that open by a click or Enter, no menu of its own.

Owns the component and its messages. A grid on a canvas would sort the rows on show by their texts;
here a heading only reports that it was clicked. Formats nothing and knows no column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import streamlit as st

from lib.ui.i18n import t

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

_FOLDER: Final = Path(__file__).resolve().parent
_MARKUP: Final = (
    "<div class='frame'><table><thead></thead><tbody></tbody><tfoot></tfoot></table></div>"
    "<p class='hint'></p>"
)


ALL: Final = -1
"""Stands for every row on show, in place of a position."""


@dataclass(frozen=True)
class Column:
    """A column: its name in events, heading, tooltip, and look.

    ``style`` is right-aligned, short (cut beyond a width) or long (as wide as the rest allows);
    ``sort`` marks the column that the rows are sorted by.
    """

    name: str
    label: str
    help: str = ""
    style: Literal["", "right", "short", "long"] = ""
    sort: Literal["", "ascending", "descending"] = ""


def sorted_by(columns: Sequence[Column], order: str) -> list[Column]:
    """The columns with this one marked; the order has a leading minus if it descends."""
    name = order.removeprefix("-")
    direction: Literal["descending", "ascending"] = (
        "descending" if order.startswith("-") else "ascending"
    )
    return [replace(x, sort=direction) if x.name == name else x for x in columns]


def _component() -> ComponentRenderer:
    css, js = ((_FOLDER / f"html_table.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return st.components.v2.component("aggregator.table", html=_MARKUP, css=css, js=js)


_TABLE: Final = _component()


def draw(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    key: str | None = None,
    *,
    total: Sequence[str] = (),
    opened: int | None = None,
    label: str = "",
    hint: str = "",
    selected: Collection[int] = (),
    on_open: Callable[[int], None] | None = None,
    on_sort: Callable[[str], None] | None = None,
    on_select: Callable[[int], None] | None = None,
) -> None:
    """Draw rows of texts, and a total below them; the row at position ``opened`` is marked.

    ``on_open`` is called with the position of an opened row, ``on_sort`` with the name of a clicked
    column, ``on_select`` with the position of a row whose box was clicked, or `ALL` for the box of
    the page; they need a key. ``selected`` are the ticked rows. ``label`` names the table for
    screen readers, ``hint`` stands below it.
    """
    data = {
        "columns": [_fields(column) for column in columns],
        "rows": rows,
        "total": total,
        "opened": opened,
        "label": label,
        "hint": hint,
        "opens": on_open is not None,
        "sorts": on_sort is not None,
        "selected": sorted(selected) if on_select is not None else None,
        "select": t("Selecionar"),
    }
    _TABLE(
        key=key,
        # As bytes: of a dictionary, Streamlit looks into every value for a frame, and writes it
        # once more for an unused identity.
        data=json.dumps(data, separators=(",", ":")).encode(),
        on_open_change=partial(_hear, key or "", "open", range(len(rows)), on_open),
        on_sort_change=partial(_hear, key or "", "sort", [c.name for c in columns], on_sort),
        on_select_change=partial(_hear, key or "", "select", range(ALL, len(rows)), on_select),
    )


@lru_cache(maxsize=256)
def _fields(column: Column) -> dict[str, str]:
    return asdict(column)


def _hear(
    key: str, event: str, known: Sequence[Any], callback: Callable[[Any], None] | None
) -> None:
    """Pass the value of an event on, if it is one that the table can send."""
    value = st.session_state[key].get(event)
    if callback is not None and type(value) in (int, str) and value in known:
        callback(value)
