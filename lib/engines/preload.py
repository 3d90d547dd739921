"""Load the workers' modules, without pandas, in the process that workers are forked from."""

from lib.domain import pandas_lookup

pandas_lookup.disable()

from lib.engines import partition as partition  # noqa: E402
