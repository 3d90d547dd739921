"""Read both sources in one of several ways, in a process started by `benchmarks.extract`.

``product`` is the product's extraction, ``read_sql`` pandas; ``masked`` and ``plain`` are psql
copying to nowhere, with the product's statements and with the default queries. Prints the seconds
of reading, without the imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy

from benchmarks import data
from lib.config import loader
from lib.database import column_types, copy_reader, sessions, source_query
from lib.domain import requests


def main() -> None:
    """Read once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--psql", type=Path, required=True)
    options = parser.parse_args()
    settings = loader.load(options.config)
    window = requests.Window(settings.default_merchant, data.START, data.END)
    print(WAYS[options.way](settings, window, options.psql))


def _product(settings: loader.Settings, window: requests.Window, _: Path) -> float:
    began = time.perf_counter()
    copy_reader.extract(settings, window)
    return time.perf_counter() - began


def _read_sql(settings: loader.Settings, window: requests.Window, _: Path) -> float:
    began = time.perf_counter()
    frames = []
    for side in requests.SIDES:
        query = sqlalchemy.text(source_query.load(settings, side))
        pool = sessions.pool(settings, side)
        engine = sqlalchemy.create_engine("postgresql+psycopg2://", pool=pool)
        frames.append(pd.read_sql(query, engine, params=window.parameters))
    return time.perf_counter() - began


def _masked(settings: loader.Settings, window: requests.Window, psql: Path) -> float:
    def select(cursor: Any, side: requests.Side) -> bytes:
        layout = column_types.examine(cursor, settings, side, window)
        return copy_reader.masked_select(cursor, settings, side, window, layout, clear=False)

    return _copied(settings, psql, select)


def _plain(settings: loader.Settings, window: requests.Window, psql: Path) -> float:
    def select(cursor: Any, side: requests.Side) -> bytes:
        return source_query.render(
            cursor, side, source_query.load(settings, side), window.parameters
        )

    return _copied(settings, psql, select)


WAYS = {"product": _product, "read_sql": _read_sql, "masked": _masked, "plain": _plain}


def _copied(
    settings: loader.Settings, psql: Path, select: Callable[[Any, requests.Side], bytes]
) -> float:
    """Seconds for psql to copy both sides to nowhere in parallel."""
    statements = {}
    for side in requests.SIDES:
        with sessions.session(settings, side) as cursor:
            statements[side] = b"COPY (" + select(cursor, side) + b") TO STDOUT (FORMAT binary);"
    began = time.perf_counter()
    processes = []
    for side, statement in statements.items():
        source = sessions.source_of(settings, side)
        arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", source.host, "-p", str(source.port)]
        process = subprocess.Popen(
            [psql, *arguments, "-U", source.user, "-d", source.database, "-f", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # The embedded server has no usable locales; give psql none either.
            env=os.environ | {"LC_ALL": "C", "PGCLIENTENCODING": "UTF8"},
        )
        assert process.stdin is not None  # noqa: S101
        process.stdin.write(statement)
        process.stdin.close()
        processes.append(process)
    failures = [process.wait() for process in processes]
    if any(failures):
        raise SystemExit("psql failed")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
