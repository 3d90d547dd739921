"""Notices about unusual runs, and the scheduled runs that need attention.

Extracts the figures for `lib.delivery.anomalies` from outcomes and recorded runs, and formulates
its findings as notices. Reads no file and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

from lib.delivery import anomalies, history
from lib.domain.messages import Notice, thousands

if TYPE_CHECKING:
    from lib.delivery.history import Run
    from lib.domain.outcomes import Finished

SEARCHED: Final = 1_000
"""Number of recorded runs searched for the same weekday: twelve weeks of ten runs a day."""

UNUSUAL: Final = {
    "transactions": "Transações fora do padrão: {value} nesta execução; em {weekday}, a mediana de "
    "{runs} execuções é {usual} (índice de desvio {score}).",
    "logs": "Logs fora do padrão: {value} nesta execução; em {weekday}, a mediana de {runs} "
    "execuções é {usual} (índice de desvio {score}).",
    "divergence_rate": "Taxa de divergência fora do padrão: {value} nesta execução; em {weekday}, "
    "a mediana de {runs} execuções é {usual} (índice de desvio {score}).",
}
_A_DAY: Final = timedelta(days=1)
WEEKDAYS: Final = (
    *("segundas-feiras", "terças-feiras", "quartas-feiras", "quintas-feiras", "sextas-feiras"),
    *("sábados", "domingos"),
)


def notices(outcome: Finished, earlier: Sequence[Run], zone: tzinfo) -> list[Notice]:
    """Return a notice for each figure far from the usual; ``earlier`` is newest first.

    Compares with runs of the same merchant, rule, length of period and weekday; of several runs on
    one day, with the last.
    """
    request = outcome.request
    today = request.period.today
    length = request.period.end - request.period.start
    by_day: dict[date, dict[str, float]] = {}
    for run in earlier:
        day = run.began_at.astimezone(zone).date()
        same_report = (run.rule, run.merchant) == (request.rule.name, request.merchant)
        same_length = run.period[1] - run.period[0] == length
        same_weekday = day < today and day.weekday() == today.weekday()
        comparable = same_report and same_length and same_weekday
        if comparable and run.books and run.outcome == history.DONE:
            by_day.setdefault(day, _figures(run.books))
    return [
        Notice(
            UNUSUAL[finding.figure],
            {
                "value": _formatted(finding.figure, finding.value),
                "usual": _formatted(finding.figure, finding.usual),
                "weekday": WEEKDAYS[today.weekday()],
                "runs": finding.runs,
                "score": f"{finding.score:+.1f}".replace(".", ","),
            },
        )
        for finding in anomalies.findings(_figures(vars(outcome.books)), list(by_day.values()))
    ]


def concerns(runs: Sequence[Run], now: datetime) -> list[Run]:
    """Select the scheduled runs that need attention from all of them, given newest first.

    Considers each merchant's last run: it needs attention if it is not good, is over a day old or
    has notes. Ignores unfinished runs, and those skipped as another run was writing the report.
    """
    last: dict[str, Run] = {}
    for run in runs:
        if run.outcome not in (*history.UNFINISHED, history.SKIPPED):
            last.setdefault(run.merchant, run)
    return [r for r in last.values() if not r.is_good or is_old(r, now) or r.note]


def is_old(run: Run, now: datetime) -> bool:
    """True if the next daily run is overdue."""
    return now - run.began_at > _A_DAY


def _figures(books: dict[str, Any]) -> dict[str, float]:
    figures = {"transactions": float(books["transactions"]), "logs": float(books["logs"])}
    if books["logs"]:
        figures["divergence_rate"] = books["divergences"] / books["logs"]
    return figures


def _formatted(figure: str, value: float) -> str:
    if figure.endswith("_rate"):
        return f"{value:.1%}".replace(".", ",")
    return thousands(round(value))
