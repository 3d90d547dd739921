"""Search, filter and sort a long table; the result is row positions.

Works column by column on integers and dictionary values and builds no large table. Keeps no
state: the caller's ``cached`` may keep intermediate results.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.analysis import search_terms
from lib.analysis.table_schemas import Derived, Stored, Table
from lib.domain import column_arrays, long_numbers
from lib.domain import columns as c
from lib.domain.reconciliation import EPOCH

if TYPE_CHECKING:
    from lib.analysis.search_terms import Clock
    from lib.domain.column_arrays import Bools, Ints
    from lib.domain.reconciliation import Reconciliation

SEARCH_LENGTH: Final = 60

_LONGEST_CARD: Final = 19
_IDENTIFIERS: Final = (c.NUM_CPF, c.NUM_CARTAO, c.NUM_CARTAO_VIRTUAL)
_DATES_AND_TIMES: Final = (c.DATA_TRANSA, c.HORA_TRANSA, c.DATA, c.HORA)
_LAST: Final = np.iinfo(np.int64).max

Cached = Callable[[Hashable, Callable[[], Any]], Any]
"""Returns the cached value of a key, or computes it."""


@dataclass(frozen=True)
class Query:
    """A search text, accepted values by column, and a column to sort by (blank: sheet order)."""

    search: str = ""
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    sort: str = ""
    descending: bool = False


def positions(
    result: Reconciliation,
    table: Table,
    query: Query,
    cached: Cached = lambda key, compute: compute(),
) -> Ints:
    """Return the positions of the rows that match, in the requested order.

    Blank values come last in both directions; equal values keep the order of the sheet.
    """
    order: Ints = cached(
        ("order", table.name, query.sort, query.descending),
        lambda: _order(result, table, query.sort, query.descending),
    )
    matches = np.ones(len(order), dtype=np.bool_)
    if query.search:
        key = ("search", table.name, query.search)
        matches &= cached(key, lambda: _contains(result, table, query.search))
    for name, values in query.filters:
        matches &= _has_value(result, table.columns[name], values)
    return order if matches.all() else order[matches[order]]


def amount(result: Reconciliation, table: Table, positions: Ints) -> Decimal:
    """Sum `vlr_total` over these positions of a table of transactions."""
    rows = table.row_numbers(result)[positions]
    cents = column_arrays.cents(result.transactions, c.VLR_TOTAL)[rows]
    return column_arrays.total(cents)


def distinct_values(result: Reconciliation, table: Table, name: str) -> tuple[str, ...]:
    """Return the distinct texts of a column, sorted; NULL counts as an empty text."""
    column = table.columns[name]
    if isinstance(column, Derived):
        return tuple(column.labels[int(code)] for code in np.unique(column.codes(result)))
    return tuple(sorted({text or "" for text in pc.unique(_texts(result, column)).to_pylist()}))


def clean_search(text: str) -> str:
    """Shorten a search text and mask card numbers and CPFs in it, so that it may be stored."""
    words = " ".join(text[: 4 * SEARCH_LENGTH].split())
    return long_numbers.replace(words, _masked)[:SEARCH_LENGTH].strip()


def _masked(digits: str) -> str:
    if len(digits) > _LONGEST_CARD:
        return "******"
    if len(digits) == 11:
        return f"***.{digits[3:6]}.{digits[6:9]}-**"
    return (digits[:6] if len(digits) >= 13 else "") + "******" + digits[-4:]


def _order(result: Reconciliation, table: Table, sort: str, descending: bool) -> Ints:
    if sort not in table.columns or (sort == table.date and not descending):
        return np.arange(len(table.row_numbers(result)))  # the order of the sheet
    if sort == table.date:
        return _newest_first(result, table)
    value, blank = _sortable(result, table.columns[sort])
    return np.argsort(np.where(blank, _LAST, -value if descending else value), kind="stable")


def _newest_first(result: Reconciliation, table: Table) -> Ints:
    """Return the positions by date and time, the newest first, a missing time last in its day."""
    day, no_day = _sortable(result, table.columns[table.date])
    time, no_time = _sortable(result, table.columns[table.time])
    within = np.where(no_time, column_arrays.DAY_SECONDS, column_arrays.DAY_SECONDS - 1 - time)
    key = np.where(no_day, _LAST, -day * (column_arrays.DAY_SECONDS + 1) + within)
    return np.argsort(key, kind="stable")


def _sortable(result: Reconciliation, column: Stored | Derived) -> tuple[Ints, Bools]:
    """Return the column as integers that sort like its values, and a mask of its blanks."""
    if isinstance(column, Derived):
        codes = column.codes(result)
        if column.labels:
            rank = np.argsort(np.argsort(np.array(column.labels)))
            return rank[codes], np.zeros(len(codes), dtype=np.bool_)
        return np.ma.getdata(codes), np.ma.getmaskarray(codes)
    source, rows = column.source(result), column.row_numbers(result)
    if column.name == c.VLR_TOTAL:
        value = column_arrays.cents(source, c.VLR_TOTAL)[rows]
        return value, value == column_arrays.MISSING
    if column.name in _DATES_AND_TIMES:
        raw = column_arrays.column(source, column.name).take(pa.array(rows)).view(pa.int32())
        blank = raw.is_null().to_numpy(zero_copy_only=False)
        return raw.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64), blank
    rank = column_arrays.text_rank(source, column.name, rows)
    return rank, rank == 0


def _contains(result: Reconciliation, table: Table, text: str) -> Bools:
    """Return a mask of the positions where a searched column contains the text."""
    needle = folded(text)
    mask = np.zeros(len(table.row_numbers(result)), dtype=np.bool_)
    for name in table.searched:
        column = table.columns[name]
        if isinstance(column, Stored):
            values = column_arrays.column(column.source(result), column.name)
            if pa.types.is_dictionary(values.type):
                hit = matches(values.dictionary, name, needle).take(values.indices)
            else:
                hit = matches(values, name, needle)
            by_row = hit.fill_null(False).to_numpy(zero_copy_only=False)
            mask |= by_row[column.row_numbers(result)]
    amounts, clock = search_terms.cents(needle), search_terms.clock(needle)
    if amounts is not None and c.VLR_TOTAL in table.columns:
        mask |= _within(_sortable(result, table.columns[c.VLR_TOTAL]), amounts)
    if clock is not None:
        mask |= _at(result, table, clock)
    return mask


def _at(result: Reconciliation, table: Table, clock: Clock) -> Bools:
    """Return a mask of the positions on these dates and at these times."""
    mask = np.ones(len(table.row_numbers(result)), dtype=np.bool_)
    if clock.names_a_day:
        days, blank = _sortable(result, table.columns[table.date])
        distinct, codes = np.unique(days, return_inverse=True)
        epoch = EPOCH.toordinal()
        on = [clock.has_day(date.fromordinal(epoch + int(day))) for day in distinct]
        mask &= np.array(on, dtype=np.bool_)[codes] & ~blank
    if clock.seconds is not None:
        mask &= _within(_sortable(result, table.columns[table.time]), clock.seconds)
    return mask


def _within(column: tuple[Ints, Bools], values: range) -> Bools:
    numbers, blank = column
    return (numbers >= values.start) & (numbers < values.stop) & ~blank


def matches(texts: Any, name: str, needle: str, fold: Callable[[Any], Any] | None = None) -> Any:
    """Return a mask of the texts of this column that a folded search text finds.

    ``texts`` is an array, or an expression with its ``fold``.
    """
    fold = fold or folded_array
    if name == c.COD_RESPOSTA:
        return pc.equal(fold(texts), needle)
    if name not in _IDENTIFIERS:
        return pc.match_substring(fold(texts), needle)
    # Numbers may be typed with punctuation and spaces.
    number = re.sub(r"[ .-]", "", needle) if re.fullmatch(r"[ .*0-9-]*\d[ .*0-9-]*", needle) else ""
    if not number:
        return pc.match_substring(texts, needle)
    if name == c.NUM_CPF:
        # In a masked CPF only the visible digits can match.
        return pc.match_substring(
            pc.replace_substring_regex(texts, r"[.*-]", ""), number.replace("*", "")
        )
    return pc.match_substring(texts, number)


def folded(text: str) -> str:
    """Convert one text as `folded_texts` does, much faster than an array of one."""
    if text.isascii():
        return text.lower()
    letters = unicodedata.normalize("NFKD", text)
    # Letter by letter: at the end of a word, Python has a lower case of its own for sigma.
    return "".join(letter.lower() for letter in letters if unicodedata.category(letter) != "Mn")


def folded_texts(texts: Any) -> Any:
    """Convert an array or an expression to lower case without accents."""
    plain = pc.replace_substring_regex(pc.utf8_normalize(texts, "NFKD"), r"\p{Mn}", "")
    return pc.utf8_lower(plain)


def folded_array(texts: pa.Array) -> pa.Array:
    """Convert an array as `folded_texts` does, faster where all of it is ASCII."""
    if pc.all(pc.string_is_ascii(texts)).as_py():
        return pc.utf8_lower(texts)
    return folded_texts(texts)


def _has_value(result: Reconciliation, column: Stored | Derived, values: tuple[str, ...]) -> Bools:
    if isinstance(column, Derived):
        codes = [column.labels.index(value) for value in values if value in column.labels]
        return np.isin(column.codes(result), codes)
    texts = _texts(result, column)
    mask = pc.is_in(texts, value_set=pa.array(values, pa.string()))
    if "" in values:
        mask = pc.or_(mask, texts.is_null())
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _texts(result: Reconciliation, column: Stored) -> pa.Array:
    values = column_arrays.column(column.source(result), column.name)
    return values.take(pa.array(column.row_numbers(result)))
