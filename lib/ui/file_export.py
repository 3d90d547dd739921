"""An export of this session, from the click to the download: progress, failure, audit, delivery.

Each kind of export has a slot in the session. A worker process writes the file; its end is recorded
even if no session shows the page any more. Decides nothing about what a file contains.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from lib.dashboard.export_queue import Export, Exports
from lib.domain.errors import AggregatorError
from lib.reports.report_file import Written
from lib.security import audit_events
from lib.ui import downloads, extraction_status, guard
from lib.ui.formatting import plain
from lib.ui.i18n import n, t

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lib.security.audit_events import Operation
    from lib.security.audit_trail import Fields
    from lib.ui.app_state import Site

EXPORTS: Final = Exports()

_INTERVAL_SECONDS: Final = 0.3
_SOON_SECONDS: Final = 1.0


@dataclass
class Delivery:
    """A session's export with its file's name; ``operation`` until its success is recorded."""

    export: Export
    name: str
    merchant: str
    mime: str
    operation: Operation | None
    downloaded: bool = False


def begin(
    slot: str,
    site: Site,
    fields: Fields,
    rows: dict[str, int],
    deliver: Callable[[Operation], Delivery],
) -> Delivery | None:
    """Record the start and put the delivery into the slot; callbacks call it.

    None for a reader whose admission has changed, and where the start cannot be recorded, which
    `follow` then says.
    """
    admission = guard.admission()
    if admission is None:
        return None  # the rerun shows the reason
    try:
        operation = audit_events.Operation(site.settings, "export", admission.actor, fields)
    except AggregatorError as problem:
        st.session_state[slot] = problem
        return None
    operation.add_rows(rows)
    delivery = deliver(operation)
    delivery.export.future.add_done_callback(partial(_record_failure, operation))
    st.session_state[slot] = delivery
    # The page that follows the click then has a small file at once.
    wait([delivery.export.future], _SOON_SECONDS)
    return delivery


def running(slot: str) -> bool:
    """True while this session's export of the slot is unfinished."""
    state = st.session_state.get(slot)
    return isinstance(state, Delivery) and not state.export.future.done()


def follow(slot: str) -> Delivery | None:
    """Draw the progress or the failure; start the download once and return the finished one."""
    state = st.session_state.get(slot)
    if isinstance(state, AggregatorError):
        st.error(plain(extraction_status.explanation(state)))
    if not isinstance(state, Delivery):
        return None
    if not state.export.future.done():
        st.fragment(_progress, run_every=_INTERVAL_SECONDS)(state.export)
        return None
    problem = state.export.future.exception() or _approve(state)
    if problem is not None:
        st.error(plain(extraction_status.explanation(problem)))
        return None
    if not state.downloaded:
        state.downloaded = True
        downloads.send(file(state))
        downloads.deliver()
    return state


def file(delivery: Delivery) -> downloads.File:
    """The finished file as a download."""
    written = delivery.export.future.result()
    return downloads.File(
        delivery.name, written.path, written.sha256, delivery.merchant, mime=delivery.mime
    )


def _record_failure(operation: Operation, finished: Future[Any]) -> None:
    """Record a failed export, even if no session shows the page any more."""
    problem = finished.exception()
    if problem is not None:
        operation.fail(problem)


def _approve(delivery: Delivery) -> AggregatorError | None:
    """Record the finished file once, before its download; return the error if that fails."""
    if delivery.operation is None:
        return None
    written = delivery.export.future.result()
    try:
        delivery.operation.approve(
            Written(Path(delivery.name), {}, written.size_bytes, written.sha256)
        )
    except AggregatorError as problem:
        return problem
    delivery.operation = None
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
    return t("Preparando o arquivo…")
