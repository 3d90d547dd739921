"""Load the workers' modules, without pandas, in the process that workers are forked from.

Where memory runs out, the kernel kills it or a worker before their parent, which then repeats their
tasks or reports the shortage.
"""

from contextlib import suppress
from pathlib import Path

from lib.domain import pandas_lookup

with suppress(OSError):
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
pandas_lookup.disable()

from lib.engines import partition as partition  # noqa: E402
