"""Entry point of the command line; see `lib.cli.main`."""

import gc
import os
import sys

# Loading the libraries creates some 120,000 permanent objects; garbage collection would scan them
# repeatedly, for a tenth of a second or more.
gc.set_threshold(200_000, 20, 100)
# numpy's linear algebra, which nothing here calls, starts a thread a processor while it loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look for some everywhere
if sys.argv[1:2] != ["dashboard"]:  # whose arrays stay
    # A run's arrays live for a moment: to clear huge pages for them costs an eighth of its time.
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

from lib.cli import console
from lib.cli.main import main
from lib.domain import memory, pandas_lookup
from lib.security import redaction

if __name__ == "__main__":
    redaction.install()
    pandas_lookup.disable()
    memory.limit_arenas()
    console.end_process(main(sys.argv[1:]))
