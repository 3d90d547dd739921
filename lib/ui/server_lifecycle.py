"""Start and end of the server.

From the start, logs are redacted and a worker process stands ready for exports. At the end, cancels
the reads and the questions under way, stops the clear exports, each of which records its failure,
removes the exported workbooks and stops the demonstration's databases: `atexit` does not run after
SIGTERM.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamlit.runtime.pages_manager import PagesManager

from lib.dashboard import clear_export
from lib.database import copy_reader, running_sessions
from lib.demo import servers
from lib.security import redaction
from lib.ui import app_state
from lib.ui.file_export import EXPORTS


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """Prepare the server, and clean up after it."""
    redaction.install()
    # The first `st.navigation` does the same. Until then, opening the address of a file in `pages`
    # would run it without the entry script, under a menu of the folder's files.
    PagesManager.uses_pages_directory = False
    EXPORTS.stand_by()
    yield
    copy_reader.cancel_running()
    running_sessions.cancel_running()
    clear_export.stop_all()
    EXPORTS.close()
    site = app_state.find()
    if site and site.demo:
        servers.stop()
