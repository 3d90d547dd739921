"""What every worker of one reconciliation is told, and where its pieces lie.

Owns the names inside a staging folder. Knows no database, no process and no rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lib.domain.reconciliation import EPOCH

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.reconciliation import Period, Rule
    from lib.domain.requests import Side, Window

END_OF_DAY: Final = 86_400
_HOUR: Final = 3600


@dataclass(frozen=True)
class Slice:
    """A share of a side's rows: those after ``after`` and up to ``until``, (date, second) each.

    None is open; the first share, open below, has the records without a date as well. A record
    without a time counts as the last of its day.
    """

    side: Side
    number: int
    after: tuple[date, int] | None
    until: tuple[date, int] | None


@dataclass(frozen=True)
class Job:
    """One reconciliation, for all its workers.

    ``key`` makes the tokens; ``snapshots`` names each database's exported snapshot, where there
    is one; ``buckets`` says into how many parts the cards are cut. It goes to workers through a
    pipe, never over a command line or to a disk.
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

    def transactions(self, bucket: int) -> list[Path]:
        """The staged transactions of a bucket, as read."""
        return sorted(self.folder.glob(f"transactions/*/{bucket}.arrow"))

    def pairs(self, bucket: int) -> list[Path]:
        """The virtual cards of a bucket, each beside where its transactions are at home."""
        return sorted(self.folder.glob(f"pairs/*/{bucket}.arrow"))

    def moved(self, bucket: int) -> list[Path]:
        """The transactions that joined a bucket because their cards hang together with its own."""
        return sorted(self.folder.glob(f"moved/*/{bucket}.arrow"))

    def auth_logs(self, bucket: int) -> list[Path]:
        """The staged logs of a bucket."""
        return sorted(self.folder.glob(f"auth_logs/*/{bucket}.arrow"))

    def matched(self, bucket: int, table: str) -> Path:
        """A bucket's rows of one table of the result."""
        return self.folder / "matched" / str(bucket) / f"{table}.arrow"


def slices(side: Side, window: Window, count: int) -> list[Slice]:
    """At most ``count`` shares of the window, equally long to the hour."""
    hours = 24 * ((window.end - window.start).days + 1)
    count = min(count, hours)
    cuts = [hours * number // count * _HOUR for number in range(1, count)]
    edges = [None, *(_moment(window.start, cut) for cut in cuts), None]
    return [Slice(side, n, edges[n], edges[n + 1]) for n in range(count)]


def _moment(start: date, seconds: int) -> tuple[date, int]:
    """The last second before the cut, so many seconds after the first midnight."""
    days, second = divmod(seconds, END_OF_DAY)
    if second == 0:
        return start + timedelta(days=days - 1), END_OF_DAY
    return start + timedelta(days=days), second - 1


def day_of(number: int) -> date:
    """The date that is so many days after 1970-01-01."""
    return EPOCH + timedelta(days=number)
