"""Each table with what the matching derives from it alone: computable before the other arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.requests import CARD, Rule
from lib.matching import duplicates
from lib.matching.log_index import LogIndex

if TYPE_CHECKING:
    import pyarrow as pa

    from lib.domain.column_arrays import Bools, Instants


@dataclass(frozen=True)
class Transactions:
    """A table with `columns.TRANSACTIONS`, one chunk a column; its instants and its copies."""

    table: pa.Table
    instants: Instants
    copies: duplicates.Copies

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        instants = column_arrays.instants(table, c.DATA_TRANSA, c.HORA_TRANSA)
        return cls(table, instants, duplicates.copies(table, instants))


@dataclass(frozen=True)
class Logs:
    """A table with `columns.AUTH_LOGS`, one chunk a column; its instants and approvals.

    Rule `card` searches the logs by ``index``, which the other rule does without.
    """

    table: pa.Table
    instants: Instants
    approved: Bools
    index: LogIndex | None

    @classmethod
    def of(cls, table: pa.Table, rule: Rule) -> Self:
        instants = column_arrays.instants(table, c.DATA, c.HORA)
        approved = column_arrays.is_in(table, c.COD_RESPOSTA, rule.approved_codes)
        by_card = rule.name == CARD
        index = LogIndex.build(table, instants, approved) if by_card else None
        return cls(table, instants, approved, index)
