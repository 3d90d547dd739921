"""Show the details of one row: its pair, the nearest transaction, the card's other logs.

Values from the databases are escaped: they are text, never markup.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import streamlit as st

from lib.analysis import reasons, related_records
from lib.domain import columns as c
from lib.ui import formatting, table_cells
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lib.domain.reconciliation import Reconciliation, Rows

PAIR: Final = "Encontrados pelo cartão {join}; o log veio {distance}."
NEAREST: Final = "O log veio {distance}."
NO_TRANSACTION: Final = "Nenhuma transação lida usa este cartão, físico ou virtual."
SURVIVOR: Final = "Por que a outra ficou: {reason}."
LOGS: Final = ("{count} log do cartão", "{count} logs do cartão")
OTHER_LOGS: Final = ("{count} outro log do cartão", "{count} outros logs do cartão")
NO_OTHER_LOGS: Final = "O cartão não tem outros logs neste período."
NO_TIME: Final = "sem hora para comparar"

_LOG: Final = (c.NUM_CARTAO, c.DATA, c.HORA, c.COD_RESPOSTA, c.DES_LOG)
_MOST_LOGS: Final = 50


def pair(result: Reconciliation, at: int, whole: Reconciliation) -> None:
    """Draw the transaction and the log of a consolidated row, and the card's other logs."""
    transaction, log = int(result.consolidated_rows[at]), int(result.pair_rows[at])
    join = c.VIRTUAL if result.pair_virtual[at] else c.FISICO
    st.text(
        t(
            PAIR,
            join=t(join),
            distance=_distance(related_records.seconds_between(result, transaction, log)),
        )
    )
    left, right = st.columns(2)
    with left:
        _record(t("Transação"), result.transactions, c.TRANSACTIONS_QUERY, transaction)
    with right:
        _record(t("Log"), result.auth_logs, _LOG, log)
    _other_logs(result, related_records.logs_of_transaction(whole, transaction), log)


def divergence(result: Reconciliation, at: int, whole: Reconciliation) -> None:
    """Draw a divergent log beside its card's nearest transaction in time, if any."""
    log = int(result.divergent_rows[at])
    motivo = c.MOTIVOS[int(result.motivo[at])]
    st.text(f"{t(motivo)}: {meaning(motivo)}")
    nearest = related_records.nearest_transaction(whole, log)
    left, right = st.columns(2)
    with left:
        _record(t("Log"), result.auth_logs, _LOG, log)
    with right:
        if nearest is None:
            st.info(t(NO_TRANSACTION))
        else:
            title = t("Transação mais próxima deste cartão")
            _record(title, result.transactions, c.TRANSACTIONS_QUERY, nearest)
            st.text(
                t(
                    NEAREST,
                    distance=_distance(related_records.seconds_between(result, nearest, log)),
                )
            )
    _other_logs(result, related_records.logs_of_log(whole, log), log)


def without_log(result: Reconciliation, at: int, whole: Reconciliation) -> None:
    """Draw a transaction without log, and the logs of its cards."""
    transaction = int(result.without_log_rows[at])
    reason = c.WITHOUT_LOG_REASONS[int(result.without_log_reason[at])]
    st.text(f"{t(reason)}: {_meaning_without_log(reason)}")
    _record(t("Transação"), result.transactions, c.TRANSACTIONS_QUERY, transaction)
    _other_logs(result, related_records.logs_of_transaction(whole, transaction), None)


def duplicate(result: Reconciliation, at: int, whole: Reconciliation) -> None:
    """Draw a removed duplicate beside the transaction that was kept."""
    removed, survivor = int(result.duplicate_rows[at]), int(result.survivor_rows[at])
    [reason] = reasons.duplicate_reasons(result, np.array([at]))
    st.text(t(SURVIVOR, reason=t(c.DUPLICATE_REASONS[int(reason)])))
    left, right = st.columns(2)
    with left:
        _record(t("Removida"), result.transactions, c.TRANSACTIONS_QUERY, removed)
    with right:
        _record(t("Mantida"), result.transactions, c.TRANSACTIONS_QUERY, survivor)


def _record(title: str, table: pa.Table, names: tuple[str, ...], row: int) -> None:
    """Draw one record, one column per line."""
    [record] = table.select(names).slice(row, 1).to_pylist()
    values({name: table_cells.written(name, record[name]) for name in names}, title)


def values(texts: Mapping[str, str], title: str = "") -> None:
    """Draw formatted values by column name, one per line."""
    lines = "".join(
        f"<dt title='{escape(table_cells.tooltip(name))}'>{escape(table_cells.label(name))}</dt>"
        f"<dd>{escape(text) or formatting.NO_VALUE}</dd>"
        for name, text in texts.items()
    )
    heading = f"<h4>{escape(title)}</h4>" if title else ""
    st.html(f"{_STYLE}<div class='record'>{heading}<dl>{lines}</dl></div>")


_STYLE: Final = """<style>
.record h4 { margin: 0 0 .4rem; padding: 0; font-size: 1rem; }
.record dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
.record dl, .record dd, .record dt { margin: 0; padding: 0; }
.record dt { opacity: .7; font-weight: 400; }
.record dd { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
</style>"""


def _other_logs(result: Reconciliation, rows: Rows, shown: int | None) -> None:
    others = rows if shown is None else rows[rows != shown]
    if not len(others):
        st.caption(t(NO_OTHER_LOGS))
        return
    title = n(*LOGS, len(others)) if shown is None else n(*OTHER_LOGS, len(others))
    st.html(f"{_STYLE}<div class='record'><h4>{escape(title)}</h4></div>")
    logs = result.auth_logs.select(_LOG).take(others[:_MOST_LOGS])
    table_cells.draw(logs.to_pydict(), "outros_logs_linhas")
    if len(others) > _MOST_LOGS:
        st.caption(t("Aparecem os primeiros {count}.", count=formatting.whole(_MOST_LOGS)))


def _distance(seconds: int | None) -> Any:
    if seconds is None:
        return t(NO_TIME)
    if seconds == 0:
        return t("no mesmo segundo")
    span = formatting.seconds(abs(seconds)).lstrip("+")
    return t("{span} depois", span=span) if seconds > 0 else t("{span} antes", span=span)


def meaning(motivo: str) -> str:
    """Explain a divergence's motivo in a few words."""
    return {
        c.NEGADA: t("a compra foi recusada, por isso não há transação."),
        c.RECENTE: t("é mais recente que a última transação lida; a transação ainda pode chegar."),
        c.FORA_DA_TOLERANCIA: t(
            "as transações do cartão estão longe demais no tempo, ou são de outros logs."
        ),
        c.APROVADA_SEM_TRANSACAO: t("foi aprovada e não há transação; precisa de análise."),
    }[motivo]


def _meaning_without_log(reason: str) -> str:
    """Explain in a few words why a transaction has no log."""
    return {
        c.SEM_LOG_DO_CARTAO: t("nenhum log lido usa este cartão, físico ou virtual."),
        c.FORA_DA_TOLERANCIA: t("os logs do cartão estão longe demais no tempo."),
        c.LOG_USADO: t("os logs do cartão na tolerância são de outras transações."),
    }[reason]
