"""What the server does when it ends: no workbook stays behind, and no demonstration database.

The interpreter's own way of tidying up is not taken by a server that is told to stop (SIGTERM).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lib import demo
from lib.ui import site
from lib.ui.downloads import EXPORTS


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """The server's life; its end is what follows."""
    yield
    EXPORTS.close()
    ready = site.find()
    if ready and ready.demo:
        demo.stop()
