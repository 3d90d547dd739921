"""Declined attempts on the page Clientes: figures and charts. Shows counts, no person."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.charts import declines as charts
from lib.dashboard import view_cache
from lib.ui import chart_view, formatting
from lib.ui.formatting import percent, whole
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.ui.page import View

NO_DECLINES: Final = "Nenhuma tentativa recusada neste período."

_COLUMNS: Final = 4


def show(view: View) -> None:
    """Draw what became of the declined attempts on show."""
    st.header(t("Recusas"), anchor=False)
    judged = view_cache.declines_of(view.dataset)
    if not judged.declined:
        st.info(t(NO_DECLINES))
        return
    delay = judged.median_seconds
    metric = partial(st.metric, border=True, height="stretch")
    with st.grid(_COLUMNS):
        metric(
            t("Tentativas recusadas"),
            whole(judged.declined),
            help=t("Logs com código de resposta fora dos aprovados, com ou sem transação."),
        )
        metric(
            t("Aprovadas em 24 h"),
            whole(judged.followed),
            delta=percent(judged.followed / judged.declined),
            delta_color="off",
            delta_arrow="off",
            delta_description=t("{count} ainda no prazo", count=whole(judged.waiting)),
            help=t(
                "Recusas seguidas de uma tentativa aprovada do mesmo cartão em até 24 horas. As "
                "que ainda estão no prazo não têm 24 horas de dados depois delas."
            ),
        )
        metric(
            t("Tempo até a aprovação"),
            formatting.NO_VALUE if delay is None else formatting.seconds(round(delay)).lstrip("+"),
            help=t("Mediana do tempo entre a recusa e a aprovação seguinte do mesmo cartão."),
        )
        metric(
            t("Clientes perdidos"),
            whole(judged.lost),
            help=t(
                "Clientes cuja última tentativa nos dados lidos foi recusada, há 24 horas ou mais: "
                "por CPF, onde as transações o conhecem; senão, por cartão."
            ),
        )
    language = chart_view.language()
    chart_view.show(
        {
            "declined_by_code": charts.by_code(judged.codes, language),
            "declined_by_hour": charts.by_hour(judged.hours, language),
        }
    )
