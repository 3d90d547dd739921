"""The export button: a worker process writes the workbook, and the browser then downloads it.

The download starts without a second click; a button repeats it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.delivery import cases, delivery
from lib.security import audit_events
from lib.ui import downloads, file_export
from lib.ui.file_export import EXPORTS, Delivery
from lib.ui.formatting import size
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Dataset
    from lib.security.audit_events import Operation
    from lib.ui.app_state import Site

START: Final = "exportar"
REPEAT: Final = "baixar_de_novo"
SLOT: Final = "_export"


def show(site: Site, dataset: Dataset) -> None:
    """Draw the button, then the progress, then the download, of the page's data set."""
    _forget_other(dataset)
    st.button(
        t("Exportar Excel"),
        key=START,
        type="primary",
        width="stretch",
        disabled=file_export.running(SLOT),
        on_click=_start,
        args=(site, dataset),
    )
    finished = file_export.follow(SLOT)
    if finished is not None:
        file = file_export.file(finished)
        st.button(
            t("Baixar de novo ({size})", size=size(finished.export.future.result().size_bytes)),
            key=REPEAT,
            on_click=downloads.send,
            args=(file,),
            width="stretch",
        )


def _forget_other(dataset: Dataset) -> None:
    """Show nothing of another data set's export."""
    state = st.session_state.get(SLOT)
    if isinstance(state, Delivery) and EXPORTS.find(dataset.version) is not state.export:
        del st.session_state[SLOT]


def _start(site: Site, dataset: Dataset) -> None:
    request, outcome = dataset.key.request, dataset.outcome

    def deliver(operation: Operation) -> Delivery:
        export = EXPORTS.start(
            dataset, operation.marks, partial(cases.labels_of_export, site.settings, outcome)
        )
        name = downloads.file_name(outcome.merchant_name, request.period)
        return Delivery(export, name, request.merchant, downloads.XLSX, operation)

    fields = audit_events.request_fields(request, clear=False)
    started = file_export.begin(SLOT, site, fields, audit_events.row_counts(outcome), deliver)
    if started is not None and started.operation is not None:
        who = started.operation.who
        delivery.record_export(site.settings, outcome, who, started.export.future)
