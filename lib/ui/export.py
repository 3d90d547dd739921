"""The export button: the workbook is written by a process of its own and handed over when done.

The finished file is downloaded without a second click; the download button that does it stays.
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.dashboard.export_queue import Export, file_name
from lib.delivery import delivery
from lib.domain.errors import AggregatorError
from lib.reports.publish import Written
from lib.security import audit_events
from lib.ui import downloads, extraction_status, guard
from lib.ui.downloads import EXPORTS
from lib.ui.formatting import plain, size
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Dataset
    from lib.dashboard.export_worker import Workbook
    from lib.ui.app_state import Site

_EVERY_SECONDS: Final = 0.3
# The data set this session exports, the name its file gets, and whether it was handed over.
_ASKED: Final = "_export"
# The link lasts a minute, so it is made for each download and followed at once.
_FETCH: Final = """<script>
{
  const link = document.createElement("a");
  link.href = "ADDRESS";
  link.download = "";
  link.click();
}
</script>"""


def show(site: Site, dataset: Dataset) -> None:
    """Draw the button, then the progress, then the download, of what the page shows."""
    asked: dict[str, Any] = st.session_state.get(_ASKED, {})
    export = EXPORTS.find(dataset.version) if asked.get("version") == dataset.version else None
    running = export is not None and not export.future.done()
    st.button(
        t("Exportar Excel"),
        type="primary",
        width="stretch",
        disabled=running,
        on_click=_start,
        args=(site, dataset),
    )
    if isinstance(asked.get("problem"), AggregatorError):
        st.error(plain(extraction_status.explanation(asked["problem"])))
    if export is None:
        return
    if running:
        st.fragment(_progress, run_every=_EVERY_SECONDS)(export)
        return
    problem = export.future.exception() or _end(asked, export)
    if problem is not None:
        st.error(plain(extraction_status.explanation(problem)))
        return
    _hand_over(export.future.result(), asked)


def _start(site: Site, dataset: Dataset) -> None:
    admission = guard.admission()
    if admission is None:
        return  # the page says why
    asked: dict[str, object] = {"version": dataset.version, "name": file_name(dataset)}
    st.session_state[_ASKED] = asked | {"handed": False}
    question = audit_events.request_fields(dataset.key.request, clear=False)
    try:
        operation = audit_events.Operation(site.settings, "export", admission.actor, question)
    except AggregatorError as problem:
        st.session_state[_ASKED] = {"problem": problem}
        return
    operation.add_rows(audit_events.row_counts(dataset.outcome))
    st.session_state[_ASKED]["operation"] = operation
    export = EXPORTS.start(dataset, operation.marks)
    export.future.add_done_callback(partial(_note_failure, operation))
    who = admission.actor.name
    delivery.record_export(site.settings, dataset.outcome, who, export.future)


def _note_failure(operation: audit_events.Operation, workbook: Future[Any]) -> None:
    """Write down that nothing came of it, also where nobody looks at the page any more."""
    problem = workbook.exception()
    if problem is not None:
        operation.fail(problem)


def _end(asked: dict[str, Any], export: Export) -> AggregatorError | None:
    """Write down the finished file, once, before anybody gets it; or say why that failed."""
    operation = asked.get("operation")
    if operation is None:
        return None
    workbook = export.future.result()
    name = Path(str(asked["name"]))
    try:
        operation.approve(Written(name, {}, workbook.size_bytes, workbook.sha256))
    except AggregatorError as problem:
        return problem
    del asked["operation"]
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


def _hand_over(workbook: Workbook, asked: dict[str, Any]) -> None:
    st.button(
        t("Baixar de novo ({size})", size=size(workbook.size_bytes)),
        on_click=_hand_over_again,
        args=(asked,),
        width="stretch",
    )
    if not asked["handed"]:
        asked["handed"] = True
        address = downloads.link(str(asked["version"]), str(asked["name"]))
        st.html(_FETCH.replace("ADDRESS", address), unsafe_allow_javascript=True)


def _hand_over_again(asked: dict[str, Any]) -> None:
    if guard.holds():
        asked["handed"] = False
