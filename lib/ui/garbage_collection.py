"""Collects garbage beside the sessions instead of after each of their runs.

Streamlit's own collection after every run is off (`runner.postScriptGC`): it costs each rerun up
to 90 ms. What is loaded at the start is frozen out of it, so that a collection here is cheap.
"""

from __future__ import annotations

import gc
import threading
import time
from functools import lru_cache
from typing import Final

from lib.dashboard import temp_folders
from lib.security import redaction

_EVERY_SECONDS: Final = 1.0


@lru_cache(maxsize=1)
def start() -> threading.Thread:
    """Begin collecting, and have the logs scrubbed and old exports removed, once a process."""
    redaction.install()
    temp_folders.sweep()
    thread = threading.Thread(target=_collect, name="upkeep", daemon=True)
    thread.start()
    return thread


def _collect() -> None:
    gc.collect()
    gc.freeze()
    while True:
        time.sleep(_EVERY_SECONDS)
        gc.collect()
