"""Puts transactions and authentication logs together: two frames in, one reconciliation out.

Owns the rules of who pairs with whom, which copy of a purchase survives, and why a log is a
divergence. Pure: no clock, no configuration, no I/O, and the frames are never changed.
The answer depends on the records' values only, never on the order in which they arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from lib import columns as c
from lib import keys, ordering
from lib.nearest import FAR, Candidates, LogIndex
from lib.reconciliation import Period, Reconciliation, Rule

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


def reconcile(
    transactions: pd.DataFrame, auth_logs: pd.DataFrame, period: Period, rule: Rule
) -> Reconciliation:
    """Match by physical and by virtual card, once per purchase.

    The frames have `columns.TRANSACTIONS` and `columns.AUTH_LOGS`, pyarrow-backed, in any order;
    they may be empty. Every row of both is accounted for in the result.
    """
    bought = keys.instants(transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    logged = keys.instants(auth_logs, c.DATA, c.HORA)
    approved = keys.is_in(auth_logs, c.COD_RESPOSTA, rule.approved_codes)

    index = LogIndex.build(auth_logs, logged, approved)
    physical = index.best(keys.column(transactions, c.TOKEN_CARTAO), bought)
    virtual = index.best(keys.column(transactions, c.TOKEN_VIRTUAL), bought)
    pairs, by_virtual = _better(physical, virtual)

    survivor = _survivors(transactions, auth_logs, bought, pairs, by_virtual)
    rows = np.arange(len(transactions))
    kept = survivor == rows
    matched = _known_card(transactions, auth_logs)

    consolidated = _arranged(
        bought,
        np.flatnonzero(kept & pairs.found),
        [
            *_texts(transactions, c.NUM_CPF, c.NUM_CARTAO, c.NUM_CARTAO_VIRTUAL),
            lambda at: keys.cents(transactions, c.VLR_TOTAL)[at],
            *_texts(transactions, c.DES_CNPJ_REDUZIDO),
            *_texts(auth_logs, c.COD_RESPOSTA, c.DES_LOG, through=pairs.log),
            lambda at: by_virtual[at],
            lambda at: np.where(logged.known, logged.seconds, keys.NEVER)[pairs.log[at]],
        ],
    )
    visible = _visible(transactions)
    duplicates = _arranged(bought, np.flatnonzero(~kept), visible)
    divergent = _arranged(logged, np.flatnonzero(~matched), _visible_logs(auth_logs))

    pair_rows = pairs.log[consolidated]
    return Reconciliation(
        period=period,
        rule=rule,
        transactions=transactions,
        auth_logs=auth_logs,
        consolidated_rows=consolidated,
        pair_rows=pair_rows,
        pair_virtual=by_virtual[consolidated],
        pair_seconds=np.ma.array(
            logged.seconds[pair_rows] - bought.seconds[consolidated],
            mask=pairs.distance[consolidated] == FAR,
        ),
        matched_log_rows=np.flatnonzero(matched),
        divergent_rows=divergent,
        motivo=_motivo(divergent, logged, approved, bought, period),
        without_log_rows=_arranged(bought, np.flatnonzero(kept & ~pairs.found), visible),
        duplicate_rows=duplicates,
        survivor_rows=survivor[duplicates],
    )


def _better(physical: Candidates, virtual: Candidates) -> tuple[Candidates, Bools]:
    """Each copy's best pair of the two joins, and whether it is the virtual one.

    Approved before declined, then the nearer, then the earlier log, then físico.
    """
    wins = np.zeros(len(physical.log), dtype=np.bool_)
    undecided = physical.found & virtual.found
    for ours, theirs in (
        (physical.declined, virtual.declined),
        (physical.distance, virtual.distance),
        (physical.moment, virtual.moment),
    ):
        wins |= undecided & (theirs < ours)
        undecided &= theirs == ours
    wins |= virtual.found & ~physical.found
    return (
        Candidates(
            log=np.where(wins, virtual.log, physical.log),
            declined=np.where(wins, virtual.declined, physical.declined),
            distance=np.where(wins, virtual.distance, physical.distance),
            moment=np.where(wins, virtual.moment, physical.moment),
        ),
        wins,
    )


@dataclass(frozen=True)
class _Copies:
    """The transactions that have a twin, and which purchase (0, 1, ...) each is a copy of."""

    rows: Ints
    purchase: Ints


def _copies(transactions: pd.DataFrame, bought: keys.Instants) -> _Copies:
    """Transactions equal on `columns.DUPLICATE_KEY`, NULLs being equal."""
    parts: list[Ints] = [
        keys.cents(transactions, c.VLR_TOTAL),
        bought.sheet,
    ]
    for name in (c.TOKEN_CARTAO, c.TOKEN_CPF):
        value, present = keys.token(transactions, name)
        parts += [value, present.astype(np.int64)]

    # A mixed hash picks the few rows that can be twins; the real values then decide.
    mixed = np.zeros(len(transactions), dtype=np.uint64)
    for part in parts:
        mixed = (mixed ^ part.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    by_hash = np.argsort(mixed)
    twin = np.flatnonzero(np.diff(mixed[by_hash]) == 0)
    rows = np.unique(by_hash[np.concatenate([twin, twin + 1])])

    values = [part[rows] for part in parts]
    order = np.lexsort(values)
    rows = rows[order]
    fresh = np.zeros(len(rows), dtype=np.bool_)
    for part in values:
        fresh[1:] |= part[order][1:] != part[order][:-1]
    return _Copies(rows, np.cumsum(fresh))


def _survivors(
    transactions: pd.DataFrame,
    auth_logs: pd.DataFrame,
    bought: keys.Instants,
    pairs: Candidates,
    by_virtual: Bools,
) -> Ints:
    """For each transaction the row that stands for its purchase, itself where it has no twin."""
    survivor = np.arange(len(transactions))
    copies = _copies(transactions, bought)
    rows = copies.rows
    if not len(rows):
        return survivor
    _, has_number = keys.token(transactions, c.TOKEN_VIRTUAL)
    log = pairs.log[rows]

    def keyed(values: NDArray[Any]) -> ordering.Key:
        return lambda at: values[rows[at]]

    order = ordering.arrange(
        copies.purchase,
        [
            keyed(~pairs.found),
            keyed(pairs.declined),
            keyed(pairs.distance),
            keyed(pairs.moment),
            keyed(by_virtual),
            keyed(~has_number),
            lambda at: keys.text_rank(transactions, c.NUM_CARTAO_VIRTUAL, rows[at]),
            lambda at: keys.text_rank(transactions, c.DES_CNPJ_REDUZIDO, rows[at]),
            lambda at: keys.text_rank(auth_logs, c.COD_RESPOSTA, log[at]),
            lambda at: keys.text_rank(auth_logs, c.DES_LOG, log[at]),
        ],
    )
    purchase = copies.purchase[order]
    first = np.flatnonzero(np.diff(purchase, prepend=-1))
    survivor[rows[order]] = rows[order][first][purchase]
    return survivor


def _known_card(transactions: pd.DataFrame, auth_logs: pd.DataFrame) -> Bools:
    """Which logs carry the physical or virtual card of some extracted transaction."""
    presented, present = keys.token(auth_logs, c.TOKEN_CARTAO)
    known = []
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        value, there = keys.token(transactions, name)
        known.append(value[there])
    return present & np.isin(presented, np.concatenate(known))


def _motivo(
    rows: Ints, logged: keys.Instants, approved: Bools, bought: keys.Instants, period: Period
) -> NDArray[np.int8]:
    """Why each divergent log is one, as an index into `columns.MOTIVOS`: the first that applies."""
    recent = np.zeros(len(rows), dtype=np.bool_)
    if period.end >= period.today - timedelta(days=1) and bought.known.any():
        latest = bought.seconds[bought.known].max()
        recent = logged.known[rows] & (logged.seconds[rows] > latest)
    motivo = np.full(len(rows), c.MOTIVOS.index(c.APROVADA_SEM_TRANSACAO), dtype=np.int8)
    motivo[recent] = c.MOTIVOS.index(c.RECENTE)
    motivo[~approved[rows]] = c.MOTIVOS.index(c.NEGADA)
    return motivo


def _arranged(instants: keys.Instants, rows: Ints, then: list[ordering.Key]) -> Ints:
    """These rows by date and time, those of one second by the keys given (over frame rows)."""

    def among(key: ordering.Key) -> ordering.Key:
        return lambda at: key(rows[at])

    return rows[ordering.arrange(instants.sheet[rows], [among(key) for key in then])]


def _texts(frame: pd.DataFrame, *names: str, through: Ints | None = None) -> list[ordering.Key]:
    """Keys by the text of each column, of the row itself or of the row it leads to."""

    def by(name: str) -> ordering.Key:
        if through is None:
            return lambda at: keys.text_rank(frame, name, at)
        return lambda at: keys.text_rank(frame, name, through[at])

    return [by(name) for name in names]


def _visible(transactions: pd.DataFrame) -> list[ordering.Key]:
    return [
        *_texts(transactions, c.NUM_CPF, c.NUM_CARTAO, c.NUM_CARTAO_VIRTUAL),
        lambda at: keys.cents(transactions, c.VLR_TOTAL)[at],
        *_texts(transactions, c.DES_CNPJ_REDUZIDO),
    ]


def _visible_logs(auth_logs: pd.DataFrame) -> list[ordering.Key]:
    names = [n for n in c.AUTH_LOGS_CLEAR[:-1] if n in auth_logs and n not in (c.DATA, c.HORA)]
    return _texts(auth_logs, *names)
