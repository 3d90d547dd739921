"""Which bucket a record belongs to, so that every bucket can be matched by itself.

A transaction is at home where its purchase is, by its physical card; a log goes wherever a
transaction has its card. Under rule `card` a log may be of use in several buckets and is copied
to each; under rule `card_time` it serves one transaction only, so that cards which share a
transaction must share a bucket: those are joined first. Pure: arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lib.domain import column_arrays
from lib.domain import columns as c

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Buckets = NDArray[np.uint16]

_MIX = np.uint64(0x9E3779B97F4A7C15)


def bucket_of(tokens: Ints, buckets: int) -> Buckets:
    """The bucket of each token; tokens are evenly spread already."""
    return (tokens.view(np.uint64) % np.uint64(buckets)).astype(np.uint16)


def homes(transactions: pd.DataFrame) -> Ints:
    """Where each purchase is at home: equal for all copies of one.

    Its physical card's token; where there is none, something made of the holder and the instant.
    """
    card, present = column_arrays.token(transactions, c.TOKEN_CARTAO)
    if present.all():
        return card
    holder, _ = column_arrays.token(transactions, c.TOKEN_CPF)
    instant = column_arrays.instants(transactions, c.DATA_TRANSA, c.HORA_TRANSA).sheet_order
    return np.where(present, card, _mixed(holder, instant))


def log_homes(auth_logs: pd.DataFrame) -> tuple[Ints, Bools]:
    """(token, present) of each log; one without a card, which matches nothing, lies anywhere."""
    card, present = column_arrays.token(auth_logs, c.TOKEN_CARTAO)
    if present.all():
        return card, present
    instant = column_arrays.instants(auth_logs, c.DATA, c.HORA).sheet_order
    return np.where(present, card, _mixed(card, instant)), present


@dataclass(frozen=True)
class Routes:
    """Cards whose logs are not, or not only, needed in the bucket of their own token.

    ``token`` is sorted and names a card once for each of its buckets.
    """

    token: Ints
    bucket: Buckets

    @classmethod
    def together(cls, parts: Iterable[Routes]) -> Routes:
        """The routes of all buckets, in order."""
        tokens, buckets = zip(*((part.token, part.bucket) for part in parts), strict=True)
        token, bucket = np.concatenate(tokens), np.concatenate(buckets)
        order = np.lexsort((bucket, token))
        return cls(token[order], bucket[order])

    def of(self, tokens: Ints, present: Bools, buckets: int) -> tuple[Ints, Buckets, Bools]:
        """(row, bucket, first) of every copy of the rows; exactly one copy of each is the first."""
        left = np.searchsorted(self.token, tokens, side="left")
        copies = np.zeros(len(tokens), dtype=np.int64)
        if len(self.token):
            found = self.token[np.minimum(left, len(self.token) - 1)] == tokens
            found = np.flatnonzero(found & present)
            copies[found] = np.searchsorted(self.token, tokens[found], side="right") - left[found]
        own = copies == 0
        times = np.where(own, 1, copies)
        row = np.repeat(np.arange(len(tokens)), times)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
        bucket = bucket_of(tokens[row], buckets)
        listed = ~own[row]
        bucket[listed] = self.bucket[left[row[listed]] + nth[listed]]
        return row, bucket, nth == 0

    def save(self, folder: Path) -> None:
        """Leave them for all workers."""
        _save(folder, "routes", self.token, self.bucket)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` left, read from the disk as it is needed."""
        return cls(*_loaded(folder, "routes"))


