"""Texts of a database, the history or the configuration are shown as text everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.config import loader
from lib.delivery import history
from lib.ui import app_state, formatting
from tests.support import hostile, scenario
from tests.support.dashboard import Dashboard, open_numbers, unescaped
from tests.support.scenario import FIELD, MERCHANT, today

PAGES = ("overview", "consolidated", "divergences", "charts", "customers", "runs")
TABLES = ("overview", "consolidated", "divergences", "runs")
MARKDOWN = ("markdown", "caption", "info", "warning", "error", "success", "title", "header")
LABELLED = ("button", "metric", "checkbox", "tabs", "expander")


@pytest.fixture
def planted(dashboard: Dashboard, tmp_path: Path) -> Iterator[Dashboard]:
    """Hostile texts in every field that takes one."""
    day = today() - timedelta(days=1)
    card, texts = "4539578763621486", hostile.TEXTS
    dashboard.databases.fill(
        transactions=[
            (card, day, time(10), MERCHANT, None, 10),
            (texts[0], day, time(11), MERCHANT, texts[1], 20),
        ],
        customer_cards=[(texts[2], texts[0])],
        auth_logs=[
            (card, day, time(10), "00", hostile.EVERY, f"0100{FIELD}"),
            *(
                (card, day, time(12, number), text, text, f"0100{FIELD}")
                for number, text in enumerate(texts)
            ),
            ("4916338506082832", day, time(13), texts[0], hostile.EVERY, f"0100{FIELD}"),
        ],
    )
    keys: dict[str, Any] = {"merchants": {MERCHANT: hostile.EVERY}}
    scenario.site(tmp_path, dashboard.databases.values, **keys)
    app_state.forget()
    record = history.of(loader.load())
    number = record.begin(
        origin=history.SCHEDULED,
        merchant=MERCHANT,
        merchant_name=hostile.EVERY,
        period_start=date(2026, 11, 13),
        period_end=date(2026, 11, 23),
        rule=texts[0],
        tolerance_seconds=300,
        clear=False,
        began_at=datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1),
    )
    file = str(tmp_path / f"{texts[0].replace('/', '∕')}.xlsx")
    record.end(
        number,
        history.FAILED,
        message=hostile.EVERY,
        note=hostile.EVERY,
        file=file,
        sha256=texts[6],
    )
    yield dashboard
    app_state.forget()


def rendered(at: AppTest) -> list[str]:
    """The page's texts that are rendered as Markdown, as they are sent."""
    texts = [str(element.value) for kind in MARKDOWN for element in at.get(kind)]
    for kind in LABELLED:
        for element in at.get(kind):
            proto = element.proto
            texts += [str(getattr(proto, name, "")) for name in ("label", "help", "body", "delta")]
    return texts


def active(text: str) -> list[str]:
    """The hostile texts that are markup in this one."""
    return [h for h in hostile.TEXTS if h in text]


@pytest.mark.parametrize("name", PAGES)
def test_no_page_renders_a_text_of_the_data(planted: Dashboard, name: str) -> None:
    at = planted.open(name)
    assert not at.exception
    if name in ("runs", "consolidated", "divergences"):
        key = "execucoes" if name == "runs" else f"{name}_linhas"
        at.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
        at.run()
        assert not at.exception
    markdown = rendered(at)
    assert {h for text in markdown for h in active(text)} == set()
    shown = " ".join(map(unescaped, markdown))
    assert hostile.TEXTS[0] in shown, "the merchant's name stands on every page"
    for element in at.html:
        body = re.sub(r"<(style|script)>.*?</\1>", "", str(element.value), flags=re.DOTALL)
        assert {h for h in active(body) if "<" in h} == set()
    for chart in at.get("plotly_chart"):
        figure = json.loads(chart.proto.spec)
        strings = re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(figure["data"]))
        assert [s for s in strings if hostile.HOST in s and ("<" in s or "$" in s)] == []


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_a_hostile_text_is_shown_letter_by_letter(text: str) -> None:
    assert unescaped(formatting.plain(text)) == text
    assert active(formatting.plain(text)) == []


@pytest.mark.parametrize("moment", ["10:30", "23:59:59", "às 08:00:30 de ontem", "lado: valor"])
def test_a_time_of_day_keeps_its_characters(moment: str) -> None:
    assert formatting.plain(moment).replace("\\", "") == moment


@pytest.mark.parametrize("name", PAGES)
def test_no_table_is_a_grid_with_a_menu_and_a_download_of_its_own(
    planted: Dashboard, name: str
) -> None:
    at = planted.open(name)
    open_numbers(at)
    assert not at.exception
    assert not at.dataframe


def test_other_merchants_numbers_are_no_warning_of_the_reader(dashboard: Dashboard) -> None:
    site = app_state.prepare()
    other = "11111111111111"
    settings = site.settings.model_copy(
        update={"merchants": {**site.settings.merchants, other: "Outra"}}
    )
    assert any(warning.values.get("cnpj") == other for warning in settings.warnings())

    def show(merchants: tuple[str, ...]) -> str:
        def script(settings, merchants):  # type: ignore[no-untyped-def]
            from types import SimpleNamespace

            from lib.ui import page

            page.announce(SimpleNamespace(settings=settings, demo=False), merchants)

        keys = {"settings": settings, "merchants": merchants}
        at = AppTest.from_function(script, kwargs=keys, default_timeout=60).run()
        return " ".join(unescaped(warning.value) for warning in at.warning)

    assert other not in show((MERCHANT,))
    assert other in show((MERCHANT, other))
