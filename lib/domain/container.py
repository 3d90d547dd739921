"""The memory and the processors that this process may use, on a machine or in a container.

Reads the limits of its control groups (version 2 and version 1) and its processor affinity. A limit
that cannot be read is no limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

_ROOT: Final = Path("/")
_V2: Final = ""
"""The controllers of version 2 stand together, under no name."""
_UNKNOWN: Final = "0::/\n1:memory:/\n2:cpu:/"
"""The groups of a process that may not know them: a container's own are at the root."""


def memory_bytes(root: Path = _ROOT) -> int:
    """The machine's memory, or the container's limit if that is less."""
    limits = (limit for _, limit, _, _ in _memory(root))
    return int(min([psutil.virtual_memory().total, *limits]))


def free_bytes(root: Path = _ROOT) -> int | None:
    """Memory in bytes below the limits, plus what the kernel can reclaim; None without a limit."""
    free = [
        limit - max(_number(folder / used) or 0, 0) + (_entry(folder / "memory.stat", name) or 0)
        for folder, limit, used, name in _memory(root)
    ]
    return min(free, default=None)


def processors(root: Path = _ROOT) -> int:
    """The processors that this process may use at once, at least one."""
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        count = min(count, len(os.sched_getaffinity(0)))
    for quota, period in _quotas(root):
        if quota > 0 and period > 0:
            count = min(count, -(-quota // period))
    return max(count, 1)


@cache  # the limits stay, and are asked for with every block that is read
def _memory(root: Path) -> tuple[tuple[Path, int, str, str], ...]:
    """Each limit: its folder, its bytes, and the names of its use and of its reclaimable part."""
    limits = []
    for controller, limit_names, used, reclaimable in (
        # Above the high limit a group is not killed, but slowed down until it hardly runs.
        (_V2, ("memory.max", "memory.high"), "memory.current", "inactive_file"),
        ("memory", ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for folder in _folders(root, controller):
            stated = [_number(folder / name) for name in limit_names]
            # In a container, the groups of version 1 above its own are out of sight.
            stated.append(_entry(folder / "memory.stat", "hierarchical_memory_limit"))
            # Version 1 writes "no limit" as a number beyond any memory.
            total = psutil.virtual_memory().total
            limits += [
                (folder, limit, used, reclaimable)
                for limit in stated
                if limit is not None and 0 < limit < total
            ]
    return tuple(limits)


def _quotas(root: Path) -> Iterator[tuple[int, int]]:
    """Each limit of processor time: microseconds in a period of microseconds."""
    for folder in _folders(root, _V2):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota), int(period)
    for folder in _folders(root, "cpu"):
        limit, length = (_number(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if limit is not None and length is not None:
            yield limit, length


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """This process's group of the controller, and the groups above it."""
    groups = _text(root / "proc/self/cgroup") or _UNKNOWN
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        names, _, group = rest.partition(":")
        if controller not in names.split(","):
            continue
        mount = root / "sys/fs/cgroup"
        mounts = (mount / names, mount / controller) if controller else (mount, mount / "unified")
        for base in dict.fromkeys(mounts):
            inner = base / group.strip("/")
            # In a container the group's own path may be the host's: its mount then is the group.
            yield from (f for f in (inner, *inner.parents) if f == base or base in f.parents)


def _entry(file: Path, name: str) -> int | None:
    for line in _text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return None


def _number(file: Path) -> int | None:
    with suppress(ValueError):  # empty, or "max"
        return int(_text(file))
    return None


def _text(file: Path) -> str:
    with suppress(OSError, ValueError):
        return file.read_text(encoding="utf-8", errors="surrogateescape").strip()
    return ""
