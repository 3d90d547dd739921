"""Keep libpq's environment variables out: the configuration alone decides what is read.

Some of them (PGDATESTYLE, PGTZ) have no connection parameter that overrides them, so they are
removed. `~/.pgpass` needs none of them; PGSERVICEFILE is read by `lib.config.secret_references`.
"""

import os
import re
import threading
from typing import Final

_VARIABLE: Final = re.compile("PG(?!SERVICEFILE$|DATA$)[A-Z_]+")
_LOCK: Final = threading.Lock()


def remove() -> None:
    """Remove libpq's variables from this process's environment; call before each connection."""
    # Changing the environment is unsafe while other threads read it, so only the first call does.
    if any(map(_VARIABLE.fullmatch, os.environ)):
        with _LOCK:
            for name in filter(_VARIABLE.fullmatch, list(os.environ)):
                os.environ.pop(name, None)
