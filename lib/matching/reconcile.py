"""Reconcile transactions with authentication logs: two tables in, one reconciliation out.

Applies the requested rule, then sorts every record into its sheet order. Pure: no clock, no
configuration, no I/O; the tables are never changed. The result depends on the records' values
only, never on the order in which they arrive.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import EPOCH, Reconciliation
from lib.domain.requests import CARD, Period, Rule
from lib.matching import duplicates, rule_card, rule_card_time, sorting
from lib.matching.prepared import Logs, Transactions

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lib.domain.column_arrays import Bools, Instants, Ints
    from lib.matching.pairing import Pairing

# The alphabetical rank of each label: rows sort by the labels they show, not by precedence.
_MOTIVO_RANK: Final = np.argsort(np.argsort(c.MOTIVOS))
_REASON_RANK: Final = np.argsort(np.argsort(c.WITHOUT_LOG_REASONS))


def reconcile(
    transactions: pa.Table,
    auth_logs: pa.Table,
    period: Period,
    rule: Rule,
    latest: int | None = None,
) -> Reconciliation:
    """Match by physical and by virtual card, once per purchase.

    The tables have `columns.TRANSACTIONS` and `columns.AUTH_LOGS`, one chunk a column, rows in any
    order. They may be empty, and under rule `card_time` extend beyond the period; the result holds
    every row inside the period. Where ``transactions`` is one partition, ``latest`` is the
    `newest_instant` of all partitions.
    """
    return match(Transactions.of(transactions), Logs.of(auth_logs, rule), period, rule, latest)


def match(
    transactions: Transactions,
    logs: Logs,
    period: Period,
    rule: Rule,
    latest: int | None = None,
) -> Reconciliation:
    """As `reconcile`, for tables prepared beforehand (``logs`` for the same rule)."""
    transaction_table, log_table = transactions.table, logs.table
    transaction_instants, log_instants = transactions.instants, logs.instants
    if logs.index is not None:
        inside_transactions = np.ones(len(transaction_table), dtype=np.bool_)
        inside_logs = np.ones(len(log_table), dtype=np.bool_)
        pairing = rule_card.pair(transactions, logs, logs.index)
    else:
        inside_transactions = in_period(transaction_instants, period, 0)
        inside_logs = in_period(log_instants, period, 0)
        tolerance = rule.tolerance_seconds
        within = rule_card_time.Within(
            in_period(transaction_instants, period, tolerance),
            in_period(log_instants, period, tolerance),
        )
        pairing = rule_card_time.pair(transactions, logs, within, tolerance)

    survives = pairing.survivor == np.arange(len(transaction_table))
    paired = pairing.log >= 0
    visible = duplicates.visible(transaction_table)
    log_seconds = np.where(log_instants.known, log_instants.seconds, column_arrays.MISSING)
    consolidated = _arranged(
        transaction_instants,
        np.flatnonzero(inside_transactions & survives & paired),
        [
            *visible,
            *duplicates.texts(log_table, c.COD_RESPOSTA, c.DES_LOG, through=pairing.log),
            lambda rows: pairing.virtual[rows],
            lambda rows: log_seconds[pairing.log[rows]],
        ],
    )
    without_log = _arranged(
        transaction_instants,
        np.flatnonzero(inside_transactions & survives & ~paired),
        [*visible, *sorting.by(_REASON_RANK[pairing.reason])],
    )
    removed = _arranged(
        transaction_instants, np.flatnonzero(inside_transactions & ~survives), visible
    )

    newest = newest_instant(transaction_instants, period, rule) if latest is None else latest
    unmatched = np.flatnonzero(inside_logs & ~pairing.matched)
    motivo = np.zeros(len(log_table), dtype=np.int8)
    motivo[unmatched] = _motivo(unmatched, logs, pairing, newest, period)
    names = [
        n
        for n in c.AUTH_LOGS_CLEAR[:-1]
        if n in log_table.column_names and n not in (c.DATA, c.HORA)
    ]
    divergent = _arranged(
        log_instants,
        unmatched,
        [*duplicates.texts(log_table, *names), lambda rows: _MOTIVO_RANK[motivo[rows]]],
    )

    pair_rows = pairing.log[consolidated]
    timed = log_instants.known[pair_rows] & transaction_instants.known[consolidated]
    return Reconciliation(
        period=period,
        rule=rule,
        transactions=transaction_table,
        auth_logs=log_table,
        transaction_rows=np.flatnonzero(inside_transactions),
        log_rows=np.flatnonzero(inside_logs),
        consolidated_rows=consolidated,
        pair_rows=pair_rows,
        pair_virtual=pairing.virtual[consolidated],
        pair_seconds=np.ma.array(
            log_instants.seconds[pair_rows] - transaction_instants.seconds[consolidated],
            mask=~timed,
        ),
        matched_log_rows=np.flatnonzero(inside_logs & pairing.matched),
        divergent_rows=divergent,
        motivo=motivo[divergent],
        nearest_rows=pairing.nearest[divergent],
        without_log_rows=without_log,
        without_log_reason=pairing.reason[without_log],
        duplicate_rows=removed,
        survivor_rows=pairing.survivor[removed],
    )


def newest_instant(instants: Instants, period: Period, rule: Rule) -> int:
    """Return the latest instant of the transactions that the rule reads, else `EARLIEST`."""
    read = instants.known
    if rule.name != CARD:
        read = read & in_period(instants, period, rule.tolerance_seconds)
    return int(instants.seconds[read].max(initial=column_arrays.EARLIEST))


def in_period(instants: Instants, period: Period, tolerance: int) -> Bools:
    """Return a mask of the records in [start 00:00 - tolerance, end + 1 day 00:00 + tolerance).

    A record without a time is judged by its date; one without a date is inside. ``tolerance`` is
    in seconds.
    """
    first = (period.start - EPOCH).days
    last = (period.end - EPOCH).days
    low = first * column_arrays.DAY_SECONDS - tolerance
    high = (last + 1) * column_arrays.DAY_SECONDS + tolerance
    timed = (instants.seconds >= low) & (instants.seconds < high)
    dated = (instants.day >= first) & (instants.day <= last)
    dated |= instants.day == column_arrays.MISSING
    return np.where(instants.known, timed, dated)


def _motivo(
    rows: Ints, logs: Logs, pairing: Pairing, latest: int, period: Period
) -> NDArray[np.int8]:
    """Return the first motivo of `columns.MOTIVOS` that applies to each divergent log.

    ``latest`` is the `newest_instant` of all transactions.
    """
    # Assigned from the lowest to the highest precedence: later assignments overwrite.
    motivo = np.full(len(rows), c.MOTIVOS.index(c.APROVADA_SEM_TRANSACAO), dtype=np.int8)
    motivo[pairing.known[rows]] = c.MOTIVOS.index(c.FORA_DA_TOLERANCIA)
    if period.end >= period.today - timedelta(days=1) and latest != column_arrays.EARLIEST:
        recent = logs.instants.known[rows] & (logs.instants.seconds[rows] > latest)
        motivo[recent] = c.MOTIVOS.index(c.RECENTE)
    motivo[~logs.approved[rows]] = c.MOTIVOS.index(c.NEGADA)
    return motivo


def _arranged(instants: Instants, rows: Ints, keys: list[sorting.Key]) -> Ints:
    """Sort these rows by date and time, then by the keys (functions of table rows)."""
    return rows[sorting.arrange(instants.sheet_order[rows], sorting.among(rows, keys))]
