"""The page of the runs, and every page's banner about the scheduled ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from lib.config import loader
from lib.dashboard import clear_export
from lib.database import row_level_security
from lib.delivery import events, history, run_lines, state_file
from lib.delivery.history import Dispatch, History
from lib.security import audit_events
from lib.ui import app_state, downloads, formatting, guard, runs
from lib.ui.app_state import Site
from lib.ui.i18n import ENGLISH
from lib.ui.session_user import Visitor
from tests.support.dashboard import Dashboard, frames, texts, unescaped
from tests.support.faults import MERCHANT
from tests.support.runs import FIELDS
from tests.support.sentences import says

NOW = datetime.now(UTC).replace(tzinfo=None)
BANNERS = (runs.ENDED_BADLY, runs.OLD, runs.NOTED)
BOOKS = {"transactions": 1200, "logs": 1000, "divergences": 50, "consolidated": 900}


@pytest.fixture
def record(dashboard: Dashboard) -> History:
    """The history that this dashboard reads, empty."""
    return history.of(loader.load())


def ran(record: History, outcome: str = history.DONE, hours: float = 1, **fields: Any) -> None:
    begun = FIELDS | {"merchant": MERCHANT, "began_at": NOW - timedelta(hours=hours)}
    ended = {"message", "note", "file", "sha256"}
    number = record.begin(**begun | {k: v for k, v in fields.items() if k not in ended})
    books = {"books": BOOKS, "seconds": {"extract": 2.5}} if outcome == history.DONE else {}
    rest = {name: value for name, value in fields.items() if name in ended}
    record.end(number, outcome, **books, **rest)


def open_run(at: AppTest, record: History, row: int = 0) -> AppTest:
    """Open a run as a click on its row does."""
    at.session_state[runs.OPENED] = record.runs()[row].id
    return at.run()


def banners(dashboard: Dashboard, page: str) -> list[str]:
    warnings = [unescaped(warning.value) for warning in dashboard.open(page).warning]
    return [text for text in warnings if any(says(text, banner) for banner in BANNERS)]


def test_without_any_run_the_page_says_so(dashboard: Dashboard, record: History) -> None:
    at = dashboard.open("runs")
    assert not at.exception
    assert runs.NO_RUNS in texts(at)
    assert banners(dashboard, "overview") == []


def test_the_page_shows_the_runs_and_their_trend(dashboard: Dashboard, record: History) -> None:
    ran(record, hours=26)
    ran(record, history.FAILED, hours=2, message="auth_logs: sem conexão.")
    ran(record, hours=1)
    at = dashboard.open("runs")
    assert not at.exception
    [shown] = frames(at)
    assert list(shown["outcome"]) == ["concluída", "falhou", "concluída"]
    assert list(shown["rate"]) == ["5,0%", "–", "5,0%"]
    figures = {metric.label: metric.value for metric in at.metric}
    assert figures == {
        "Registros lidos": "2.200",
        "Taxa de divergência": "5,0%",
        "Duração": "2,5 s",
    }


def test_a_selected_run_shows_its_account_and_its_rule(
    dashboard: Dashboard, record: History
) -> None:
    ran(record)
    at = dashboard.open("runs")
    account = audit_events.account().name
    assert runs.RULE.format(who=account, rule="card") in texts(open_run(at, record))


def test_notices_and_copies_of_each_run_are_counted_and_told_in_its_details(
    dashboard: Dashboard, record: History
) -> None:
    ran(record, hours=26)
    at = dashboard.open("runs")
    assert not {"notices", "copies"} & set(frames(at)[0].columns)
    ran(record)
    number = record.runs()[0].id
    moment = datetime.now(UTC)
    notice = partial(Dispatch, history.NOTICE, at=moment)
    sent = [
        notice("json://hook", event=events.UNUSUAL),
        notice("mailto://mail", event=events.UNUSUAL, problem="a conexão falhou"),
        Dispatch(history.COPY, "sftp://arquivo", moment),
    ]
    record.add_dispatches(number, sent)
    at = dashboard.open("runs")
    assert not at.exception
    [shown] = frames(at)
    assert list(shown["notices"]) == ["1 de 2", "–"]
    assert list(shown["copies"]) == ["1", "–"]
    details = unescaped(texts(open_run(at, record)))
    unusual = "números fora do padrão"
    for line in (
        run_lines.TOLD.format(event=unusual, target="json://hook"),
        run_lines.UNTOLD.format(event=unusual, target="mailto://mail", problem="a conexão falhou"),
        run_lines.COPIED.format(target="sftp://arquivo"),
    ):
        assert line in details


@pytest.mark.parametrize("page", ["runs", "overview"])
def test_a_failed_last_run_is_a_banner_on_every_page(
    dashboard: Dashboard, record: History, page: str
) -> None:
    ran(record, history.FAILED, message="auth_logs: sem conexão.")
    [banner] = banners(dashboard, page)
    assert says(banner, runs.ENDED_BADLY)


def test_dates_and_durations_are_written_as_the_reader_writes_them(
    dashboard: Dashboard, record: History
) -> None:
    ran(record, hours=49)
    at = dashboard.open("runs", locale="en-US")
    zone = ZoneInfo("America/Sao_Paulo")
    began = (NOW - timedelta(hours=49)).replace(tzinfo=UTC).astimezone(zone)
    written = formatting.day(began.date(), ENGLISH)
    assert any(f"{written} {began:%H:%M}" in unescaped(w.value) for w in at.warning)
    assert {m.label: m.value for m in at.metric}["Duration"] == "2.5 s"


def test_a_last_run_older_than_a_day_is_a_banner(dashboard: Dashboard, record: History) -> None:
    ran(record, hours=25)
    [banner] = banners(dashboard, "overview")
    assert says(banner, runs.OLD)


def test_a_last_run_with_unusual_figures_is_a_banner_until_the_next_run(
    dashboard: Dashboard, record: History
) -> None:
    ran(record, note="A note.")
    [banner] = banners(dashboard, "overview")
    assert says(banner, runs.NOTED)
    ran(record, hours=0.5)
    st.cache_data.clear()
    assert banners(dashboard, "overview") == []


def test_runs_of_merchants_that_are_not_the_readers_are_not_shown(
    dashboard: Dashboard, record: History
) -> None:
    ran(record, history.FAILED, merchant="99999999999999", merchant_name="Outra")
    at = dashboard.open("runs")
    assert runs.NO_RUNS in texts(at)
    assert "Outra" not in texts(at)


def test_a_kept_report_can_be_downloaded_and_a_changed_one_cannot(
    dashboard: Dashboard, record: History, tmp_path: Path
) -> None:
    kept, changed = tmp_path / "kept.xlsx", tmp_path / "changed.xlsx"
    for path in (kept, changed):
        path.write_bytes(b"report")
    digest = hashlib.sha256(b"report").hexdigest()
    ran(record, file=str(changed), sha256=digest)
    ran(record, file=str(kept), sha256=digest, hours=0.5, note="A note.")
    changed.write_bytes(b"another")
    at = dashboard.open("runs")
    open_run(at, record)
    assert says(texts(at), runs.STAGE.replace("{seconds}", "2,5"))
    assert digest in texts(at)
    at.button(key=runs.DOWNLOAD).click().run()
    [offer] = downloads._OFFERS.values()
    assert (offer.file.content, offer.file.sha256, offer.file.clear) == (kept, digest, False)
    assert "A note." in texts(at)
    open_run(at, record, 1)
    assert runs.DOWNLOAD not in [button.key for button in at.button]
    assert runs.NOT_KEPT in texts(at)


def test_a_kept_clear_report_needs_the_role_a_reason_and_is_audited_as_clear(
    dashboard: Dashboard, record: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, content = tmp_path / "kept.xlsx", b"clear report"
    kept.write_bytes(content)
    ran(record, file=str(kept), sha256=hashlib.sha256(content).hexdigest(), clear=True)

    def open_the_run() -> AppTest:
        return open_run(dashboard.open("runs"), record)

    assert runs.DOWNLOAD not in [button.key for button in open_the_run().button]
    decide = guard.decide

    def with_the_role(site: Site, visitor: Visitor) -> Any:
        admission = decide(site, visitor)
        assert isinstance(admission, guard.Admission)
        return replace(admission, clear=tuple(admission.merchants))

    monkeypatch.setattr(guard, "decide", with_the_role)
    at = open_the_run()
    for reason in ("", "curto", " " * 40):
        at.text_area(key=runs.REASON).input(reason).run()
        at.button(key=runs.DOWNLOAD).click().run()
        assert says(unescaped(at.error[0].value), clear_export.NO_REASON)
        assert downloads._OFFERS == {}
    at.text_area(key=runs.REASON).input("Pedido 77, cartão 4539578763621486").run()
    at.button(key=runs.DOWNLOAD).click().run()
    [offer] = downloads._OFFERS.values()
    assert offer.file.clear
    assert offer.file.record is not None
    offer.file.record()
    audited = json.loads(Path(str(loader.load().audit.path)).read_text().splitlines()[-1])
    assert (audited["kind"], audited["clear"], audited["sha256"]) == (
        "export",
        True,
        offer.file.sha256,
    )
    assert audited["reason"] == "Pedido 77, cartão ******"


def test_a_report_with_the_rows_of_its_account_is_not_offered_under_row_level_security(
    dashboard: Dashboard, record: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.xlsx"
    kept.write_bytes(b"report")
    ran(record, file=str(kept), sha256=hashlib.sha256(b"report").hexdigest())
    monkeypatch.setenv("AGGREGATOR__ROW_LEVEL_SECURITY", "true")
    monkeypatch.setattr(row_level_security, "prove", lambda *_: None)
    app_state.forget()
    at = dashboard.open("runs")
    assert runs.ROWS_OF_ITS_ACCOUNT in texts(open_run(at, record))
    assert runs.DOWNLOAD not in [button.key for button in at.button]


def test_a_history_that_cannot_be_read_is_one_sentence(
    dashboard: Dashboard, record: History
) -> None:
    record.path.parent.mkdir(parents=True)
    record.path.write_bytes(b"isto nao e um banco" * 100)
    at = dashboard.open("runs")
    assert not at.exception
    assert says(texts(at), state_file.NOT_A_HISTORY)
