"""What the server does when it begins, and when it ends.

No workbook stays behind, and no demonstration database: the interpreter's own way of tidying up
is not taken by a server that is told to stop (SIGTERM).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamlit.runtime.pages_manager import PagesManager

from lib.demo import servers
from lib.ui import app_state
from lib.ui.downloads import EXPORTS


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """The server's life: what comes before it, and what after."""
    # As the first `st.navigation` does. Until then an address of the `pages` folder would run its
    # file without the entry, below a menu of the folder's files.
    PagesManager.uses_pages_directory = False
    yield
    EXPORTS.close()
    ready = app_state.find()
    if ready and ready.demo:
        servers.stop()
