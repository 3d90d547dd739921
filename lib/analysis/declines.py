"""What became of declined attempts: followed by an approved one of the same card, or not.

An attempt is a log. Counts only: logs carry no amounts, and no token leaves this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from lib.analysis.time_series import HOURS
from lib.domain import column_arrays
from lib.domain import columns as c
from lib.domain.reconciliation import EPOCH

if TYPE_CHECKING:
    from lib.domain.column_arrays import Bools, Ints
    from lib.domain.reconciliation import Reconciliation

WITHIN_SECONDS: Final = column_arrays.DAY_SECONDS

_COUNTS: Final = ("declined", "followed", "waiting")
_HOUR_SECONDS: Final = column_arrays.DAY_SECONDS // HOURS


@dataclass(frozen=True)
class Declines:
    """The declined attempts of one period.

    ``followed`` had an approved attempt of the same card later, within 24 hours; ``waiting`` had
    none so far, and their 24 hours are not all in the data; the others had none. ``median_seconds``
    is the time to the approved attempt, None where none followed. ``lost`` counts the customers
    whose last attempt of all was declined, and not a waiting one: by CPF where the card's
    transactions name one holder, else by card. ``codes`` has ``code``, ``hours`` has ``hour`` (0 to
    23), both with ``declined, followed, waiting``; codes are sorted, most declined first.
    """

    declined: int
    followed: int
    waiting: int
    median_seconds: float | None
    lost: int
    codes: pd.DataFrame
    hours: pd.DataFrame


def declines(result: Reconciliation) -> Declines:
    """Judge the declined attempts inside the period by all logs that were read.

    A log without a date, a time or a card is never followed, and follows none.
    """
    logs = result.auth_logs
    instants = column_arrays.instants(logs, c.DATA, c.HORA)
    card, has_card = column_arrays.token(logs, c.TOKEN_CARTAO)
    approved = column_arrays.is_in(logs, c.COD_RESPOSTA, result.rule.approved_codes)
    known = instants.known & has_card
    declined = result.log_rows[~approved[result.log_rows]]
    # Few cards are ever declined: only their customers' records are looked at.
    cards, customers = _customers(result, np.unique(card[declined[known[declined]]]))
    number = pd.Index(cards).get_indexer(pd.Index(card))
    rows = np.flatnonzero(known & (number >= 0))
    wait = _seconds_to_approved(declined, rows, instants.seconds, number, approved)
    followed = wait <= WITHIN_SECONDS
    over = instants.seconds + WITHIN_SECONDS <= _horizon(result, instants.seconds[known])
    waiting = ~followed & known[declined] & ~over[declined]

    last = _last_attempts(rows, customers[number[rows]], instants.seconds, approved)
    inside = np.zeros(len(logs), dtype=np.bool_)
    inside[declined] = True
    timed = instants.known[declined]
    hour = instants.seconds[declined] // _HOUR_SECONDS % HOURS
    counted = [declined >= 0, followed, waiting]
    return Declines(
        declined=len(declined),
        followed=int(followed.sum()),
        waiting=int(waiting.sum()),
        median_seconds=float(np.median(wait[followed])) if followed.any() else None,
        lost=int((inside[last] & over[last]).sum()),
        codes=_by_code(logs, declined, counted),
        hours=pd.DataFrame(
            {"hour": np.arange(HOURS)}
            | {
                name: np.bincount(hour[timed & mask], minlength=HOURS)
                for name, mask in zip(_COUNTS, counted, strict=True)
            }
        ),
    )


def _horizon(result: Reconciliation, seconds: Ints) -> int:
    """Return the instant up to which the logs are in the data: the latest, or the period's end."""
    latest = int(seconds.max(initial=column_arrays.EARLIEST))
    if result.period.end >= result.period.today:
        return latest
    return max(latest, ((result.period.end - EPOCH).days + 1) * column_arrays.DAY_SECONDS)


def _seconds_to_approved(
    declined: Ints, rows: Ints, seconds: Ints, card: Ints, approved: Bools
) -> Ints:
    """Return the seconds from each declined log to its card's next approved one, or `MISSING`.

    ``rows`` are the logs with a card and a clock reading.
    """
    wait = np.full(len(declined), column_arrays.MISSING)
    candidates = rows[approved[rows]]
    if not len(candidates):
        return wait
    first, last = int(seconds[rows].min()), int(seconds[rows].max())
    span = last - first + 1
    among = np.isin(declined, rows)
    # One integer for a card and an instant: cards do not overlap.
    keys = np.sort(card[candidates] * span + seconds[candidates] - first)
    key = card[declined[among]] * span + seconds[declined[among]] - first
    place = np.searchsorted(keys, key, side="right")
    following = keys[np.minimum(place, len(keys) - 1)]
    same = (place < len(keys)) & (following // span == key // span)
    wait[among] = np.where(same, following - key, column_arrays.MISSING)
    return wait


def _last_attempts(rows: Ints, customer: Ints, seconds: Ints, approved: Bools) -> Ints:
    """Return each customer's last attempt among these rows; in one second the approved is last."""
    if not len(rows):
        return rows
    since = seconds[rows] - int(seconds[rows].min())
    span = 2 * (int(since.max()) + 1)
    # One integer for customer, instant and answer is sorted faster than the three.
    order = np.argsort(customer * span + 2 * since + approved[rows])
    ends = np.flatnonzero(np.diff(customer[order], append=-1))
    return rows[order[ends]]


def _customers(result: Reconciliation, cards: Ints) -> tuple[Ints, Ints]:
    """Return all cards of the customers of these cards, and each card's customer as a number.

    A customer is a CPF where the transactions of the card name one holder, otherwise the card: with
    two holders, either choice would depend on tokens.
    """
    cpf, has_cpf = column_arrays.token(result.transactions, c.TOKEN_CPF)
    pairs = []
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        token, present = column_arrays.token(result.transactions, name)
        both = present & has_cpf
        pairs.append(pd.DataFrame({"card": token[both], "cpf": cpf[both]}))
    all_pairs = pd.concat(pairs, ignore_index=True)
    people = all_pairs["cpf"][all_pairs["card"].isin(cards)].unique()
    cards = np.union1d(cards, all_pairs["card"][all_pairs["cpf"].isin(people)].to_numpy())
    holders = all_pairs[all_pairs["card"].isin(cards)].drop_duplicates()
    holders = holders[~holders["card"].duplicated(keep=False)]
    person = pd.factorize(holders["cpf"])[0]
    customer = np.arange(len(cards)) + len(person)
    customer[np.searchsorted(cards, holders["card"])] = person
    return cards, customer


def _by_code(logs: pa.Table, declined: Ints, counted: list[Bools]) -> pd.DataFrame:
    codes = column_arrays.column(logs, c.COD_RESPOSTA).take(pa.array(declined))
    texts = codes.cast(pa.string()).fill_null("").to_pandas()
    frame = pd.DataFrame(dict(zip(_COUNTS, counted, strict=True)))
    by_code = frame.groupby(texts.to_numpy(), sort=True).sum().astype(np.int64)
    by_code = by_code.rename_axis("code").reset_index()
    return by_code.sort_values("declined", ascending=False, kind="stable", ignore_index=True)
