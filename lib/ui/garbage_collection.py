"""Collect garbage in a separate thread instead of after each run of a session.

Streamlit's collection after every run is disabled (`runner.postScriptGC`), because it delays each
rerun by up to 90 ms. Objects loaded at the start are frozen, so that a collection is cheap.
"""

from __future__ import annotations

import gc
import threading
import time
from functools import cache
from typing import Final

from lib.dashboard import temp_folders
from lib.ui import downloads

_INTERVAL_SECONDS: Final = 1.0


_STARTING: Final = threading.Lock()


def start() -> threading.Thread:
    """Start the thread and remove old exports; once a process."""
    with _STARTING:  # `cache` alone would let sessions that open together each start one
        return _started()


@cache
def _started() -> threading.Thread:
    temp_folders.sweep()
    thread = threading.Thread(target=_collect, name="upkeep", daemon=True)
    thread.start()
    return thread


def _collect() -> None:
    gc.collect()
    gc.freeze()
    while True:
        time.sleep(_INTERVAL_SECONDS)
        downloads.forget_old()
        gc.collect()
