"""Sign-in in Chromium with an OpenID provider on this machine: access, refusal, expiry, roles."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openpyxl
import pytest
from playwright.sync_api import Browser

from lib.config.file_permissions import EXPOSED
from lib.dashboard.clear_export import NO_REASON
from lib.reports import description, verification
from lib.ui import audit, clear_export, export, guard
from tests.support import scenario, signing
from tests.support.driving import Visit, new_page
from tests.support.provider import Provider
from tests.support.sentences import pattern, says
from tests.support.servers import MERCHANTS, Databases
from tests.support.signing import Site

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("sign-in")]

FIRST, SECOND = MERCHANTS
ANA, RUI, EVA = "ana@example.com", "rui@example.com", "eva@example.com"
PEOPLE: dict[str, Any] = {
    ANA: {"roles": ["analyst"], "merchants": [FIRST]},
    RUI: {"roles": ["analyst", "clear_data"], "merchants": ["*"]},
    EVA: {"roles": ["auditor"]},
}
GROUPS = {"Marketing": {"roles": ["analyst"], "merchants": [SECOND]}}
PAGES = ["", "overview", "consolidated", "divergences", "charts", "customers", "runs", "audit"]
Enter = Callable[..., Visit]


@pytest.fixture(scope="module")
def site(
    filled: Databases, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    dashboard = Site(tmp_path_factory.mktemp("site"), filled.values, provider, PEOPLE, GROUPS)
    yield dashboard
    dashboard.server.stop()


@pytest.fixture
def visit(chromium: Browser, site: Site) -> Iterator[Visit]:
    site.grant(PEOPLE)
    page = new_page(chromium)
    yield Visit(page, site.server)
    page.context.close()


@pytest.fixture
def enter(visit: Visit, provider: Provider) -> Enter:
    return partial(signing.enter, visit, provider)


def shows_data(visit: Visit) -> bool:
    return "R$" in visit.text() or visit.button(export.START).count() > 0


def search(visit: Visit) -> None:
    """Rerun the table, and nothing else of the page."""
    visit.field("consolidated_busca").fill("4000")
    visit.page.keyboard.press("Enter")


@pytest.mark.parametrize("page", PAGES)
def test_a_direct_link_without_sign_in_shows_nothing(visit: Visit, page: str) -> None:
    visit.open(f"/{page}")
    assert guard.SIGNED_OUT in visit.text()
    assert not shows_data(visit)


def test_monitors_need_no_sign_in_and_learn_nothing_of_the_data(visit: Visit) -> None:
    def asked(path: str) -> tuple[int, str]:
        with urllib.request.urlopen(f"{visit.server.url}{path}") as answer:  # noqa: S310
            return answer.status, answer.read().decode()

    assert asked("/healthz") == (200, "ok\n")
    assert asked("/readyz") == (200, "configuration ok\nstore ok\n")
    status, text = asked("/metrics")
    assert status == 200
    assert re.search(r"^aggregator_sessions \d", text, re.MULTILINE)
    assert "Loja" not in text


def test_a_stranger_who_signs_in_is_refused_and_written_down(enter: Enter, site: Site) -> None:
    visit = enter("nobody@example.com")
    assert guard.NO_ROLE.format(name="nobody@example.com") in visit.text()
    assert not shows_data(visit)
    assert {"nobody@example.com"} == {r["who"] for r in site.records("refusal")}


def test_an_unverified_address_gives_no_access(enter: Enter) -> None:
    assert says(enter(ANA, email_verified=False).text(), guard.NO_ROLE)


def test_a_group_does_not_let_an_unverified_address_in_by_its_name(
    enter: Enter, site: Site
) -> None:
    claims = {"email_verified": False, "sub": "someone-1", "groups": ["marketing"]}
    assert MERCHANTS[SECOND] in enter(ANA.title(), **claims).text()
    assert site.records("sign_in")[-1]["who"] == "someone-1"


def test_an_analyst_sees_the_own_merchant_and_neither_clear_data_nor_the_audit(
    enter: Enter, site: Site
) -> None:
    visit = enter(ANA)
    assert shows_data(visit)
    assert MERCHANTS[FIRST] in visit.text()
    assert visit.page.get_by_test_id("stPopover").count() == 0
    assert visit.link("audit").count() == 0
    visit.open(f"/consolidated?estabelecimento={SECOND}")
    assert MERCHANTS[SECOND] not in visit.text()
    visit.open("/audit")
    assert "só para quem tem o papel de auditor" in visit.text()
    seen = [r for r in site.records("view") if r["who"] == ANA]
    assert {r["merchant"] for r in seen} == {FIRST}
    assert [r["who"] for r in site.records("sign_in")].count(ANA) >= 1


def test_a_group_gives_access_to_its_merchants(enter: Enter) -> None:
    visit = enter("new@example.com", groups=["marketing", "other"])
    assert MERCHANTS[SECOND] in visit.text()
    assert MERCHANTS[FIRST] not in visit.text()


def test_an_expired_sign_in_shows_no_further_row(enter: Enter, provider: Provider) -> None:
    for seconds in (6, 24, 96):  # a busy machine may show the first data too late
        visit = enter(ANA, seconds=seconds).open("/consolidated")
        if shows_data(visit):
            break
    assert shows_data(visit)
    time.sleep(max(0.0, provider.expires_at - time.time()))
    search(visit)
    visit.page.get_by_text(guard.EXPIRED).wait_for()
    visit.settle()
    assert not shows_data(visit)


def test_a_direct_link_shows_nothing_after_sign_out(enter: Enter, site: Site) -> None:
    visit = enter(ANA)
    visit.button(guard.SIGN_OUT).click()  # goes to the provider and back
    visit.page.get_by_text(guard.SIGNED_OUT).wait_for()
    visit.open("/divergences")
    assert guard.SIGNED_OUT in visit.text()
    assert not shows_data(visit)
    assert site.records("sign_out")[-1]["who"] == ANA


def test_a_revoked_role_ends_at_the_next_click(enter: Enter, site: Site) -> None:
    visit = enter(ANA).open("/consolidated")
    assert shows_data(visit)
    site.grant({RUI: PEOPLE[RUI]})
    search(visit)
    visit.page.get_by_text(guard.NO_ROLE.partition("} ")[2]).wait_for()
    assert guard.NO_ROLE.format(name=ANA) in visit.text()
    visit.settle()
    assert not shows_data(visit)


def test_sign_in_secrets_readable_by_others_are_refused(visit: Visit, site: Site) -> None:
    site.secrets.chmod(0o644)
    site.grant(PEOPLE)
    assert says(visit.open("/").text(), EXPOSED)
    site.secrets.chmod(0o600)
    site.grant(PEOPLE)
    assert guard.SIGNED_OUT in visit.open("/").text()


def test_a_clear_export_needs_a_reason_is_marked_and_is_audited(
    enter: Enter, site: Site, tmp_path: Path, chromium: Browser
) -> None:
    visit = enter(RUI)
    visit.page.get_by_test_id("stPopover").get_by_role("button").click()
    visit.button(clear_export.START).click()
    visit.page.get_by_text(re.compile(pattern(NO_REASON))).wait_for()
    visit.field(clear_export.REASON).fill("Auditoria interna 12/2026, pedido 77")
    visit.field(clear_export.REASON).press("Tab")
    visit.settle()
    visit.button(clear_export.START).click()
    button = visit.button(clear_export.DOWNLOAD)
    button.wait_for()
    with visit.page.expect_download() as download:
        button.click()
    file = tmp_path / "clear.xlsx"
    download.value.save_as(file)
    assert len(urlsplit(download.value.url).path) > 60, "nobody guesses it"
    said = verification.properties(file)
    assert said[description.DADOS] == "em claro"
    assert said[description.RESPONSAVEL] == RUI
    assert said[description.MOTIVO] == "Auditoria interna 12/2026, pedido 77"
    sheet = openpyxl.load_workbook(file)["Transacoes Consolidadas"]
    assert scenario.PHYSICAL in {row[1] for row in sheet.iter_rows(values_only=True)}
    began, ended = site.records("export")[-2:]
    assert (began["outcome"], ended["outcome"]) == ("started", "done")
    assert said[description.AUDITORIA] == f"{began['seq']}:{began['seal']}"
    assert {began["who"], began["reason"], began["clear"]} == {RUI, said[description.MOTIVO], True}
    assert scenario.PHYSICAL not in site.audit.read_text()

    link, mine = download.value.url, visit.page.context.request
    assert mine.get(link).status == 200
    stranger = chromium.new_context()
    assert stranger.request.get(link).status == 403
    stranger.close()
    site.grant({**PEOPLE, RUI: {"roles": ["analyst"], "merchants": ["*"]}})
    assert mine.get(link).status == 403
    site.grant(PEOPLE)
    visit.page.context.clear_cookies(name=re.compile("_streamlit_user.*"))
    assert mine.get(link).status == 403
    assert "/media/" not in link


def test_an_auditor_reads_the_trail_and_no_data(enter: Enter) -> None:
    visit = enter(EVA).open("/audit")
    visit.button(audit.CHECK).click()
    visit.settle()
    assert any(says(visit.text(), form) for form in audit.INTACT)
    visit.open("/consolidated")
    assert says(visit.text(), guard.NO_ROLE)
    assert not shows_data(visit)
