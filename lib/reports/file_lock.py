"""Lock a report while it is being written.

The lock file stands beside the report; the lock ends with the process that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lib.domain import file_system
from lib.domain.errors import TakenError
from lib.reports import temp_folder
from lib.reports.report_file import write_error

TAKEN: Final = (
    "Outra execução está gravando {target} neste momento: espere ela terminar e rode de novo."
)


@contextmanager
def exclusive_lock(target: Path) -> Iterator[None]:
    """Hold the lock of this report, and remove leftovers of killed runs of the same report.

    Does not wait. Raises TakenError if another process holds the lock, ReportError if the folder
    cannot be used.
    """
    try:
        lock = file_system.lock(target.with_name(f".{target.name}.lock"))
    except OSError as exc:
        raise write_error(exc, target) from exc
    if lock is None:
        raise TakenError(TAKEN, target=target)
    try:
        if not lock.on_this_machine:  # else another machine's run may be using its folder
            temp_folder.remove_leftovers(target)
        yield
    finally:
        lock.remove()
