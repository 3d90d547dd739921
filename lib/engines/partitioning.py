"""Assign records to buckets, so that every bucket can be matched independently.

The home of a transaction is its purchase's physical card; a log is needed in every bucket where a
transaction has its card. Under rule `card` it is copied to each of them. Under rule `card_time` it
pairs with one transaction only, so cards that share a transaction are first put in one bucket.
Works on arrays only; the results are saved as files for all workers.
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
    import pyarrow as pa
    from numpy.typing import NDArray

    from lib.domain.column_arrays import Bools, Ints

    Buckets = NDArray[np.uint16]

_MIX = np.uint64(0x9E3779B97F4A7C15)


def bucket_of(tokens: Ints, buckets: int) -> Buckets:
    """The bucket of each token; tokens are hashes, so they are evenly spread."""
    return (tokens.view(np.uint64) % np.uint64(buckets)).astype(np.uint16)


def homes(transactions: pa.Table) -> Ints:
    """The home of each transaction, equal for all copies of a purchase.

    It is the token of the physical card or, without one, a hash of the holder and the instant.
    """
    card, present = column_arrays.token(transactions, c.TOKEN_CARTAO)
    if present.all():
        return card
    holder, _ = column_arrays.token(transactions, c.TOKEN_CPF)
    instant = column_arrays.instants(transactions, c.DATA_TRANSA, c.HORA_TRANSA).sheet_order
    return np.where(present, card, _mixed(holder, instant))


def log_homes(auth_logs: pa.Table) -> tuple[Ints, Bools]:
    """(home, present) of each log; logs without a card match nothing and are spread evenly."""
    card, present = column_arrays.token(auth_logs, c.TOKEN_CARTAO)
    if present.all():
        return card, present
    instant = column_arrays.instants(auth_logs, c.DATA, c.HORA).sheet_order
    return np.where(present, card, _mixed(card, instant)), present


@dataclass(frozen=True)
class Routes:
    """Cards whose logs go to a bucket other than their own token's, or to several.

    ``token`` is sorted and has a card once for each of its buckets.
    """

    token: Ints
    bucket: Buckets

    @classmethod
    def merged(cls, parts: Iterable[Routes]) -> Routes:
        """The routes of all buckets, sorted."""
        tokens, buckets = zip(*((part.token, part.bucket) for part in parts), strict=True)
        token, bucket = np.concatenate(tokens), np.concatenate(buckets)
        order = np.lexsort((bucket, token))
        return cls(token[order], bucket[order])

    def of(self, tokens: Ints, present: Bools, buckets: int) -> tuple[Ints, Buckets, Bools]:
        """(row, bucket, first) of every copy of the rows; exactly one copy of each is the first."""
        left = np.searchsorted(self.token, tokens, side="left")
        routes = np.zeros(len(tokens), dtype=np.int64)
        if len(self.token):
            routed = self.token[np.minimum(left, len(self.token) - 1)] == tokens
            routed = np.flatnonzero(routed & present)
            routes[routed] = np.searchsorted(self.token, tokens[routed], side="right")
            routes[routed] -= left[routed]
        copies = np.maximum(routes, 1)
        row = np.repeat(np.arange(len(tokens)), copies)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(copies) - copies, copies)
        bucket = bucket_of(tokens[row], buckets)
        listed = routes[row] > 0
        bucket[listed] = self.bucket[left[row[listed]] + nth[listed]]
        return row, bucket, nth == 0

    def save(self, folder: Path) -> None:
        """Write the routes for all workers."""
        _save(folder, "routes", self.token, self.bucket)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the saved routes into memory."""
        return cls(*_loaded(folder, "routes"))


