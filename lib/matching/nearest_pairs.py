"""Rule `card_time`: pairs one log with one purchase, the nearest first, within a tolerance.

Every pair has a place in one strict order, and the greedy choice in that order is what is wanted.
It is found in rounds: a purchase and a log that are each other's best are a pair, leave, and the
others look again. Chains of ever nearer neighbours, of which a round settles only the end, are
finished by a sweep with a heap. Both cost n log n. Knows integer arrays only, no frame.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_FAR: Final = np.int64(2**62)
_ROUNDS: Final = 12
_WORTHWHILE: Final = 0.02


@dataclass(frozen=True)
class Entries:
    """A purchase once for each card it can be recognised by.

    ``place`` says card and instant in one integer, such that two places on one card differ by
    their distance in seconds, and on two cards by more than the tolerance; ``moment`` is its
    instant alone. Sorted by place, and at one place the better first. ``purchase`` numbers the
    purchases; ``choice`` orders the entries of one purchase, the better first, below ``choices``.
    """

    place: Ints
    moment: Ints
    purchase: Ints
    choice: Ints
    choices: int

    def keep(self, which: Bools) -> Entries:
        """Only these entries, in the same order."""
        return Entries(
            self.place[which],
            self.moment[which],
            self.purchase[which],
            self.choice[which],
            self.choices,
        )


def pair(entries: Entries, logs: Ints, tolerance: int) -> tuple[Ints, Ints]:
    """(entry, log) positions of the pairs; ``logs`` are places, sorted, the better first."""
    entry_at = np.arange(len(entries.place))
    log_at = np.arange(len(logs))
    taken_entries, taken_logs = [], []
    for number in itertools.count():
        best, wanted = nearest(entries.place, logs), nearest(logs, entries.place)
        near, asked = best.distance <= tolerance, wanted.distance <= tolerance
        if not near.any():
            break
        chosen = _choice_of_purchase(entries, best, near)
        partner = best.position[chosen]
        mutual = asked[partner]
        mutual &= entries.purchase[wanted.position[partner]] == entries.purchase[chosen]
        chosen, partner = chosen[mutual], partner[mutual]
        taken_entries.append(entry_at[chosen])
        taken_logs.append(log_at[partner])

        settled = np.zeros(entries.purchase.max() + 1, dtype=np.bool_)
        settled[entries.purchase[chosen]] = True
        asked[partner] = False
        left = near & ~settled[entries.purchase]
        entry_at, log_at = entry_at[left], log_at[asked]
        entries, logs = entries.keep(left), logs[asked]
        if number >= _ROUNDS and len(chosen) < _WORTHWHILE * len(near):
            swept = _sweep(entries, logs, tolerance)
            taken_entries.append(entry_at[swept[0]])
            taken_logs.append(log_at[swept[1]])
            break
    nothing = np.zeros(0, dtype=np.int64)
    return np.concatenate([nothing, *taken_entries]), np.concatenate([nothing, *taken_logs])


@dataclass(frozen=True)
class Nearest:
    """For each place: the position of its nearest other, the distance, and whether it is later.

    The distance is larger than any other where there are no others.
    """

    position: Ints
    distance: Ints
    later: Bools


def nearest(places: Ints, others: Ints) -> Nearest:
    """For each place the nearest of the sorted others: the earlier of two, the first of equals."""
    if not len(others):
        far = np.full(len(places), _FAR)
        return Nearest(np.zeros(len(places), dtype=np.int64), far, np.zeros(len(places), bool))
    first = np.zeros(len(others), dtype=np.int64)
    fresh = np.flatnonzero(others[1:] != others[:-1]) + 1
    first[fresh] = fresh
    first = np.maximum.accumulate(first)

    after = np.searchsorted(others, places, side="left")
    before = first[np.maximum(after - 1, 0)]
    before_distance = np.where(after > 0, places - others[before], _FAR)
    inside = after < len(others)
    after = np.minimum(after, len(others) - 1)
    after_distance = np.where(inside, others[after] - places, _FAR)
    later = after_distance < before_distance
    return Nearest(
        np.where(later, after, before), np.where(later, after_distance, before_distance), later
    )


def _choice_of_purchase(entries: Entries, best: Nearest, near: Bools) -> Ints:
    """The entry through which each purchase has its best pair: nearer, earlier log, better."""
    at = np.flatnonzero(near)
    rank = (best.distance[at] * 2 + best.later[at]) * entries.choices + entries.choice[at]
    purchase = entries.purchase[at]
    least = np.full(purchase.max(initial=-1) + 1, _FAR)
    np.minimum.at(least, purchase, rank)
    chosen: Ints = at[rank == least[purchase]]
    return chosen


def _sweep(entries: Entries, logs: Ints, tolerance: int) -> tuple[list[int], list[int]]:
    """The same pairs one at a time: the nearest neighbours on any card, until none is near.

    A stop is all entries, or all logs, of one place; only neighbouring stops can be nearest.
    """
    stops: list[tuple[int, bool, list[int]]] = []
    for is_log, places in ((False, entries.place), (True, logs)):
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        ends = np.append(starts, len(places))[1:]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            stops.append((int(places[start]), is_log, list(range(end - 1, start - 1, -1))))
    stops.sort(key=lambda stop: stop[:2])
    before = list(range(-1, len(stops) - 1))
    after = [*range(1, len(stops)), -1]
    purchase, choice = entries.purchase.tolist(), entries.choice.tolist()
    moment = entries.moment.tolist()
    settled: set[int] = set()
    heap: list[tuple[int, int, bool, int, int, int]] = []

    def offer(left: int, right: int) -> None:
        """Put two neighbouring stops up for pairing, if they can be a pair."""
        if left < 0 or right < 0 or stops[left][1] == stops[right][1]:
            return
        entry, log = (right, left) if stops[left][1] else (left, right)
        distance = stops[right][0] - stops[left][0]
        if distance <= tolerance:
            front = stops[entry][2][-1]
            later = stops[log][0] > stops[entry][0]
            order = (distance, moment[front], later, choice[front], entry, log)
            heapq.heappush(heap, order)

    def drop_if_empty(stop: int) -> None:
        if stops[stop][2]:
            return
        left, right = before[stop], after[stop]
        if left >= 0:
            after[left] = right
        if right >= 0:
            before[right] = left
        offer(left, right)

    for stop in range(len(stops) - 1):
        offer(stop, stop + 1)
    taken_entries, taken_logs = [], []
    while heap:
        *_, entry, log = heapq.heappop(heap)
        waiting, free = stops[entry][2], stops[log][2]
        if not waiting or not free:
            continue
        front = waiting[-1]
        if purchase[front] in settled:
            waiting.pop()
        else:
            settled.add(purchase[front])
            taken_entries.append(waiting.pop())
            taken_logs.append(free.pop())
        if waiting and free:
            offer(*sorted((entry, log)))
        drop_if_empty(entry)
        drop_if_empty(log)
    return taken_entries, taken_logs
