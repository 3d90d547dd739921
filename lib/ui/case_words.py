"""Words for cases: state, mark, age, timeline, and the columns of their tables.

Draws nothing and reads no store.
"""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from lib.delivery import case_queries
from lib.domain import cases
from lib.domain import columns as c
from lib.ui import formatting, table_cells
from lib.ui.html_table import Column
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from lib.delivery.case_queries import Case, Counts, Event
    from lib.ui.app_state import Site
    from lib.ui.case_scope import Scope

SITUATION: Final = "caso_situacao"
AGE: Final = "caso_dias"
OWNER: Final = "caso_responsavel"
DAYS: Final = ("{count} dia", "{count} dias")

_RUN: Final = "#"


def state(name: str) -> str:
    """A case's state in a word or two."""
    return {
        cases.NEW: t("novo"),
        cases.OPEN: t("aberto"),
        cases.MATCHED: t("resolvido sozinho"),
        cases.MISSING: t("sumiu da origem"),
    }[name]


def status(name: str | None) -> str:
    """The mark that people set."""
    return {
        None: t("sem marca"),
        cases.IN_ANALYSIS: t("em análise"),
        cases.ACCEPTED: t("aceita"),
        cases.RESOLVED: t("resolvida"),
    }[name]


def situation(case: Case) -> str:
    """State and mark: novo · em análise."""
    return state(case.state) + (f" · {status(case.status)}" if case.status else "")


def age(case: Case, scope: Scope) -> int:
    """Local days since the case was first seen."""
    return days_since(case.first_seen, scope.site)


def days_since(value: datetime, site: Site) -> int:
    """Local days since a moment."""
    return max((site.today - value.astimezone(site.settings.zone).date()).days, 0)


def oldest(counts: Counts, site: Site) -> str:
    """The age of the oldest case in days."""
    if counts.oldest is None:
        return formatting.NO_VALUE
    return n(*DAYS, days_since(counts.oldest, site))


def bucket(index: int) -> str:
    """The label of a bucket of `case_queries.AGES`."""
    first, last = case_queries.AGES[index]
    if last is None:
        return t("mais de {days} dias", days=first - 1)
    return t("{first} a {last} dias", first=first, last=last)


def moment(value: datetime, scope: Scope) -> str:
    """A stored moment in local time, to the minute."""
    return formatting.minute(value.astimezone(scope.zone))


def who(event: Event) -> str:
    """The person or the run of an entry of a timeline."""
    if event.who.startswith(_RUN):
        return t("execução {number}", number=event.who.removeprefix(_RUN))
    return event.who or t("execução")


def what(event: Event) -> str:
    """What an entry of a timeline says."""
    if event.kind == "status":
        name, _, reason = (event.text or "").partition(": ")
        word = t("marcado: {status}", status=status(name)) if name else t("marca retirada")
        return f"{word} ({reason})" if reason else word
    if event.kind == "owner":
        if event.text is None:
            return t("ficou sem responsável")
        return t("responsável: {owner}", owner=event.text)
    if event.kind == "note":
        return event.text or ""
    return {
        "opened": t("caso aberto"),
        "reopened": t("voltou a aparecer: novo outra vez"),
        cases.MATCHED: t("resolvido sozinho: não precisa mais de análise"),
        cases.MISSING: t("sumiu da origem"),
    }.get(event.kind, event.kind)


def written(name: str, text: str | None) -> str:
    """A stored value as the tables write it."""
    if text is None:
        return ""
    try:
        if name in (c.DATA, c.DATA_TRANSA):
            return table_cells.written(name, date.fromisoformat(text))
        if name in (c.HORA, c.HORA_TRANSA):
            return table_cells.written(name, time.fromisoformat(text))
        if name == c.VLR_TOTAL:
            return table_cells.written(name, Decimal(text))
    except (ValueError, InvalidOperation):
        return text
    return table_cells.written(name, text)


def columns() -> list[Column]:
    """The three columns of a case beside its record."""
    return [
        Column(SITUATION, t("Situação"), t("O estado do caso e a marca de quem cuida dele.")),
        Column(AGE, t("Há (dias)"), t("Dias desde que o caso apareceu."), "right"),
        Column(OWNER, t("Responsável"), t("Quem cuida do caso."), "short"),
    ]


def cells(case: Case | None, scope: Scope) -> list[str]:
    """The cells of `columns`; without a case, blanks."""
    if case is None:
        return [formatting.NO_VALUE, "", ""]
    return [situation(case), formatting.whole(age(case, scope)), case.owner or ""]


def count(number: int) -> str:
    """A number of cases."""
    return n("{count} caso", "{count} casos", number)
