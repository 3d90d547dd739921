"""Start and end of the server.

Removes the exported workbooks and stops the demonstration's databases at the end, as `atexit` does
not run where the server is stopped by SIGTERM.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamlit.runtime.pages_manager import PagesManager

from lib.demo import servers
from lib.ui import app_state
from lib.ui.export import EXPORTS


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """Prepare the server, and clean up after it."""
    # The first `st.navigation` does the same; before it, the address of a file of the `pages`
    # folder would run it without the entry, under a menu of the folder's files.
    PagesManager.uses_pages_directory = False
    yield
    EXPORTS.close()
    site = app_state.find()
    if site and site.demo:
        servers.stop()
