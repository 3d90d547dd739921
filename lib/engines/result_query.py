"""A reader's search and filters of a stored table, as a condition on its files.

Finds what `lib.analysis.table_query` finds in memory. Reads no file.
"""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lib.analysis import search_terms, table_query
from lib.domain import columns as c
from lib.engines import result_tables

if TYPE_CHECKING:
    from pyarrow.compute import Expression

Filters = tuple[tuple[str, tuple[str, ...]], ...]
"""The accepted values by column; a blank stands for NULL."""

_CENTS: Final = 100


def condition(name: str, search: str, filters: Filters) -> Expression | None:
    """Return the condition that rows of the table of this name meet; None for every row."""
    conditions = [_either(column, values) for column, values in filters]
    if search:
        conditions.append(_contains(name, search))
    return reduce(and_, conditions) if conditions else None


def _either(column: str, values: tuple[str, ...]) -> Expression:
    field = pc.field(column)
    return reduce(or_, [field == value if value else field.is_null() for value in values])


def _contains(name: str, search: str) -> Expression:
    """True where a searched column contains the text, or has the amount, date or time it is."""
    needle = table_query.folded(search)
    table = result_tables.schema(name)
    hits = [_has_text(column, needle) for column in table.searched]
    amounts, clock = search_terms.cents(needle), search_terms.clock(needle)
    if amounts is not None and c.VLR_TOTAL in table.columns:
        limits = [Decimal(n) / _CENTS for n in (amounts.start, amounts.stop - 1)]
        hits.append(_between(c.VLR_TOTAL, limits, pa.decimal128(18, 2)))
    if clock is not None:
        parts = ((pc.year, clock.year), (pc.month, clock.month), (pc.day, clock.day))
        at = [of(pc.field(table.date)) == value for of, value in parts if value is not None]
        if clock.seconds is not None:
            seconds = [clock.seconds.start, clock.seconds.stop - 1]
            at.append(_between(table.time, seconds, pa.time32("s")))
        hits.append(reduce(and_, at))
    return reduce(or_, hits)


def _has_text(column: str, needle: str) -> Expression:
    texts: Any = pc.field(column).cast(pa.string())
    return table_query.matches(texts, column, needle, table_query.folded_texts)


def _between(column: str, limits: list[Any], kind: pa.DataType) -> Expression:
    low, high = (pa.scalar(limit, kind) for limit in limits)
    field = pc.field(column)
    return (field >= low) & (field <= high)
