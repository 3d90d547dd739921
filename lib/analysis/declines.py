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
    wait = _seconds_to_approved(declined, instants.seconds, card, known, approved)
    followed = wait <= WITHIN_SECONDS
    over = instants.seconds + WITHIN_SECONDS <= _horizon(result, instants.seconds[known])
    waiting = ~followed & known[declined] & ~over[declined]

    last = _last_attempts(result, np.flatnonzero(known), instants.seconds, card, approved)
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
    rows: Ints, seconds: Ints, card: Ints, known: Bools, approved: Bools
) -> Ints:
    """Return the seconds from each row to the next later approved log of its card, or `MISSING`."""
    wait = np.full(len(rows), column_arrays.MISSING)
    candidates = np.flatnonzero(known & approved)
    if not len(candidates) or not len(rows):
        return wait
    first, last = int(seconds[known].min()), int(seconds[known].max())
    span = last - first + 1
    cards, number = np.unique(card, return_inverse=True)
    # One integer for a card and an instant: cards do not overlap.
    key = number * span + np.clip(seconds - first, 0, span - 1)
    keys = np.sort(key[candidates])
    place = np.searchsorted(keys, key[rows], side="right")
    following = keys[np.minimum(place, len(keys) - 1)]
    same = known[rows] & (place < len(keys)) & (following // span == number[rows])
    wait[same] = (following - key[rows])[same]
    return wait


def _last_attempts(
    result: Reconciliation, rows: Ints, seconds: Ints, card: Ints, approved: Bools
) -> Ints:
    """Return each customer's last attempt among these rows; in one second the approved is last."""
    if not len(rows):
        return rows
    customer = _customers(result, card[rows])
    order = np.lexsort((approved[rows], seconds[rows], customer))
    ends = np.flatnonzero(np.diff(customer[order], append=-1))
    return rows[order[ends]]


def _customers(result: Reconciliation, cards: Ints) -> Ints:
    """Number the customers of these cards, by CPF where transactions name one holder of a card."""
    cpf, has_cpf = column_arrays.token(result.transactions, c.TOKEN_CPF)
    pairs = []
    for name in (c.TOKEN_CARTAO, c.TOKEN_VIRTUAL):
        token, present = column_arrays.token(result.transactions, name)
        both = present & has_cpf
        pairs.append(pd.DataFrame({"card": token[both], "cpf": cpf[both]}))
    holders = pd.concat(pairs).drop_duplicates()
    # A card of two holders stays a customer of its own: either choice would depend on tokens.
    holders = holders[~holders["card"].duplicated(keep=False)]
    number, distinct = pd.factorize(cards)
    holder = pd.Index(holders["card"]).get_indexer(distinct)
    people = pd.factorize(holders["cpf"])[0]
    of_card = np.where(holder >= 0, people[holder] if len(people) else 0, np.arange(len(distinct)))
    of_card = of_card + np.where(holder >= 0, 0, len(people))
    return np.asarray(of_card[number], dtype=np.int64)


def _by_code(logs: pa.Table, declined: Ints, counted: list[Bools]) -> pd.DataFrame:
    codes = column_arrays.column(logs, c.COD_RESPOSTA).take(pa.array(declined))
    texts = codes.cast(pa.string()).fill_null("").to_pandas()
    frame = pd.DataFrame(dict(zip(_COUNTS, counted, strict=True)))
    by_code = frame.groupby(texts.to_numpy(), sort=True).sum().astype(np.int64)
    by_code = by_code.rename_axis("code").reset_index()
    return by_code.sort_values("declined", ascending=False, kind="stable", ignore_index=True)
