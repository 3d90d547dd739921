"""Gathers one slot of one table from all buckets and writes it in sheet order. Runs in a worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lib.engines import result_files, result_tables

if TYPE_CHECKING:
    from lib.engines.job import Job


@dataclass(frozen=True)
class Gathering:
    """The batches (bucket, number) of a table that make one file of the result."""

    table: str
    slot: int
    batches: tuple[tuple[int, int], ...]
    path: Path


def gather(job: Job, asked: Gathering) -> int:
    """Write the file and return its rows."""
    found = []
    for bucket, number in asked.batches:
        with pa.OSFile(str(job.matched(bucket, asked.table))) as file:
            found.append(pa.Table.from_batches([pa.ipc.open_file(file).get_batch(number)]))
    table = pa.concat_tables(found).combine_chunks()
    del found
    table = result_tables.arranged(asked.table, table)
    result_files.write_piece(asked.path, table)
    return len(table)
