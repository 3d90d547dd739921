"""The last whole day on show beside the same weekday of the weeks before: what is unusual in it.

`lib.delivery.anomalies` decides; the figures do not depend on the matching.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import streamlit as st
from babel import Locale

from lib.analysis import overview, periods
from lib.dashboard import dataset_parts
from lib.dashboard.dataset_store import Dataset
from lib.delivery import anomalies
from lib.domain.errors import AggregatorError
from lib.ui import formatting, i18n
from lib.ui.i18n import t

if TYPE_CHECKING:
    from datetime import date

    from lib.delivery.anomalies import Finding
    from lib.ui.page import View

TRANSACTIONS: Final = (
    "Fora do padrão em {day} ({weekday}): {value} transações; nas {weeks} semanas anteriores, no "
    "mesmo dia, a mediana é {usual}."
)
LOGS: Final = (
    "Fora do padrão em {day} ({weekday}): {value} logs; nas {weeks} semanas anteriores, no mesmo "
    "dia, a mediana é {usual}."
)
DECLINED: Final = (
    "Fora do padrão em {day} ({weekday}): {value} dos logs são recusas; nas {weeks} semanas "
    "anteriores, no mesmo dia, a mediana é {usual}."
)
AS_USUAL: Final = (
    "Nada fora do padrão em {day} ({weekday}): transações, logs e recusas como nas {weeks} semanas "
    "anteriores, no mesmo dia."
)
TOO_FEW: Final = (
    "Sem comparação de {day} ({weekday}) com as semanas anteriores: só {weeks} têm dados no mesmo "
    "dia, e são precisas {least}."
)
NOT_READ: Final = (
    "Sem comparação de {day} ({weekday}) com as semanas anteriores, que não puderam ser lidas. "
    "{reason}"
)
TODAY_ONLY: Final = "Sem comparação com as semanas anteriores: o dia de hoje ainda não terminou."

_WEEKS: Final = 6
_LEAST_WEEKS: Final = 4


def show(view: View) -> None:
    """Draw one sentence for each unusual figure of the last whole day, or that there is none."""
    whole = periods.whole(view.dataset.outcome.reconciliation.period)
    if whole is None:
        st.caption(t(TODAY_ONLY))
        return
    day = whole.end
    weekday = Locale.parse(i18n.language()).days["stand-alone"]["wide"][day.weekday()]
    named: dict[str, Any] = {"day": formatting.day(day), "weekday": weekday}
    earlier = _earlier(view, day)
    if isinstance(earlier, AggregatorError):
        st.caption(formatting.plain(t(NOT_READ, reason=i18n.sentence(earlier), **named)))
        return
    if len(earlier) < _LEAST_WEEKS:
        st.caption(t(TOO_FEW, weeks=len(earlier), least=_LEAST_WEEKS, **named))
        return
    part = dataset_parts.part(view.dataset, day, day)
    figures = overview.day_figures(part.outcome.reconciliation)
    usual = {name: median(past[name] for past in earlier) for name in earlier[0]}
    findings = anomalies.findings(
        figures, earlier, least_runs=_LEAST_WEEKS, least_spreads=overview.chance(usual)
    )
    for finding in findings:
        st.warning(formatting.plain(_sentence(finding, named)))
    if not findings:
        st.caption(t(AS_USUAL, weeks=len(earlier), **named))


def _earlier(view: View, day: date) -> list[dict[str, float]] | AggregatorError:
    """Return the figures of the same weekday in the weeks before, of days with data only."""
    days = [day - timedelta(weeks=week) for week in range(1, _WEEKS + 1)]
    read = view.all_beside([(on, on) for on in days])
    if failures := [problem for problem in read if isinstance(problem, AggregatorError)]:
        return failures[0]
    datasets = [dataset for dataset in read if isinstance(dataset, Dataset)]
    figures = [
        dataset.derived.get("day figures", partial(_figures, dataset)) for dataset in datasets
    ]
    return [of_day for of_day in figures if of_day]


def _figures(dataset: Dataset) -> dict[str, float]:
    """Return the figures of a day, none if it has no data."""
    result = dataset.outcome.reconciliation
    return overview.day_figures(result) if periods.with_data(result) else {}


def _sentence(finding: Finding, named: dict[str, Any]) -> str:
    counted = finding.figure != overview.DECLINED

    def written(value: float) -> str:
        return formatting.whole(round(value)) if counted else formatting.percent(value)

    value, usual = written(finding.value), written(finding.usual)
    values = {"value": value, "usual": usual, "weeks": finding.runs, **named}
    return {
        overview.TRANSACTIONS: t(TRANSACTIONS, **values),
        overview.LOGS: t(LOGS, **values),
        overview.DECLINED: t(DECLINED, **values),
    }[finding.figure]
