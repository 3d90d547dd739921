"""A dashboard over real databases, opened in a fresh session, and the texts that it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from streamlit.testing.v1 import AppTest

from lib.config.settings import ROOT
from lib.ui import tables
from tests.support.servers import Databases


@dataclass(frozen=True)
class Dashboard:
    """The entry over a configured pair of databases."""

    databases: Databases

    def open(self, name: str = "overview", *, locale: str = "pt-BR", **address: Any) -> AppTest:
        """The page in a fresh session at this address."""
        at = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)
        at.context["locale"] = locale
        at.query_params.update(address)
        if name != "overview":  # the landing page
            at.switch_page(f"pages/{name}.py")
        return at.run()


def frames(at: AppTest) -> list[pd.DataFrame]:
    """The tables of a page: names of columns and texts of cells, a total last."""
    drawn = []
    for element in at.get("bidi_component"):
        data = json.loads(element.proto.bytes)
        rows = data["rows"] + [data["total"]] * bool(data["total"])
        drawn.append(pd.DataFrame(rows, columns=[column["name"] for column in data["columns"]]))
    return drawn


def open_numbers(at: AppTest) -> None:
    """Open the numbers of every chart of a page."""
    for chart in at.get("plotly_chart"):
        key = chart.proto.id.split("-", 2)[-1]
        at.session_state[f"{key}_numeros"] = True
    at.run()


def headings(at: AppTest, part: str = "label") -> dict[str, str]:
    """The headings of a page's first table, or their tooltips (``help``), by column."""
    data = json.loads(at.get("bidi_component")[0].proto.bytes)
    return {column["name"]: column[part] for column in data["columns"]}


def texts(at: AppTest) -> str:
    """All texts of a page, without the escapes of Markdown."""
    kinds: tuple[Callable[[AppTest], Any], ...] = (
        lambda a: a.title,
        lambda a: a.text,
        lambda a: a.markdown,
        lambda a: a.caption,
        lambda a: a.info,
        lambda a: a.warning,
        lambda a: a.error,
        lambda a: a.html,
    )
    return "\n".join(unescaped(element.value) for kind in kinds for element in kind(at))


def unescaped(text: object) -> str:
    """A text of a page without the escapes of Markdown."""
    return re.sub(r"\\([^\w\s]|_)", r"\1", str(text)).replace("\u2060", "")


def figures(at: AppTest) -> dict[str, str]:
    """The page's figures by label."""
    return {metric.label: metric.value for metric in at.metric}


def charts(at: AppTest) -> list[dict[str, Any]]:
    """The page's charts, as Plotly's figures."""
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


def period(at: AppTest) -> tuple[date, ...]:
    return tuple(at.date_input(key="periodo").value)


def subject(at: AppTest) -> str:
    return str(at.caption[0].value)


def rows(at: AppTest) -> Any:
    return frames(at)[0]


def total(at: AppTest) -> str:
    """The line above the rows."""
    return str(at.text[0].value)


def counted(rows: int, of: int | None = None, amount: str | None = None) -> str:
    """The line for these numbers."""
    line = tables.ROWS[rows != 1].format(count=rows)
    line = line if of is None else tables.OF_ALL_ROWS.format(count=line, of=of)
    return line if amount is None else tables.WITH_AMOUNT.format(count=line, amount=amount)
