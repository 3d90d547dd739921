"""Everything sent to the browser: no planted card or CPF, and markup only as text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, WebSocket

from lib.config.settings import ROOT
from lib.database.error_translation import BY_STATE
from lib.ui import export, tables
from tests.support import hostile, scenario
from tests.support.command import with_query
from tests.support.driving import Server, Visit, new_page
from tests.support.scenario import FIELD, MERCHANT, masked
from tests.support.sentences import says
from tests.support.servers import MERCHANTS, Databases, Servers

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("what-the-browser-gets")]

PHYSICAL, VIRTUAL, LOST = "4539578763621486", "5500005555555559", "4916338506082832"
CPF = "52998224725"
PLANTED = (PHYSICAL, VIRTUAL, LOST, CPF)
OTHER = next(cnpj for cnpj in MERCHANTS if cnpj != MERCHANT)
ATTACK = '<img src=x onerror="window.struck=1"><script>window.struck=1</script>'
INJECTION = "'; DROP TABLE transactions; --"
PAGES = ("overview", "consolidated", "divergences", "charts", "customers", "runs")
CAST = (
    "SELECT q.* FROM ({default}) AS q, transactions AS d WHERE (d.card_number || 'x')::bigint > 0"
)


@pytest.fixture(scope="module")
def planted(chromium: Browser, servers: Servers) -> Iterator[Databases]:
    """Purchases with markup or SQL in each text, and a whole card number or CPF where one fits."""
    databases = servers.fresh()
    day = scenario.today() - timedelta(days=1)
    raw = f"0200{PHYSICAL}{CPF}{FIELD}"
    databases.fill(
        customer_cards=[(CPF, PHYSICAL)],
        transactions=[
            (PHYSICAL, day, time(10), MERCHANT, f"VC0001{VIRTUAL}", 10),
            (ATTACK, day, time(11), MERCHANT, ATTACK, 20),
        ],
        auth_logs=[
            (VIRTUAL, day, time(10), "00", f"cartão {PHYSICAL} CPF {CPF} {ATTACK}", raw),
            (ATTACK, day, time(11), ATTACK, f"{INJECTION} =cmd() {ATTACK}", raw),
            (LOST, day, time(12), "00", f"sem transação **negrito** $x$ {ATTACK}", raw),
            *(
                (PHYSICAL, day, time(13, number), text, text, raw)
                for number, text in enumerate(hostile.TEXTS)
            ),
        ],
    )
    yield databases
    servers.drop(databases)


class Site:
    """A dashboard over the planted databases, with markup in its configuration too."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self._folder, self._databases = folder, databases
        self.audit = folder / "audit.jsonl"
        self.server = Server(folder, self.read_by(databases.values))

    def read_by(self, values: dict[str, Any]) -> Path:
        """Read the databases by these values from now on."""
        keys = {
            "merchants": {MERCHANT: f"{ATTACK} {hostile.EVERY}", OTHER: "Outra"},
            "audit": {"path": str(self.audit)},
            "history": {"path": str(self._folder / "history.sqlite")},
        }
        return scenario.site(self._folder, values, **keys)

    def fail_with_values(self) -> None:
        """Make every read fail with a database error that quotes a card number."""
        default = (ROOT / "lib" / "database" / "sql" / "transactions.sql").read_text(
            encoding="utf-8"
        )
        sql = CAST.format(default=default)
        values = self._databases.values  # noqa: PD011  # no frame's
        self.read_by(with_query(values, "transactions", self._folder, sql))


