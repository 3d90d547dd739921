"""The audit of the pages: views, searches, filters, failed exports."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.config import defaults, loader
from lib.dashboard import export_queue, export_worker
from lib.domain.errors import AuditError
from lib.security import audit_events, audit_trail
from lib.ui import export
from tests.support.dashboard import Dashboard, frames, texts
from tests.support.scenario import PHYSICAL, masked


def records(dashboard: Dashboard, kind: str) -> list[dict[str, Any]]:
    trail = Path(dashboard.databases.values["audit"]["path"])
    lines = trail.read_text().splitlines() if trail.exists() else []
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def recorded_views(dashboard: Dashboard) -> list[tuple[str, str, str]]:
    """Page, search and filters of each recorded view of selected rows."""
    views = records(dashboard, "view")
    return [(v["page"], v["search"], v["filters"]) for v in views if "search" in v]


def test_a_search_and_a_filter_are_recorded_once_each_and_without_a_card(
    morning: Dashboard,
) -> None:
    at = morning.open("consolidated")
    assert recorded_views(morning) == []
    at.text_input(key="consolidated_busca").set_value(PHYSICAL).run()
    at.run()
    at.multiselect(key="consolidated_tipo_match").set_value(["virtual", "físico"]).run()
    card = masked(PHYSICAL)
    assert recorded_views(morning) == [
        ("consolidated", card, ""),
        ("consolidated", card, "tipo_match = físico, virtual"),
    ]
    at.run()
    assert len(recorded_views(morning)) == 2
    assert [v["page"] for v in records(morning, "view") if "search" not in v] == ["consolidated"]


def _auditors_table(trail: str) -> None:
    from pathlib import Path

    from lib.ui import audit

    audit.records(Path(trail))


def test_auditors_see_which_operations_have_no_recorded_end(morning: Dashboard) -> None:
    settings = loader.from_values(morning.databases.values, "teste", {})
    request = defaults.request(settings, defaults.local_today(settings))
    rui = audit_events.Actor("rui@example.com", "10.1.2.3")
    with audit_events.operation(settings, "export", rui, request, clear=False) as operation:
        operation.complete()
    audit_events.Operation(
        settings, "export", rui, audit_events.request_fields(request, clear=False)
    )
    trail = morning.databases.values["audit"]["path"]
    at = AppTest.from_function(_auditors_table, args=(str(trail),)).run()
    assert not at.exception
    assert frames(at)[0]["outcome"].tolist() == [
        "started (sem fim registrado)",
        "done",
        "started",
        "",
    ]


def test_a_search_that_cannot_be_recorded_shows_no_row(
    morning: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = morning.open("consolidated")

    def full(*_: object) -> None:
        raise AuditError("full disk")

    monkeypatch.setattr(audit_trail, "append", full)
    at.text_input(key="consolidated_busca").set_value("simples").run()
    assert "full disk" in texts(at)
    assert not frames(at)


def test_a_failed_export_is_recorded_though_no_session_shows_it(
    morning: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_worker, "ROOT", tmp_path)  # where there is no worker to run
    at = morning.open()
    at.button(key=export.START).click().run()
    deadline = time.monotonic() + 120
    while len(records(morning, "export")) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    began, ended = records(morning, "export")
    assert (began["outcome"], ended["outcome"]) == ("started", "failed")
    assert ended["message"] == export_queue.DIED
