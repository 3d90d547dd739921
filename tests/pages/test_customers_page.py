"""The page Clientes over real databases."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from streamlit.testing.v1 import AppTest

from lib.ui import customers, declines
from tests.support.dashboard import Dashboard, charts, figures, frames, open_numbers, texts
from tests.support.scenario import BULK, CPF, MERCHANT, PHYSICAL, TWICE, today
from tests.support.sentences import says
from tests.support.servers import Servers

TITLES = [
    "Clientes por número de compras",
    "Valor por décimo dos clientes",
    "Taxa de aprovação por hora",
    "Taxa de aprovação por dia da semana",
]
DECLINED_TITLES = ["Recusas por código de resposta", "Recusas por hora"]


def changes(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.delta for metric in at.metric}


def traces(at: AppTest) -> list[list[str]]:
    return [[trace["name"] for trace in figure["data"]] for figure in charts(at)]


def span(first: int, last: int) -> list[str]:
    """The two dates so many days before today, as in the address."""
    return [(today() - timedelta(days=n)).isoformat() for n in (first, last)]


def fill_the_week_before(dashboard: Dashboard) -> None:
    """Add one purchase eight days ago, of the customer with three purchases a week later."""
    day = today() - timedelta(days=8)
    dashboard.databases.fill(
        transactions=[(TWICE, day, "10:00", MERCHANT, None, Decimal("100.00"))],
        auth_logs=[(TWICE, day, "10:00", "00", "Aprovada", f"01000{MERCHANT}")],
    )


def test_the_figures_count_customers_by_cpf_and_purchases_without_one_apart(
    morning: Dashboard,
) -> None:
    at = morning.open("customers")

    assert not at.exception
    shown = figures(at)
    assert shown["Clientes"] == "1"
    assert shown["Compras por cliente"] == "3,00"
    assert shown["Físico por cliente"] == "2,00"
    assert shown["Virtual por cliente"] == "1,00"
    assert shown["Com 2 ou mais compras"] == "100,0%"
    assert shown["Sem CPF"] == str(BULK)
    assert shown["Tíquete médio"].replace("\xa0", " ") == "R$ 68,90"
    assert [figure["layout"]["title"]["text"] for figure in charts(at)] == [
        *TITLES,
        *DECLINED_TITLES,
    ]


def test_as_many_days_of_the_week_before_stand_beside_the_figures(morning: Dashboard) -> None:
    fill_the_week_before(morning)

    at = morning.open("customers", periodo=span(1, 1))

    assert not at.exception
    now, earlier = (f"{today() - timedelta(days=ago):%d/%m/%Y}" for ago in (1, 8))
    assert customers.COMPARED.format(now=now, earlier=earlier) in texts(at)
    assert figures(at)["Compras por cliente"] == "3,00"
    assert changes(at)["Compras por cliente"] == "+200,0%"
    assert changes(at)["Com 2 ou mais compras"] == "+100,0 p.p."
    assert all(names == ["Este período", "Período anterior"] for names in traces(at)[:4])


def test_today_is_in_the_figures_and_in_no_comparison(morning: Dashboard) -> None:
    fill_the_week_before(morning)
    morning.databases.fill(
        transactions=[(PHYSICAL, today(), "00:00", MERCHANT, None, Decimal("1.00"))],
        auth_logs=[(PHYSICAL, today(), "00:00", "00", "Aprovada", f"01000{MERCHANT}")],
    )

    at = morning.open("customers", periodo=span(1, 0))

    assert figures(at)["Compras por cliente"] == "4,00"
    assert changes(at)["Compras por cliente"] == "+200,0%"
    explained = {metric.label: metric.help for metric in at.metric}
    compared = customers.FROM_TO.format(old="1,00", new="3,00")
    assert explained["Compras por cliente"].endswith(compared)
    beside = {metric.label: metric.proto.delta_description for metric in at.metric}
    assert beside["Compras por cliente"] == "1,00 → 3,00"
    assert "R$" not in beside["Tíquete médio"]  # the card is too narrow for it
    assert says(texts(morning.open("customers", periodo=span(0, 0))), customers.NO_WHOLE_DAY)


def test_a_chosen_day_is_compared_with_the_same_weekday_of_an_equal_period(
    morning: Dashboard,
) -> None:
    fill_the_week_before(morning)
    day = (today() - timedelta(days=1)).isoformat()

    at = morning.open("customers", dia=day)

    assert not at.exception
    now, earlier = (f"{today() - timedelta(days=ago):%d/%m/%Y}" for ago in (1, 8))
    assert customers.COMPARED.format(now=now, earlier=earlier) in texts(at)
    assert figures(at)["Compras por cliente"] == "3,00"
    assert changes(at)["Compras por cliente"] == "+200,0%"


def test_a_preceding_period_without_purchases_is_called_empty(morning: Dashboard) -> None:
    at = morning.open("customers")

    assert says(texts(at), customers.NO_PURCHASES)
    assert not any(changes(at)[label] for label in ("Clientes", "Tíquete médio", "Sem CPF"))
    assert all(names == ["Este período"] for names in traces(at)[:4])


def test_an_unreadable_preceding_period_is_not_called_empty(
    morning: Dashboard, servers: Servers
) -> None:
    fill_the_week_before(morning)
    morning.open("divergences", periodo=span(1, 1))
    servers.stop("auth_logs")

    at = morning.open("customers", periodo=span(1, 1))

    assert not at.exception
    assert says(texts(at), customers.NOT_READ)
    assert figures(at)["Clientes"] == "1"
    assert len(charts(at)) >= len(TITLES)


def test_no_card_and_no_customer_can_be_identified_on_the_page(morning: Dashboard) -> None:
    at = morning.open("customers")
    open_numbers(at)
    assert len(frames(at)) == len(charts(at))

    everything = texts(at) + "".join(
        [
            *(chart.proto.spec for chart in at.get("plotly_chart")),
            *(table.to_csv() for table in frames(at)),
            *(f"{metric.value}{metric.delta}{metric.help}" for metric in at.metric),
        ]
    )

    assert "***" not in everything
    assert CPF[3:9] not in everything
    assert PHYSICAL[:6] not in everything


def test_a_day_of_a_single_purchase_has_its_figures(dashboard: Dashboard) -> None:
    fill_the_week_before(dashboard)

    at = dashboard.open("customers")

    assert not at.exception
    assert figures(at)["Sem CPF"] == "1"
    assert figures(at)["Compras por cliente"] == "–"


def test_the_view_speaks_english_to_an_english_browser(morning: Dashboard) -> None:
    at = morning.open("customers", locale="en-US")

    assert not at.exception
    assert "Clientes" not in figures(at)
    assert "3.00" in figures(at).values()


def test_declined_attempts_are_followed_up_by_card(morning: Dashboard) -> None:
    """One card is approved half an hour after it was declined; another never."""
    at = morning.open("customers", periodo=span(10, 1))

    assert not at.exception
    shown = figures(at)
    assert shown["Tentativas recusadas"] == "2"
    assert shown["Aprovadas em 24 h"] == "1"
    assert shown["Tempo até a aprovação"] == "30 min 5 s"
    # The other's 24 hours are not over in the data, which end with yesterday.
    assert shown["Clientes perdidos"] == "0"
    [approved] = [metric for metric in at.metric if metric.label == "Aprovadas em 24 h"]
    assert approved.delta == "50,0%"
    assert approved.proto.delta_description == "1 ainda no prazo"
    open_numbers(at)
    codes = frames(at)[-2].set_index("Código")
    assert codes["Recusas"].to_dict() == {"05": "1", "51": "1"}


def test_a_period_without_declined_attempts_says_so(morning: Dashboard) -> None:
    at = morning.open("customers", periodo=span(2, 2))

    assert declines.NO_DECLINES in texts(at)
    assert len(charts(at)) == len(TITLES)
