"""The events of a run that people may be told of."""

from __future__ import annotations

from typing import Final

FAILED: Final = "failed"
"""No report, or not everything that belongs to it, such as a copy."""
LATE: Final = "late"
"""The report is in place, of data that were not complete."""
UNUSUAL: Final = "unusual"
"""The report is in place, with figures far from the usual ones."""
READY: Final = "ready"
"""The report is in place, and everything that belongs to it."""
OVER: Final = "over"
"""The first good run of a merchant after a bad one."""

EVENTS: Final = (FAILED, LATE, UNUSUAL, OVER, READY)
"""All events, the most serious first."""