@dataclass(frozen=True)
class Pairs:
    """Distinct (virtual card, home) pairs of one bucket of virtual cards.

    A virtual card that is some transaction's physical card too is at home in its own bucket also.
    """

    card: Ints
    home: Ints

    @classmethod
    def distinct(cls, card: Ints, home: Ints, physical: Ints) -> Pairs:
        """Of all pairs read and the physical cards of the same bucket."""
        both = np.intersect1d(card, physical)
        card, home = np.concatenate([card, both]), np.concatenate([home, both])
        order = np.lexsort((home, card))
        card, home = card[order], home[order]
        fresh = np.ones(len(card), dtype=np.bool_)
        fresh[1:] = (card[1:] != card[:-1]) | (home[1:] != home[:-1])
        return cls(card[fresh], home[fresh])

    @classmethod
    def together(cls, parts: Iterable[Pairs]) -> Pairs:
        """The pairs of all buckets."""
        cards, homes = zip(*((part.card, part.home) for part in parts), strict=True)
        return cls(np.concatenate(cards), np.concatenate(homes))

    def routes(self, buckets: int) -> Routes:
        """Every bucket in which some transaction has the card."""
        token, bucket = _distinct(self.card, bucket_of(self.home, buckets))
        _, card, places = np.unique(token, return_inverse=True, return_counts=True)
        useful = (bucket != bucket_of(token, buckets)) | (places[card] > 1)
        return Routes(token[useful], bucket[useful])

    def first(self) -> Pairs:
        """One home for each card."""
        card, at = np.unique(self.card, return_index=True)
        return Pairs(card, self.home[at])

    def links(self) -> tuple[Ints, Ints]:
        """The homes that a card joins, as edges."""
        same = np.flatnonzero(self.card[1:] == self.card[:-1])
        return self.home[same], self.home[same + 1]


@dataclass(frozen=True)
class Moves:
    """Homes that lie in another bucket than their own token's; ``home`` is sorted."""

    home: Ints
    bucket: Buckets

    @classmethod
    def nowhere(cls) -> Moves:
        """None at all."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint16))

    def of(self, homes: Ints, buckets: int) -> Buckets:
        """The bucket of each home."""
        bucket = bucket_of(homes, buckets)
        if not len(self.home):
            return bucket
        at = np.minimum(np.searchsorted(self.home, homes), len(self.home) - 1)
        return np.where(self.home[at] == homes, self.bucket[at], bucket)

    def save(self, folder: Path) -> None:
        """Leave them for all workers."""
        _save(folder, "moves", self.home, self.bucket)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` left, read from the disk as it is needed."""
        return cls(*_loaded(folder, "moves"))


def moves(links: Sequence[tuple[Ints, Ints]], buckets: int) -> Moves:
    """Put all homes that these edges join into one bucket, that of the smallest."""
    left, right = (np.concatenate(ends) for ends in zip(*links, strict=True))
    home, root = joined(left, right)
    bucket = bucket_of(root, buckets)
    moved = bucket != bucket_of(home, buckets)
    return Moves(home[moved], bucket[moved])


def joined(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Every home at an edge, sorted, and the smallest of all that hang together with it."""
    home, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    one, other = ends[: len(left)], ends[len(left) :]
    root = np.arange(len(home))
    while (root[one] != root[other]).any():
        low = np.minimum(root[one], root[other])
        np.minimum.at(root, root[one], low)
        np.minimum.at(root, root[other], low)
        while (root[root] != root).any():
            root = root[root]
    return home, home[root]


def joined_routes(pairs: Pairs, moved: Moves, buckets: int) -> Routes:
    """The one bucket of every virtual card, and of every physical card that moved."""
    token = np.concatenate([pairs.card, moved.home])
    bucket = np.concatenate([moved.of(pairs.home, buckets), moved.bucket])
    token, bucket = _distinct(token, bucket)
    away = bucket != bucket_of(token, buckets)
    return Routes(token[away], bucket[away])


def _distinct(token: Ints, bucket: Buckets) -> tuple[Ints, Buckets]:
    order = np.lexsort((bucket, token))
    token, bucket = token[order], bucket[order]
    fresh = np.ones(len(token), dtype=np.bool_)
    fresh[1:] = (token[1:] != token[:-1]) | (bucket[1:] != bucket[:-1])
    return token[fresh], bucket[fresh]


def _mixed(one: Ints, other: Ints) -> Ints:
    mixed = (one.view(np.uint64) ^ (other.view(np.uint64) * _MIX)) * _MIX
    return (mixed ^ (mixed >> np.uint64(29))).view(np.int64)


def _save(folder: Path, name: str, tokens: Ints, buckets: Buckets) -> None:
    np.save(folder / f"{name}-tokens.npy", tokens)
    np.save(folder / f"{name}-buckets.npy", buckets)


def _loaded(folder: Path, name: str) -> list[NDArray[Any]]:
    files = (folder / f"{name}-tokens.npy", folder / f"{name}-buckets.npy")
    return [np.load(file, mmap_mode="r") for file in files]
