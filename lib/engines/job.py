"""The description of a reconciliation for its workers, and the files in its staging folder.

Knows no database, no process and no rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lib.analysis.case_evidence import Watched
    from lib.config.settings import Settings
    from lib.domain.requests import Period, Rule, Side, Window

END_OF_DAY: Final = 86_400
_HOUR: Final = 3600


@dataclass(frozen=True)
class Share:
    """The rows of a side after ``after`` and up to ``until``, both (date, second).

    None means no bound; the first share, without a lower bound, also has the records without a
    date. A record without a time counts as the last of its day.
    """

    side: Side
    number: int
    after: tuple[date, int] | None
    until: tuple[date, int] | None


@dataclass(frozen=True)
class Job:
    """One reconciliation, sent to each worker through a pipe, never on a command line or a disk.

    ``key`` is the token key; ``snapshots`` names the exported snapshot of each database that has
    one; ``buckets`` is the number of partitions; ``watched`` are the open cases to look for.
    """

    settings: Settings
    window: Window
    period: Period
    rule: Rule
    clear: bool
    folder: Path
    buckets: int
    key: bytes
    snapshots: dict[Side, str]
    watched: Watched | None = None

    def transactions(self, bucket: int) -> list[Path]:
        """The staged transactions of a bucket, as read."""
        return self._staged("transactions", bucket)

    def pairs(self, bucket: int) -> list[Path]:
        """The virtual cards of a bucket, each with the home of its transaction."""
        return self._staged("pairs", bucket)

    def moved(self, bucket: int) -> list[Path]:
        """The transactions moved to a bucket because their cards are connected with its cards."""
        return self._staged("moved", bucket)

    def auth_logs(self, bucket: int) -> list[Path]:
        """The staged logs of a bucket."""
        return self._staged("auth_logs", bucket)

    def matched(self, bucket: int, table: str) -> Path:
        """A bucket's rows of one table of the result."""
        return self.folder / "matched" / str(bucket) / f"{table}.arrow"

    def _staged(self, name: str, bucket: int) -> list[Path]:
        # Names that begin with "_" are drafts, which a killed worker leaves behind.
        return sorted(self.folder.glob(f"{name}/[!_]*/{bucket}.arrow"))


def shares(side: Side, window: Window, count: int) -> list[Share]:
    """Cut the window into at most ``count`` shares of equal length, to the hour."""
    hours = 24 * ((window.end - window.start).days + 1)
    count = min(count, hours)
    cuts = [hours * number // count * _HOUR for number in range(1, count)]
    edges = [None, *(_last_second(window.start, cut) for cut in cuts), None]
    return [Share(side, n, edges[n], edges[n + 1]) for n in range(count)]


def _last_second(start: date, seconds: int) -> tuple[date, int]:
    """The last second before the cut that is this many seconds after the first midnight."""
    days, second = divmod(seconds, END_OF_DAY)
    if second == 0:
        return start + timedelta(days=days - 1), END_OF_DAY
    return start + timedelta(days=days), second - 1
