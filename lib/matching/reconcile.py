"""Puts transactions and authentication logs together: two frames in, one reconciliation out.

Applies the rule asked for, then says for every record where it is and why, in sheet order.
Pure: no clock, no configuration, no I/O, and the frames are never changed.
The answer depends on the records' values only, never on the order in which they arrive.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import CARD, EPOCH, Period, Reconciliation, Rule
from lib.matching import duplicates, rule_card, rule_card_time, sorting

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from lib.matching.pairing import Pairing

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

# Rows are in order of what is read in them, which is not the order in which motives apply.
_MOTIVO_ORDER: Final = np.argsort(np.argsort(c.MOTIVOS))
_REASON_ORDER: Final = np.argsort(np.argsort(c.WITHOUT_LOG_REASONS))


def reconcile(
    transactions: pd.DataFrame,
    auth_logs: pd.DataFrame,
    period: Period,
    rule: Rule,
    latest: int | None = None,
) -> Reconciliation:
    """Match by physical and by virtual card, once per purchase.

    The frames have `columns.TRANSACTIONS` and `columns.AUTH_LOGS`, pyarrow-backed, in any order;
    they may be empty, and under rule `card_time` reach beyond the period. Every row inside the
    period is accounted for in the result. ``latest`` is the `newest_instant` of all transactions
    read, where these are a part of them.
    """
    bought = column_arrays.instants(transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    logged = column_arrays.instants(auth_logs, c.DATA, c.HORA)
    approved = column_arrays.is_in(auth_logs, c.COD_RESPOSTA, rule.approved_codes)
    if rule.name == CARD:
        inside_transactions = np.ones(len(transactions), dtype=np.bool_)
        inside_logs = np.ones(len(auth_logs), dtype=np.bool_)
        pairing = rule_card.pair(transactions, auth_logs, bought, logged, approved)
    else:
        inside_transactions = in_period(bought, period, 0)
        inside_logs = in_period(logged, period, 0)
        tolerance = rule.tolerance_seconds
        read = in_period(bought, period, tolerance)
        within = rule_card_time.Within(read, in_period(logged, period, tolerance))
        pairing = rule_card_time.pair(
            transactions, auth_logs, bought, logged, approved, within, tolerance
        )

    survives = pairing.survivor == np.arange(len(transactions))
    paired = pairing.log >= 0
    consolidated = _consolidated(
        transactions,
        auth_logs,
        bought,
        logged,
        pairing,
        np.flatnonzero(inside_transactions & survives & paired),
    )
    visible = duplicates.visible(transactions)
    without_log = _arranged(
        bought,
        np.flatnonzero(inside_transactions & survives & ~paired),
        [*visible, *sorting.by(_REASON_ORDER[pairing.reason])],
    )
    removed = _arranged(bought, np.flatnonzero(inside_transactions & ~survives), visible)
    newest = newest_instant(bought, period, rule) if latest is None else latest
    left = np.flatnonzero(inside_logs & ~pairing.matched)
    motivo = np.zeros(len(auth_logs), dtype=np.int8)
    motivo[left] = _motivo(left, logged, approved, pairing, newest, period)
    divergent = _arranged(
        logged, left, [*_visible_logs(auth_logs), lambda at: _MOTIVO_ORDER[motivo[at]]]
    )

    pair_rows = pairing.log[consolidated]
    timed = logged.known[pair_rows] & bought.known[consolidated]
    return Reconciliation(
        period=period,
        rule=rule,
        transactions=transactions,
        auth_logs=auth_logs,
        transaction_rows=np.flatnonzero(inside_transactions),
        log_rows=np.flatnonzero(inside_logs),
        consolidated_rows=consolidated,
        pair_rows=pair_rows,
        pair_virtual=pairing.virtual[consolidated],
        pair_seconds=np.ma.array(
            logged.seconds[pair_rows] - bought.seconds[consolidated], mask=~timed
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


def newest_instant(bought: column_arrays.Instants, period: Period, rule: Rule) -> int:
    """Return the latest instant of the transactions the rule reads, else `EARLIEST`."""
    looked_at = bought.known
    if rule.name != CARD:
        looked_at = looked_at & in_period(bought, period, rule.tolerance_seconds)
    return int(bought.seconds[looked_at].max(initial=column_arrays.EARLIEST))


def in_period(instants: column_arrays.Instants, period: Period, tolerance: int) -> Bools:
    """Which records are in [start 00:00 - tolerance, end + 1 day 00:00 + tolerance).

    One without a time is where its date is, one without a date is inside.
    """
    first = (period.start - EPOCH).days
    last = (period.end - EPOCH).days
    low = first * column_arrays.DAY_SECONDS - tolerance
    high = (last + 1) * column_arrays.DAY_SECONDS + tolerance
    timed = (instants.seconds >= low) & (instants.seconds < high)
    dated = (instants.day >= first) & (instants.day <= last) | (
        instants.day == column_arrays.MISSING
    )
    return np.where(instants.known, timed, dated)


def _consolidated(
    transactions: pd.DataFrame,
    auth_logs: pd.DataFrame,
    bought: column_arrays.Instants,
    logged: column_arrays.Instants,
    pairing: Pairing,
    rows: Ints,
) -> Ints:
    """The consolidated transactions in sheet order."""
    log_moment = np.where(logged.known, logged.seconds, column_arrays.MISSING)
    return _arranged(
        bought,
        rows,
        [
            *duplicates.visible(transactions),
            *duplicates.texts(auth_logs, c.COD_RESPOSTA, c.DES_LOG, through=pairing.log),
            lambda at: pairing.virtual[at],
            lambda at: log_moment[pairing.log[at]],
        ],
    )


def _motivo(
    rows: Ints,
    logged: column_arrays.Instants,
    approved: Bools,
    pairing: Pairing,
    latest: int,
    period: Period,
) -> NDArray[np.int8]:
    """Why each divergent log is one, as an index into `columns.MOTIVOS`: the first that applies.

    ``latest`` is the `newest_instant` of all transactions read.
    """
    motivo = np.full(len(rows), c.MOTIVOS.index(c.APROVADA_SEM_TRANSACAO), dtype=np.int8)
    motivo[pairing.known[rows]] = c.MOTIVOS.index(c.FORA_DA_TOLERANCIA)
    if period.end >= period.today - timedelta(days=1) and latest != column_arrays.EARLIEST:
        recent = logged.known[rows] & (logged.seconds[rows] > latest)
        motivo[recent] = c.MOTIVOS.index(c.RECENTE)
    motivo[~approved[rows]] = c.MOTIVOS.index(c.NEGADA)
    return motivo


def _arranged(instants: column_arrays.Instants, rows: Ints, then: list[sorting.Key]) -> Ints:
    """These rows by date and time, those of one second by the keys given (over frame rows)."""
    return rows[sorting.arrange(instants.sheet_order[rows], sorting.among(rows, then))]


def _visible_logs(auth_logs: pd.DataFrame) -> list[sorting.Key]:
    names = [n for n in c.AUTH_LOGS_CLEAR[:-1] if n in auth_logs and n not in (c.DATA, c.HORA)]
    return duplicates.texts(auth_logs, *names)
