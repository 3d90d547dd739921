"""What is unusual about a run beside the recorded ones of its weekday, and about the last runs.

Makes the figures that `lib.delivery.anomalies` judges out of an outcome and of the history, and
sentences out of its findings. Reads no file and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

from lib.delivery import anomalies, history
from lib.domain.messages import Notice

if TYPE_CHECKING:
    from lib.delivery.history import Run
    from lib.domain.outcomes import Finished

SEARCHED: Final = 1_000
"""How many runs back the same weekday is looked for: twelve weeks of ten runs a day."""

_ABOUT: Final = {
    "transactions": "As transações desta execução ({value}) estão longe do comum às {weekday} "
    "({usual}, mediana de {runs} execuções; escore z robusto {score}).",
    "logs": "Os logs desta execução ({value}) estão longe do comum às {weekday} "
    "({usual}, mediana de {runs} execuções; escore z robusto {score}).",
    "divergence_rate": "A taxa de divergência desta execução ({value}) está longe da comum às "
    "{weekday} ({usual}, mediana de {runs} execuções; escore z robusto {score}).",
}
_A_DAY: Final = timedelta(days=1)
_WEEKDAYS: Final = (
    *("segundas-feiras", "terças-feiras", "quartas-feiras", "quintas-feiras", "sextas-feiras"),
    *("sábados", "domingos"),
)


def notices(outcome: Finished, earlier: Sequence[Run], zone: tzinfo) -> list[Notice]:
    """A notice for each figure that is far from those of earlier runs of the same kind.

    Of the same merchant, rule, length of period and weekday; a day that was run several times
    counts once, with its last run.
    """
    asked = outcome.request
    today = asked.period.today
    length = asked.period.end - asked.period.start
    by_day: dict[date, dict[str, float]] = {}
    for run in earlier:
        day = run.began_at.astimezone(zone).date()
        alike = (run.rule, run.merchant) == (asked.rule.name, asked.merchant)
        same = alike and run.period[1] - run.period[0] == length and run.outcome == history.DONE
        if same and run.books and day < today and day.weekday() == today.weekday():
            by_day.setdefault(day, _figures(run.books))
    found = anomalies.findings(_figures(vars(outcome.books)), list(by_day.values()))
    return [
        Notice(
            _ABOUT[finding.figure],
            {
                "value": _shown(finding.figure, finding.value),
                "usual": _shown(finding.figure, finding.usual),
                "weekday": _WEEKDAYS[today.weekday()],
                "runs": finding.runs,
                "score": f"{finding.score:+.1f}".replace(".", ","),
            },
        )
        for finding in found
    ]


def concerns(runs: Sequence[Run], now: datetime) -> list[Run]:
    """The scheduled runs to worry about, given the newest first: by merchant, the last one only.

    One that did not end well, is older than a day, or has notes. A merchant without any scheduled
    run is not worried about, nor is a run that is under way or that left the report to another.
    """
    last: dict[str, Run] = {}
    for run in runs:
        if run.outcome not in (history.RUNNING, history.LEFT):
            last.setdefault(run.merchant, run)
    return [r for r in last.values() if r.outcome != history.DONE or is_old(r, now) or r.note]


def is_old(run: Run, now: datetime) -> bool:
    """Whether a scheduled run is so long ago that another one has failed to come."""
    return now - run.began_at > _A_DAY


def _figures(books: dict[str, Any]) -> dict[str, float]:
    figures = {"transactions": float(books["transactions"]), "logs": float(books["logs"])}
    if books["logs"]:
        figures["divergence_rate"] = books["divergences"] / books["logs"]
    return figures


def _shown(figure: str, value: float) -> str:
    if figure.endswith("_rate"):
        return f"{value:.1%}".replace(".", ",")
    return f"{value:,.0f}".replace(",", ".")
