"""What a matching rule decides, row by row of the two frames, before anything is put in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Pairing:
    """``log``, ``virtual``, ``survivor``, ``reason`` are by transaction row, the rest by log row.

    ``log`` is the row of the taken log, -1 where there is none, and counts for survivors only;
    ``survivor`` the row that stands for the purchase; ``reason`` indexes
    `columns.WITHOUT_LOG_REASONS`. ``known`` says whether some transaction has the log's card,
    ``nearest`` which one is nearest in time, -1 where none has a time.
    """

    log: Ints
    virtual: Bools
    survivor: Ints
    reason: NDArray[np.int8]
    matched: Bools
    known: Bools
    nearest: Ints