@dataclass(frozen=True)
class Pairs:
    """Distinct (virtual card, home) pairs, of the virtual cards in one bucket.

    A virtual card that is also some transaction's physical card is additionally its own home.
    """

    card: Ints
    home: Ints

    @classmethod
    def distinct(cls, card: Ints, home: Ints, physical: Ints) -> Pairs:
        """Remove repeated pairs, given the physical cards of the same bucket."""
        both = column_arrays.common(card, physical)
        return cls(*_distinct(np.concatenate([card, both]), np.concatenate([home, both])))

    @classmethod
    def merged(cls, parts: Iterable[Pairs]) -> Pairs:
        """The pairs of all buckets."""
        cards, homes = zip(*((part.card, part.home) for part in parts), strict=True)
        return cls(np.concatenate(cards), np.concatenate(homes))

    def routes(self, buckets: int) -> Routes:
        """The buckets in which some transaction has the card."""
        token, bucket = _distinct(self.card, bucket_of(self.home, buckets))
        _, card, counts = np.unique(token, return_inverse=True, return_counts=True)
        needed = (bucket != bucket_of(token, buckets)) | (counts[card] > 1)
        return Routes(token[needed], bucket[needed])

    def first(self) -> Pairs:
        """The first home of each card."""
        card, index = np.unique(self.card, return_index=True)
        return Pairs(card, self.home[index])

    def links(self) -> tuple[Ints, Ints]:
        """Edges between the homes that share a card."""
        same = np.flatnonzero(self.card[1:] == self.card[:-1])
        return self.home[same], self.home[same + 1]


@dataclass(frozen=True)
class Moves:
    """Homes assigned to another bucket than their own token's; ``home`` is sorted."""

    home: Ints
    bucket: Buckets

    @classmethod
    def none(cls) -> Moves:
        """Moves of no homes."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint16))

    def of(self, homes: Ints, buckets: int) -> Buckets:
        """The bucket of each home."""
        bucket = bucket_of(homes, buckets)
        if not len(self.home):
            return bucket
        index = np.minimum(np.searchsorted(self.home, homes), len(self.home) - 1)
        return np.where(self.home[index] == homes, self.bucket[index], bucket)

    def save(self, folder: Path) -> None:
        """Write the moves for all workers."""
        _save(folder, "moves", self.home, self.bucket)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the saved moves into memory."""
        return cls(*_loaded(folder, "moves"))


def moves(links: Sequence[tuple[Ints, Ints]], buckets: int) -> Moves:
    """Assign all homes that these edges connect to the bucket of the smallest of them."""
    left, right = (np.concatenate(ends) for ends in zip(*links, strict=True))
    home, root = components(left, right)
    bucket = bucket_of(root, buckets)
    moved = bucket != bucket_of(home, buckets)
    return Moves(home[moved], bucket[moved])


def components(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Connected components: (home, smallest home of its component) for every home, sorted."""
    home, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    from_, to = ends[: len(left)], ends[len(left) :]
    root = np.arange(len(home))
    while (root[from_] != root[to]).any():
        low = np.minimum(root[from_], root[to])
        np.minimum.at(root, root[from_], low)
        np.minimum.at(root, root[to], low)
        while (root[root] != root).any():
            root = root[root]
    return home, home[root]


def joined_routes(pairs: Pairs, moved: Moves, buckets: int) -> Routes:
    """The single bucket of every virtual card, and of every physical card that moved."""
    token = np.concatenate([pairs.card, moved.home])
    bucket = np.concatenate([moved.of(pairs.home, buckets), moved.bucket])
    token, bucket = _distinct(token, bucket)
    moved_away = bucket != bucket_of(token, buckets)
    return Routes(token[moved_away], bucket[moved_away])


def _distinct(token: Ints, value: NDArray[Any]) -> tuple[Ints, NDArray[Any]]:
    """The distinct (token, value) pairs, sorted."""
    order = np.lexsort((value, token))
    token, value = token[order], value[order]
    distinct = np.ones(len(token), dtype=np.bool_)
    distinct[1:] = (token[1:] != token[:-1]) | (value[1:] != value[:-1])
    return token[distinct], value[distinct]


def _mixed(left: Ints, right: Ints) -> Ints:
    """A hash of two numbers."""
    mixed = (left.view(np.uint64) ^ (right.view(np.uint64) * _MIX)) * _MIX
    return (mixed ^ (mixed >> np.uint64(29))).view(np.int64)


def _save(folder: Path, name: str, tokens: Ints, buckets: Buckets) -> None:
    np.save(folder / f"{name}-tokens.npy", tokens)
    np.save(folder / f"{name}-buckets.npy", buckets)


def _loaded(folder: Path, name: str) -> list[NDArray[Any]]:
    files = (folder / f"{name}-tokens.npy", folder / f"{name}-buckets.npy")
    return [np.load(file, mmap_mode="r") for file in files]
