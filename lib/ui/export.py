"""The export button: a worker process writes the workbook, and the browser then downloads it.

The download starts without a second click; a button repeats it.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.dashboard.export_queue import Export, Exports
from lib.delivery import delivery
from lib.domain.errors import AggregatorError
from lib.reports.report_file import Written
from lib.security import audit_events
from lib.ui import downloads, extraction_status, guard
from lib.ui.formatting import plain, size
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Dataset
    from lib.dashboard.export_worker import Workbook
    from lib.ui.app_state import Site

EXPORTS: Final = Exports()
START: Final = "exportar"
REPEAT: Final = "baixar_de_novo"

_INTERVAL_SECONDS: Final = 0.3
# The session's export: version of the data set, name of the file, audit operation, whether it was
# downloaded; or the problem that kept it from beginning.
_EXPORT: Final = "_export"


def show(site: Site, dataset: Dataset) -> None:
    """Draw the button, then the progress, then the download, of the page's data set."""
    state: dict[str, Any] = st.session_state.get(_EXPORT, {})
    export = EXPORTS.find(dataset.version) if state.get("version") == dataset.version else None
    running = export is not None and not export.future.done()
    st.button(
        t("Exportar Excel"),
        key=START,
        type="primary",
        width="stretch",
        disabled=running,
        on_click=_start,
        args=(site, dataset),
    )
    if isinstance(state.get("problem"), AggregatorError):
        st.error(plain(extraction_status.explanation(state["problem"])))
    if export is None:
        return
    if running:
        st.fragment(_progress, run_every=_INTERVAL_SECONDS)(export)
        return
    problem = export.future.exception() or _approve(state, export)
    if problem is not None:
        st.error(plain(extraction_status.explanation(problem)))
        return
    _download(export.future.result(), state, dataset.key.request.merchant)


def _start(site: Site, dataset: Dataset) -> None:
    admission = guard.admission()
    if admission is None:
        return  # the rerun shows the reason
    fields = audit_events.request_fields(dataset.key.request, clear=False)
    try:
        operation = audit_events.Operation(site.settings, "export", admission.actor, fields)
    except AggregatorError as problem:
        st.session_state[_EXPORT] = {"problem": problem}
        return
    operation.add_rows(audit_events.row_counts(dataset.outcome))
    st.session_state[_EXPORT] = {
        "version": dataset.version,
        "name": downloads.file_name(dataset.outcome.merchant_name, dataset.key.request.period),
        "operation": operation,
        "downloaded": False,
    }
    export = EXPORTS.start(dataset, operation.marks)
    export.future.add_done_callback(partial(_record_failure, operation))
    delivery.record_export(site.settings, dataset.outcome, admission.actor.name, export.future)


def _record_failure(operation: audit_events.Operation, workbook: Future[Any]) -> None:
    """Record a failed export, even if no session shows the page any more."""
    problem = workbook.exception()
    if problem is not None:
        operation.fail(problem)


def _approve(state: dict[str, Any], export: Export) -> AggregatorError | None:
    """Record the finished file once, before its download; return the error if that fails."""
    operation = state.get("operation")
    if operation is None:
        return None
    workbook = export.future.result()
    name = Path(str(state["name"]))
    try:
        operation.approve(Written(name, {}, workbook.size_bytes, workbook.sha256))
    except AggregatorError as problem:
        return problem
    del state["operation"]
    return None


def _progress(export: Export) -> None:
    if export.future.done():
        st.rerun()
    st.progress(_share(export), text=_stage(export))


def _share(export: Export) -> float:
    return {"queued": 0.0, "preparing": 0.2, "writing": 0.5}.get(export.stage, 0.2)


def _stage(export: Export) -> str:
    if export.stage == "writing":
        return n("Gravando {count} linha…", "Gravando {count} linhas…", export.rows)
    place = EXPORTS.place_in_line(export)
    if place > 1:
        return t("Na fila: {place}º lugar", place=place)
    return t("Preparando a planilha…")


def _download(workbook: Workbook, state: dict[str, Any], merchant: str) -> None:
    file = downloads.File(str(state["name"]), workbook.path, workbook.sha256, merchant)
    st.button(
        t("Baixar de novo ({size})", size=size(workbook.size_bytes)),
        key=REPEAT,
        on_click=downloads.send,
        args=(file,),
        width="stretch",
    )
    if not state["downloaded"]:
        state["downloaded"] = True
        downloads.send(file)
        downloads.deliver()
