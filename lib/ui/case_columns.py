"""The cases beside the rows of a table: columns, filters, a row's case in its dialog, marks.

Owns the filters' values in the session and the address. A table whose merchant no run has judged
has none of it. Draws no row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import streamlit as st

from lib.analysis import case_evidence, table_schemas
from lib.delivery import case_queries
from lib.delivery.case_filters import Filter
from lib.delivery.case_queries import AGES
from lib.domain import cases
from lib.domain.errors import AggregatorError
from lib.ui import (
    case_details,
    case_form,
    case_scope,
    case_words,
    filter_input,
    html_table,
    query_params,
)
from lib.ui.case_selection import Selection
from lib.ui.formatting import plain
from lib.ui.i18n import sentence, t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lib.analysis.table_schemas import Table
    from lib.delivery.case_queries import Case, RankedBy
    from lib.domain.column_arrays import Ints
    from lib.ui.case_scope import Scope
    from lib.ui.html_table import Column
    from lib.ui.page import View

SITUATION: Final = "caso_situacao"
AGE: Final = "caso_idade"
OWNER: Final = "caso_responsavel"
FILTERS: Final = (SITUATION, AGE, OWNER)
"""The keys of the filters, in the session and in the address."""
RANKS: Final[dict[str, RankedBy]] = {
    case_words.SITUATION: "situation",
    case_words.AGE: "age",
    case_words.OWNER: "owner",
}
"""The columns that sort a table by its cases."""
NO_CASE: Final = (
    "Esta linha ainda não é um caso: os casos são abertos pelos relatórios, que só julgam os dias "
    "até ontem."
)

_KEYS: Final = "case_keys"
_WITHOUT: Final = "sem-caso"
_NOBODY: Final = "-"
_SITUATIONS: Final[dict[str, Filter]] = {
    "novo": Filter((cases.NEW,)),
    "aberto": Filter((cases.OPEN,)),
    **{name: Filter(cases.STATES, (name,)) for name in cases.STATUSES},
    "resolvido": Filter((cases.MATCHED, cases.MISSING)),
}


@dataclass
class CaseColumns:
    """The cases of one table; ``keys`` are by its rows' positions, empty for a row without."""

    scope: Scope
    keys: Sequence[str]
    owners: Sequence[str]
    selection: Selection
    shown: dict[str, Case] = field(default_factory=dict)

    def ask(self, **again: Any) -> str:
        """Draw the filters and return them as text; blank without any."""
        words = _situations()
        ages = {str(index): case_words.bucket(index) for index in range(len(AGES))}
        owners = {_NOBODY: t("Sem responsável"), **{name: name for name in self.owners}}
        inputs = (
            (SITUATION, t("Situação"), words),
            (AGE, t("Há (dias)"), ages),
            (OWNER, t("Responsável"), owners),
        )
        for key, label, options in inputs:
            query_params.restore_some(key, options)
            filter_input.several(label, options, key, 180, **again)
        chosen_by = {key: list(st.session_state.get(key) or ()) for key in FILTERS}
        query_params.publish(chosen_by)
        return "; ".join(
            f"{label} = {', '.join(options[value] for value in chosen_by[key])}"
            for key, label, options in inputs
            if chosen_by[key]
        )

    def allowed(self, positions: Ints) -> Ints:
        """The positions whose cases pass the filters, in the same order. Raises HistoryError."""
        situations, ages, owners = (st.session_state.get(key) or [] for key in FILTERS)
        if not (situations or ages or owners):
            return positions
        named = frozenset(filter(None, (self.keys[at] for at in positions.tolist())))
        found: set[str] = set()
        for situation in situations or [""]:
            for age in ages or [""]:
                found |= self._found(situation, age, owners, named)
        passes = np.array([self.keys[at] in found for at in positions.tolist()], dtype=np.bool_)
        if _WITHOUT in situations and not (ages or owners):
            known = self._versions(Filter(cases.STATES, keys=named))
            passes |= np.array([self.keys[at] not in known for at in positions.tolist()])
        kept: Ints = positions[passes]
        return kept

    def arranged(self, positions: Ints, order: str) -> Ints:
        """The positions by this column, rows without a case last; unchanged if it is no case's.

        ``order`` has a leading minus if it descends. Raises HistoryError.
        """
        column = RANKS.get(order.removeprefix("-"))
        if column is None:
            return positions
        named = [self.keys[at] for at in positions.tolist()]
        ranks = case_queries.ranks(self.scope.path, list(filter(None, named)), column)
        sign, last = (-1 if order.startswith("-") else 1), len(ranks) + 1
        by_rank = np.argsort(
            [sign * ranks[k] if k in ranks else last for k in named], kind="stable"
        )
        arranged: Ints = positions[by_rank]
        return arranged

    def cells(self, positions: Ints, order: str) -> tuple[list[Column], list[list[str]]]:
        """The columns and their texts for the rows on show, sorted so. Raises HistoryError."""
        named = [self.keys[at] for at in positions.tolist()]
        found = case_queries.by_key(self.scope.path, self.scope.merchant, list(filter(None, named)))
        self.shown = found
        columns = html_table.sorted_by(case_words.columns(), order)
        return columns, [case_words.cells(found.get(key), self.scope) for key in named]

    def ticked(self, positions: Ints) -> list[int]:
        """The ticked ones of the rows on show."""
        return self.selection.ticked([self.keys[at] for at in positions.tolist()])

    def tick(self, positions: Ints, at: int) -> None:
        """Tick or clear one of the rows on show, or all."""
        named = [self.shown.get(self.keys[at]) for at in positions.tolist()]
        self.selection.tick([(case.key, case.version) if case else None for case in named], at)

    def marking(self, positions: Ints, *, restricted: bool) -> None:
        """Draw what marks the ticked cases and, once the table is filtered, all found ones."""

        def find() -> dict[str, int]:
            named = frozenset(filter(None, (self.keys[at] for at in positions.tolist())))
            return self._versions(Filter(cases.STATES, keys=named))

        total = len(find()) if restricted and self.scope.may_mark else 0
        self.selection.show(self.scope, total, find, self.owners)

    def details(self, position: int) -> None:
        """Draw the case of one row: its timeline and its form."""
        key = self.keys[position]
        try:
            case = self._now(key) if key else None
        except AggregatorError as problem:
            st.error(plain(sentence(problem)))
            return
        if case is None:
            st.caption(t(NO_CASE))
            return
        case_details.show(self._form, self.scope, case, self.owners)

    def close(self) -> None:
        """Forget what the form of a row was filled with."""
        case_form.close(self._form)

    @property
    def _form(self) -> str:
        return f"{self.selection.chosen}_um"

    def _now(self, key: str) -> Case | None:
        return case_queries.by_key(self.scope.path, self.scope.merchant, [key]).get(key)

    def _found(
        self, situation: str, age: str, owners: Sequence[str], keys: frozenset[str]
    ) -> set[str]:
        if situation == _WITHOUT:
            return set()
        query = _SITUATIONS.get(situation, Filter(cases.STATES))
        bounds: Any = (None, None)
        if age:
            bounds = case_queries.age_bounds(AGES[int(age)], self.scope.today, self.scope.zone)
        return set(
            self._versions(
                Filter(
                    query.states,
                    query.statuses,
                    tuple(None if name == _NOBODY else name for name in owners) or None,
                    first_seen=bounds,
                    keys=keys,
                )
            )
        )

    def _versions(self, query: Filter) -> dict[str, int]:
        return case_queries.versions(self.scope.path, self.scope.merchant, query)


def of_table(view: View, table: Table) -> CaseColumns | None:
    """The cases beside this table of the view; None without a judging run, or for another table.

    Where the cases cannot be read, says so and returns None.
    """
    sides = (table_schemas.DIVERGENCES.name, table_schemas.WITHOUT_LOG.name)
    if table.name not in sides:
        return None
    scope = case_scope.of_view(view)
    counts = case_scope.counts(scope)
    if counts is None:
        return None
    dataset, merchant = view.dataset, view.request.merchant
    result = dataset.outcome.reconciliation
    keys: Callable[[], Any] = lambda: case_evidence.keys(result, merchant, clear=False)  # noqa: E731
    by_side = dataset.derived.get((_KEYS, merchant), keys)
    return CaseColumns(
        scope, by_side[sides.index(table.name)], counts.owners, Selection(table.name)
    )


def _situations() -> dict[str, str]:
    """The options of the filter, in words."""
    return {
        "novo": t("novo"),
        "aberto": t("aberto"),
        **{name: case_words.status(name) for name in cases.STATUSES},
        "resolvido": t("resolvido sozinho"),
        _WITHOUT: t("sem caso"),
    }
