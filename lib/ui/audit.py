"""The auditors' page: the newest records, and the check of the whole trail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.domain.errors import AggregatorError
from lib.security import audit_events, audit_trail
from lib.ui import extraction_status, html_table
from lib.ui.formatting import plain
from lib.ui.html_table import Column
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from pathlib import Path

    from lib.security.audit_trail import Fields
    from lib.ui.app_state import Site

CHECK: Final = "conferir_auditoria"
INTACT: Final = (
    "Íntegra: {count} registro. Só uma planilha mostra se o fim foi cortado "
    "(aggregator.py audit verify --workbook).",
    "Íntegra: {count} registros. Só uma planilha mostra se o fim foi cortado "
    "(aggregator.py audit verify --workbook).",
)

_MOST_RECORDS: Final = 500
_COMMON: Final = ("seq", "at", "kind", "who", "from", "outcome", "merchant")
_DETAILS: Final = "details"
_SEALS: Final = ("prev", "seal", "torn")


def files(site: Site) -> tuple[Path, Path]:
    """The paths of the trail and its key; stops the page where no audit is kept."""
    path, key = site.settings.audit.path, site.settings.audit.key
    if path is None or key is None:
        st.info(t("Esta configuração não guarda auditoria."))
        st.stop()
    return path, key


def check(path: Path, key: Path) -> None:
    """Draw the button that checks every seal, and the result."""
    if not st.button(t("Conferir a auditoria inteira"), key=CHECK, type="primary"):
        return
    try:
        verification = audit_trail.verify(path, key)
    except AggregatorError as problem:
        st.error(plain(extraction_status.explanation(problem)))
        return
    for damage in verification.problems[:_MOST_RECORDS]:
        st.error(plain(damage))
    if not verification.problems:
        st.success(n(*INTACT, verification.records))


def records(path: Path) -> None:
    """Draw the newest records as a table, the newest first."""
    try:
        newest = audit_trail.read(path, _MOST_RECORDS)
    except AggregatorError as problem:
        st.error(plain(extraction_status.explanation(problem)))
        return
    st.caption(
        n(
            "O registro mais recente; horários em UTC.",
            "Os {count} registros mais recentes; horários em UTC.",
            len(newest),
        )
    )
    summary = audit_events.TrailSummary()
    for record in reversed(newest):
        summary.add(record)
    rows = [_row(record, str(record.get("seq")) in summary.unended) for record in newest]
    html_table.draw(_columns(), rows)


def _columns() -> list[Column]:
    names = {
        "seq": t("Número"),
        "at": t("Data e hora"),
        "kind": t("Ação"),
        "who": t("Usuário"),
        "from": t("Computador"),
        "outcome": t("Resultado"),
        "merchant": t("Estabelecimento"),
    }
    columns = [Column(name, heading) for name, heading in names.items()]
    return [*columns, Column(_DETAILS, t("Detalhes"), style="long")]


def _row(record: Fields, unended: bool) -> list[str]:
    details = {k: v for k, v in record.items() if k not in (*_COMMON, *_SEALS, "settings")}
    shown = {name: str(record.get(name, "")) for name in _COMMON}
    if unended:
        shown["outcome"] += " (" + t("sem fim registrado") + ")"
    return [*shown.values(), json.dumps(details, ensure_ascii=False, sort_keys=True)]
