"""The figures of the landing page out of a reconciliation: series by day and how far data reach.

Pure: one reconciliation in, one frozen value of plain numbers and dates out. The balance of the
books is `lib.summary`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lib import columns as c
from lib import keys, summary
from lib.reconciliation import EPOCH, Reconciliation

if TYPE_CHECKING:
    from lib.reconciliation import Rows

_EPOCH: Final = datetime.combine(EPOCH, time())


@dataclass(frozen=True)
class Overview:
    """Series with one number a day of the period, and what there is beside the books.

    ``transactions`` counts what was bought, each purchase once (duplicates left out);
    ``needing_person`` the divergences that are `columns.APROVADA_SEM_TRANSACAO`. ``reach`` and
    ``logs_reach`` are the latest instants read of each side, None where it gave none.
    """

    days: tuple[date, ...]
    transactions: tuple[int, ...]
    consolidated: tuple[int, ...]
    divergences: tuple[int, ...]
    needing_person: tuple[int, ...]
    amount: tuple[Decimal, ...]
    motivos: dict[str, int]
    transactions_reach: datetime | None
    logs_reach: datetime | None


def overview(result: Reconciliation) -> Overview:
    """The landing page's figures of a reconciliation."""
    daily = summary.by_day(result)
    logged = keys.instants(result.auth_logs, c.DATA, c.HORA)
    bought = keys.instants(result.transactions, c.DATA_TRANSA, c.HORA_TRANSA)
    needing = result.divergent_rows[result.motivo == c.MOTIVOS.index(c.APROVADA_SEM_TRANSACAO)]
    first = (result.period.start - EPOCH).days
    day = logged.day[needing] - first
    day = day[(day >= 0) & (day < len(daily))]
    return Overview(
        days=tuple(daily["day"]),
        transactions=_whole(daily["consolidated"] + daily["without_log"]),
        consolidated=_whole(daily["consolidated"]),
        divergences=_whole(daily["divergences"]),
        needing_person=_whole(np.bincount(day, minlength=len(daily))),
        amount=tuple(daily["amount"]),
        motivos=summary.by_motivo(result),
        transactions_reach=_latest(bought, result.transaction_rows),
        logs_reach=_latest(logged, result.log_rows),
    )


def _whole(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _latest(instants: keys.Instants, rows: Rows) -> datetime | None:
    known = instants.seconds[rows][instants.known[rows]]
    return _EPOCH + timedelta(seconds=int(known.max())) if len(known) else None
