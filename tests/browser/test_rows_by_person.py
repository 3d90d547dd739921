"""Row-level security in Chromium: of two people with equal rights, each sees only own rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import time, timedelta

import pytest
from playwright.sync_api import Browser

from lib.demo import servers as demo
from lib.ui import page
from tests.support import scenario, signing
from tests.support.driving import Visit, new_page
from tests.support.provider import Provider
from tests.support.sentences import says
from tests.support.servers import MERCHANTS, Servers
from tests.support.signing import Site

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("rows-by-person")]

FIRST, SECOND = MERCHANTS
OWN = {"ana@example.com": FIRST, "rui@example.com": SECOND}
# By the configuration alone, both would have both merchants.
PEOPLE = dict.fromkeys(OWN, {"roles": ["analyst"], "merchants": ["*"]})
Enter = Callable[[str], Visit]


@pytest.fixture(scope="module")
def site(
    servers: Servers, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    databases = servers.fresh()
    day = scenario.today() - timedelta(days=1)
    cards = {FIRST: "4000001111110001", SECOND: "5105103333330003"}
    databases.fill(
        transactions=[(card, day, time(10), cnpj, None, 10) for cnpj, card in cards.items()],
        auth_logs=[
            (card, day, time(10), "00", f"compra de {cnpj}", cnpj.rjust(15, "0"))
            for cnpj, card in cards.items()
        ],
    )
    for side in demo.SIDES:
        for person, cnpj in OWN.items():
            databases.execute(side.name, f"INSERT INTO {side.access} VALUES ('{person}', '{cnpj}')")
    values = databases.values_for(demo.USER_BY_ROWS) | {"row_level_security": True}
    dashboard = Site(tmp_path_factory.mktemp("rows"), values, provider, PEOPLE)
    yield dashboard
    dashboard.server.stop()
    servers.drop(databases)


@pytest.fixture
def enter(chromium: Browser, site: Site, provider: Provider) -> Iterator[Enter]:
    pages = []

    def go(email: str) -> Visit:
        pages.append(new_page(chromium))
        return signing.enter(Visit(pages[-1], site.server), provider, email)

    yield go
    for opened in pages:
        opened.context.close()


def test_each_person_sees_only_own_rows_in_whatever_order_they_come(
    enter: Enter, site: Site
) -> None:
    visits = {person: enter(person) for person in OWN}
    for _ in range(2):  # the second time from the data that the server keeps
        for person, own in OWN.items():
            for merchant in MERCHANTS:
                visit = visits[person].open(f"/consolidated?estabelecimento={merchant}")
                if merchant == own:
                    assert visit.cells("num_cartao") != []
                    assert not says(visit.text(), page.NO_RECORDS)
                else:
                    assert says(visit.text(), page.NO_RECORDS)
                    assert visit.page.locator("table").count() == 0
    for record in site.records("view"):
        shown = 1 if OWN[record["who"]] == record["merchant"] else 0
        assert set(record["rows"].values()) <= {shown, 0}
        assert record["rows"]["transactions"] == shown