@pytest.fixture(scope="module")
def site(planted: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    dashboard = Site(tmp_path_factory.mktemp("planted"), planted)
    yield dashboard
    dashboard.server.stop()


class Wire:
    """The content that a page receives: frames of its sockets, and URLs of its downloads."""

    def __init__(self, page: Page) -> None:
        self.content = bytearray()
        self.frames = 0
        page.on("websocket", self._watch)
        page.on("response", self._read)

    def leaked(self) -> list[str]:
        return [value for value in PLANTED if value.encode() in self.content]

    def _watch(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._take)

    def _take(self, frame: bytes | str) -> None:
        self.frames += 1
        self.content += frame if isinstance(frame, bytes) else frame.encode()

    def _read(self, response: Response) -> None:
        if "/media/" in response.url or "/planilha/" in response.url:
            self.content += response.url.encode()


@pytest.fixture
def visit(chromium: Browser, site: Site) -> Iterator[Visit]:
    page = new_page(chromium)
    yield Visit(page, site.server)
    page.context.close()


def assert_inert(visit: Visit) -> None:
    """No element of the page comes from a hostile text."""
    app = visit.page.get_by_test_id("stApp")
    assert app.locator(f"a[href*='{hostile.HOST}'], a[href^='javascript:']").count() == 0
    assert app.locator(f"img[src*='{hostile.HOST}'], .katex").count() == 0
    assert (
        app.locator("a:text-is('elo'), b:text-is('negrito'), strong:text-is('forte')").count() == 0
    )
    assert app.locator(".js-plotly-plot tspan:text-is('negrito'), svg a").count() == 0
    icons = app.get_by_test_id("stMain").locator("[role=img][aria-label*=home]")
    assert icons.count() == 0
    assert "😄" not in visit.text()


def test_no_frame_of_any_page_carries_a_clear_value_and_no_markup_is_run(
    visit: Visit, site: Site, tmp_path: Path
) -> None:
    wire = Wire(visit.page)
    for name in PAGES:
        visit.open(f"/{name}")
        assert visit.page.evaluate("window.struck") is None, name
        assert visit.page.locator("img[src=x]").count() == 0, name
        assert_inert(visit)
    visit.open("/consolidated").open_row(0)
    assert_inert(visit)
    visit.page.keyboard.press("Escape")
    visit.settle()
    visit.search("consolidated", PHYSICAL)
    for tab in ("divergences", "divergences?divergences_busca=sem"):
        visit.open(f"/{tab}").open_row(0)
        assert_inert(visit)
    visit.open("/charts")
    visit.page.locator(".js-plotly-plot").nth(5).hover()
    assert_inert(visit)
    visit.open("/overview")
    with visit.page.expect_download() as waiting:
        visit.button(export.START).click()
    waiting.value.save_as(tmp_path / "export.xlsx")
    assert visit.page.evaluate("window.struck") is None
    for shown in (masked(PHYSICAL), masked(LOST), "***.982.247-**"):
        assert shown.encode() in wire.content, "the frames were not read"
    assert wire.leaked() == []
    assert visit.elsewhere == set(), "no picture, font or page of another host is asked for"
    said = (site.server.log() + site.audit.read_text()).encode()
    assert [value for value in PLANTED if value.encode() in said] == []


def test_an_error_of_the_database_with_values_in_it_sends_none_of_them(
    visit: Visit, site: Site
) -> None:
    site.fail_with_values()
    wire = Wire(visit.page)
    visit.open("/divergences")
    assert says(visit.text(), BY_STATE["22"])
    assert wire.frames > 0
    assert wire.leaked() == []
    # Without any rows shown, there may be no audit file.
    audited = site.audit.read_text() if site.audit.exists() else ""
    said = (site.server.log() + audited).encode()
    assert [value for value in PLANTED if value.encode() in said] == []


@pytest.mark.parametrize("hostile", [ATTACK, INJECTION, "%' OR '1'='1", "\\", "${7*7} {{7*7}}"])
def test_an_attack_through_the_search_is_only_text(
    visit: Visit, site: Site, planted: Databases, hostile: str
) -> None:
    site.read_by(planted.values)
    visit.open("/consolidated")
    visit.search("consolidated", hostile)
    assert visit.page.evaluate("window.struck") is None
    assert says(visit.text(), tables.OF_ALL_ROWS.format(count="{count}", of=2))
    assert planted.execute("transactions", "SELECT count(*) FROM transactions") == [(2,)]
