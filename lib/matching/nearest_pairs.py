"""One-to-one pairing of purchases and logs by distance, nearest first, within a tolerance.

The possible pairs have one strict order, and the result is the greedy choice in that order. It is
computed in rounds: a purchase and a log that are each other's best become a pair and are removed
before the next round. A chain of ever nearer neighbours yields one pair a round; such chains are
finished by a sweep with a heap. Both cost n log n. Works on integer arrays only.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from lib.matching.pairing import MAX_DISTANCE

if TYPE_CHECKING:
    from lib.domain.column_arrays import Bools, Ints

_ROUNDS: Final = 12
"""Rounds before a sweep may pair the remaining records."""
_WORTHWHILE: Final = 0.02
"""Share of the near entries that a later round must pair; below it, the sweep takes over."""


@dataclass(frozen=True)
class Entries:
    """One entry for each card of a purchase.

    ``point`` combines card and instant in one integer: points of one card differ by their distance
    in seconds, points of two cards by more than the tolerance. ``moment`` is the instant alone.
    Entries are sorted by point, those of one point by preference. ``purchase`` numbers the
    purchases; ``choice`` ranks the entries of one purchase by preference, below ``choices``.
    """

    point: Ints
    moment: Ints
    purchase: Ints
    choice: Ints
    choices: int

    def filter(self, mask: Bools) -> Entries:
        """Return these entries in the same order."""
        return Entries(
            self.point[mask],
            self.moment[mask],
            self.purchase[mask],
            self.choice[mask],
            self.choices,
        )


def pair(entries: Entries, logs: Ints, tolerance: int) -> tuple[Ints, Ints]:
    """Return the (entry, log) positions of the pairs; ``logs`` are points, sorted as entries."""
    entry_at = np.arange(len(entries.point))
    log_at = np.arange(len(logs))
    empty = np.zeros(0, dtype=np.int64)
    paired_entries, paired_logs = [empty], [empty]
    for number in itertools.count():
        best_log, best_entry = nearest(entries.point, logs), nearest(logs, entries.point)
        near_entries, near_logs = best_log.distance <= tolerance, best_entry.distance <= tolerance
        if not near_entries.any():
            break
        chosen = _best_entries(entries, best_log, near_entries)
        partner = best_log.position[chosen]
        mutual = near_logs[partner]
        mutual &= entries.purchase[best_entry.position[partner]] == entries.purchase[chosen]
        chosen, partner = chosen[mutual], partner[mutual]
        paired_entries.append(entry_at[chosen])
        paired_logs.append(log_at[partner])

        settled = np.zeros(entries.purchase.max() + 1, dtype=np.bool_)
        settled[entries.purchase[chosen]] = True
        near_logs[partner] = False
        unsettled = near_entries & ~settled[entries.purchase]
        entry_at, log_at = entry_at[unsettled], log_at[near_logs]
        entries, logs = entries.filter(unsettled), logs[near_logs]
        if number >= _ROUNDS and len(chosen) < _WORTHWHILE * len(near_entries):
            swept = _sweep(entries, logs, tolerance)
            paired_entries.append(entry_at[swept[0]])
            paired_logs.append(log_at[swept[1]])
            break
    return np.concatenate(paired_entries), np.concatenate(paired_logs)


@dataclass(frozen=True)
class Nearest:
    """For each point: the position of the nearest other, its distance, and whether it is later.

    The distance is `MAX_DISTANCE` where there are no others.
    """

    position: Ints
    distance: Ints
    later: Bools


def nearest(points: Ints, others: Ints) -> Nearest:
    """Return each point's nearest of the sorted others: the earlier of two, the first of equals."""
    if not len(others):
        far = np.full(len(points), MAX_DISTANCE)
        return Nearest(np.zeros(len(points), dtype=np.int64), far, np.zeros(len(points), bool))
    first = np.zeros(len(others), dtype=np.int64)
    starts = np.flatnonzero(others[1:] != others[:-1]) + 1
    first[starts] = starts
    first = np.maximum.accumulate(first)

    after = np.searchsorted(others, points, side="left")
    before = first[np.maximum(after - 1, 0)]
    before_distance = np.where(after > 0, points - others[before], MAX_DISTANCE)
    inside = after < len(others)
    after = np.minimum(after, len(others) - 1)
    after_distance = np.where(inside, others[after] - points, MAX_DISTANCE)
    later = after_distance < before_distance
    return Nearest(
        np.where(later, after, before), np.where(later, after_distance, before_distance), later
    )


def _best_entries(entries: Entries, best_log: Nearest, near: Bools) -> Ints:
    """Return the entry of each purchase's best pair: nearer, then earlier log, then preference."""
    rows = np.flatnonzero(near)
    rank = best_log.distance[rows] * 2 + best_log.later[rows]
    rank = rank * entries.choices + entries.choice[rows]
    purchase = entries.purchase[rows]
    least = np.full(purchase.max(initial=-1) + 1, MAX_DISTANCE)
    np.minimum.at(least, purchase, rank)
    chosen: Ints = rows[rank == least[purchase]]
    return chosen


def _sweep(entries: Entries, logs: Ints, tolerance: int) -> tuple[list[int], list[int]]:
    """Return the same pairs as the rounds, chosen one at a time, the nearest of all cards first.

    A stop is all entries, or all logs, at one point; only neighbouring stops can be nearest.
    """
    stops: list[tuple[int, bool, list[int]]] = []
    for is_log, points in ((False, entries.point), (True, logs)):
        starts = np.flatnonzero(np.diff(points, prepend=-1))
        ends = np.append(starts, len(points))[1:]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            stops.append((int(points[start]), is_log, list(range(end - 1, start - 1, -1))))
    stops.sort(key=lambda stop: stop[:2])
    before = list(range(-1, len(stops) - 1))
    after = [*range(1, len(stops)), -1]
    purchase, choice = entries.purchase.tolist(), entries.choice.tolist()
    moment = entries.moment.tolist()
    settled: set[int] = set()
    heap: list[tuple[int, int, bool, int, int, int]] = []

    def offer(left: int, right: int) -> None:
        """Put two neighbouring stops on the heap if they can be a pair."""
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
    paired_entries, paired_logs = [], []
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
            paired_entries.append(waiting.pop())
            paired_logs.append(free.pop())
        if waiting and free:
            offer(*sorted((entry, log)))
        drop_if_empty(entry)
        drop_if_empty(log)
    return paired_entries, paired_logs
