"""How large a reconciliation will be before it is read, by the servers' own estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lib import extraction, sources

if TYPE_CHECKING:
    from lib.extraction import Window
    from lib.settings import Settings

IN_MEMORY_BYTES: Final = 600
"""What a record takes at the peak of a reconciliation in one process, as measured."""
_IN_BUCKET_BYTES: Final = 450
_WORKER_BYTES: Final = 250_000_000
_BUCKET_SHARE: Final = 0.6
_LEAST_SHARE: Final = 0.2
_MOST_BUCKETS: Final = 256


def records(settings: Settings, window: Window) -> int:
    """How many records both sides may have; twice the larger, as a server guesses what it cannot
    know of a text's content. Checks the columns too. Raises ExtractionError.
    """
    rows = []
    for side in sources.SIDES:
        with sources.session(settings, side, window.user) as cursor:
            extraction.check_columns(cursor, settings, side, window)
            select = extraction.masked_select(cursor, settings, side, window, clear=False)
            cursor.execute(b"EXPLAIN (FORMAT JSON) " + select)
            (plan,) = cursor.fetchone()
            rows.append(int(plan[0]["Plan"]["Plan Rows"]))
    return 2 * max(rows)


def kind(settings: Settings, window: Window) -> str:
    """The configured engine; where none is, chunked for what does not fit the memory limit."""
    engine = settings.engine
    if engine.kind is not None:
        return engine.kind
    fits = records(settings, window) * IN_MEMORY_BYTES <= engine.memory_bytes
    return "memory" if fits else "chunked"


def buckets(settings: Settings, count: int) -> int:
    """Into how many parts to cut so many records, few and as large as a worker's memory allows."""
    engine = settings.engine
    share = engine.memory_bytes / engine.worker_count
    room = max(share - _WORKER_BYTES, share * _LEAST_SHARE) * _BUCKET_SHARE
    rounds = -(-count * _IN_BUCKET_BYTES // int(room * engine.worker_count))
    return int(min(max(rounds, 1) * engine.worker_count, _MOST_BUCKETS))
