"""The button of the clear export: one export per session, and none without a reader."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib.dashboard import clear_export
from lib.dashboard.clear_export import ClearExport
from lib.ui import clear_export as clear_page
from lib.ui import downloads, guard
from lib.ui.app_state import Site
from tests.support.command import soon
from tests.support.dashboard import Dashboard, unescaped
from tests.support.sentences import says

REASON = "Pedido 77 da auditoria"


class Exports:
    """The exports that began; each ends at the event ``end`` or when it is stopped."""

    def __init__(self) -> None:
        self.begun: list[ClearExport] = []
        self.end = threading.Event()

    def work(self, export: ClearExport, *_: Any) -> bytes:
        self.begun.append(export)
        while not self.end.wait(0.01):
            if export._stopped:
                raise RuntimeError("stopped")
        return b"planilha"


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exports]:
    """Grants the role of clear exports, which run until the test ends them."""
    started, decide = Exports(), guard._decide

    def with_the_role(site: Site) -> Any:
        admission = decide(site)
        assert isinstance(admission, guard.Admission)
        return replace(admission, clear=tuple(admission.merchants))

    monkeypatch.setattr(guard, "_decide", with_the_role)
    monkeypatch.setattr(clear_export, "_content", started.work)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    yield started
    started.end.set()
    assert soon(lambda: not clear_export._UNDER_WAY)


def ask_for_the_last_day(at: AppTest) -> None:
    [chosen] = at.date_input
    chosen.set_value((chosen.value[1], chosen.value[1])).run()


def button(at: AppTest) -> Any:
    return at.button(key="em_claro")


def test_a_second_click_cannot_begin_a_second_export(
    dashboard: Dashboard, exports: Exports
) -> None:
    at = dashboard.open("consolidated")
    at.text_area(key="motivo_em_claro").input(REASON).run()

    button(at).click().run()
    assert button(at).disabled, "while the export runs"
    exports.end.set()
    assert soon(lambda: not clear_export._UNDER_WAY)
    at.run()
    assert not at.error
    assert not button(at).disabled
    at.button(key=clear_page.DOWNLOAD).click().run()
    [offer] = downloads._OFFERS.values()
    assert (offer.file.content, offer.file.clear) == (b"planilha", True)
    assert clear_page.DOWNLOAD not in [b.key for b in at.button]


def test_another_request_replaces_the_running_export(
    dashboard: Dashboard, exports: Exports
) -> None:
    at = dashboard.open("consolidated")
    at.text_area(key="motivo_em_claro").input(REASON).run()
    button(at).click().run()

    ask_for_the_last_day(at)
    button(at).click().run()

    first, second = exports.begun
    assert soon(first.future.done)
    assert not second.future.done()


def test_a_refusal_leaves_the_running_export(dashboard: Dashboard, exports: Exports) -> None:
    at = dashboard.open("consolidated")
    at.text_area(key="motivo_em_claro").input(REASON).run()
    button(at).click().run()
    running = at.session_state["_clear_export"]

    ask_for_the_last_day(at)
    at.text_area(key="motivo_em_claro").input("curto").run()
    button(at).click().run()

    assert [e for e in at.error if says(unescaped(e.value), clear_export.NO_REASON)]
    assert at.session_state["_clear_export"] == running
    assert len(exports.begun) == 1
