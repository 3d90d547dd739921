"""Reads under way, failed reads, and a refresh."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.database.error_translation import NOT_CONNECTED
from lib.ui import extraction_status, refresh
from tests.browser.conftest import Opened, rows
from tests.support import scenario
from tests.support.command import gate, gated_query, with_query
from tests.support.driving import Server
from tests.support.scenario import BULK, UNKNOWN, masked, today
from tests.support.sentences import says
from tests.support.servers import Databases, Servers

pytestmark = pytest.mark.browser

_CHECKED_WITHIN_A_SECOND = """async () => {
  for (const end = performance.now() + 1000; performance.now() < end;) {
    if (document.querySelector("[data-testid=stExpanderIconCheck]")) return true;
    await new Promise((done) => setTimeout(done, 10));
  }
  return false;
}"""


def read(count: int) -> str:
    return extraction_status.READ[1].format(side=extraction_status.TRANSACTIONS, count=count)


def test_a_stopped_database_is_a_sentence_and_the_button_recovers(
    fresh: Callable[[Path], Server],
    visit: Opened,
    databases: Databases,
    servers: Servers,
    tmp_path: Path,
) -> None:
    scenario.fill(databases)
    server = fresh(scenario.site(tmp_path, databases.values))
    servers.stop("auth_logs")
    try:
        seen = visit("/divergences", at=server)
        alerts = seen.page.get_by_test_id("stAlert").all_inner_texts()
        assert says(alerts[-1], NOT_CONNECTED.replace("{side}", "auth_logs"))
        assert seen.page.locator("table").count() == 0
    finally:
        servers.start("auth_logs")
    seen.button(extraction_status.RETRY).click()
    seen.settle()
    assert seen.cells("num_cartao")[0] == masked(UNKNOWN)
    assert "Traceback" not in server.log()


def test_stages_are_seen_while_the_data_are_read(
    fresh: Callable[[Path], Server], visit: Opened, databases: Databases, tmp_path: Path
) -> None:
    scenario.fill(databases)
    values = with_query(databases.values, "auth_logs", tmp_path, gated_query("auth_logs"))
    with gate(databases, "auth_logs"):
        seen = visit("/", at=fresh(scenario.site(tmp_path, values)), settled=False)
        seen.page.get_by_text(read(125)).wait_for()
        assert extraction_status.AUTH_LOGS in seen.text()
        assert seen.page.get_by_test_id("stExpanderIconSpinner").count() == 1
        assert not seen.page.evaluate(_CHECKED_WITHIN_A_SECOND)
    seen.page.get_by_test_id("stExpanderIconSpinner").wait_for(state="detached")
    seen.settle()
    assert re.search(r"126 \w+ = 124 \w+ \+ 2 \w+", seen.text())


def test_a_refresh_shows_new_records_without_hiding_the_old(
    fresh: Callable[[Path], Server], visit: Opened, databases: Databases, tmp_path: Path
) -> None:
    scenario.fill(databases)
    values = with_query(databases.values, "auth_logs", tmp_path, gated_query("auth_logs"))
    seen = visit("/consolidated", at=fresh(scenario.site(tmp_path, values)))
    card, day = "4000009999990000", today()
    databases.fill(
        transactions=[(card, day, None, scenario.MERCHANT, None, 1)],
        auth_logs=[(card, day, None, "00", "nova", scenario.FIELD)],
    )
    with gate(databases, "auth_logs"):
        seen.button(refresh.REFRESH).click()
        seen.page.get_by_text(read(126)).wait_for()
        assert rows(BULK + 3) in seen.text()
        assert len(seen.cells("num_cartao")) > 10
    seen.page.get_by_text(rows(BULK + 4)).wait_for()
