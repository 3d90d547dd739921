"""The download link of a workbook: it serves one session of one browser, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Download

from lib.ui import downloads, export
from tests.browser.conftest import Opened
from tests.support.command import sheets, soon
from tests.support.driving import Visit

pytestmark = pytest.mark.browser


def downloaded(seen: Visit) -> Download:
    with seen.page.expect_download() as waiting:
        seen.button(export.START).click()
    return waiting.value


def test_a_link_serves_only_its_own_browser_and_session(visit: Opened, tmp_path: Path) -> None:
    seen, stranger = visit("/overview"), visit("/overview")
    download = downloaded(seen)
    download.save_as(tmp_path / "mine.xlsx")
    assert len(sheets(tmp_path / "mine.xlsx").consolidated) > 100
    link = download.url
    assert re.search(r"/planilha/[\w-]+\.[0-9a-f]{64}$", link)

    mine = seen.page.context.request
    again = mine.get(link)
    assert (again.status, again.body()) == (200, (tmp_path / "mine.xlsx").read_bytes())
    assert again.headers["cache-control"] == "no-store"
    assert "gzip" not in again.headers.get("content-encoding", "")
    elsewhere = {"Origin": "http://localhost:1"}
    assert mine.get(link, headers=elsewhere).status == 403

    assert stranger.page.context.request.get(link).status == 403
    for changed in (link[:-1] + ("0" if link[-1] != "0" else "1"), link.rsplit(".", 1)[0]):
        refused = mine.get(changed)
        assert (refused.status, refused.text().strip()) == (403, downloads.GONE)

    seen.page.close()
    assert soon(lambda: mine.get(link).status == 403)
    assert "Traceback" not in seen.server.log()


def test_a_second_download_has_a_link_of_its_own_and_the_same_file(
    visit: Opened, tmp_path: Path
) -> None:
    seen = visit("/consolidated")
    first = downloaded(seen)
    with seen.page.expect_download() as waiting:
        seen.button(export.REPEAT).click()
    assert waiting.value.url != first.url
    assert waiting.value.suggested_filename == first.suggested_filename
    first.save_as(tmp_path / "first.xlsx")
    waiting.value.save_as(tmp_path / "second.xlsx")
    assert (tmp_path / "first.xlsx").read_bytes() == (tmp_path / "second.xlsx").read_bytes()


def test_scripts_cannot_read_the_cookie_that_identifies_the_browser(visit: Opened) -> None:
    seen = visit("/overview")
    [cookie] = [c for c in seen.page.context.cookies() if c["name"] == "aggregator_browser"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Lax", -1)
    assert "aggregator_browser" not in seen.page.evaluate("document.cookie")
    before = cookie["value"]
    seen.open("/charts")
    [cookie] = [c for c in seen.page.context.cookies() if c["name"] == "aggregator_browser"]
    assert cookie["value"] == before


def test_a_link_of_another_site_leaves_the_open_pages_their_downloads(visit: Opened) -> None:
    seen = visit("/overview")
    other = seen.page.context.new_page()
    # A browser takes `localhost` and the address of the server for two sites.
    elsewhere = "http://localhost/"
    html = f'<a href="{seen.server.url}/overview">painel</a>'
    other.route(elsewhere, lambda route: route.fulfill(content_type="text/html", body=html))
    other.goto(elsewhere)
    with other.expect_response(lambda answer: answer.url.endswith("/overview")):
        other.get_by_role("link", name="painel").click()
    assert seen.page.context.request.get(downloaded(seen).url).status == 200
