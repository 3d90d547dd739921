"""Synthetic purchases for tests of the engines, runs of an engine, and digests of results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lib.config import defaults, loader
from lib.config.settings import Settings
from lib.domain.reconciliation import Reconciliation
from lib.engines import parquet_result, result_tables, result_writer, runner
from lib.engines.parquet_result import Result
from tests.support.command import soon

if TYPE_CHECKING:
    from lib.domain.requests import Progress, Request, Side
    from lib.engines.sizing import Kind
    from tests.support.servers import Databases

MERCHANT = "12345678000190"
START, END = date(2026, 2, 10), date(2026, 2, 16)

# Card numbers come from small ranges, which gives hot cards, ties in one second, copies of
# purchases, virtual cards shared by two physical ones and virtual cards that are also physical.
_TRANSACTIONS = """
INSERT INTO transactions
SELECT CASE WHEN i % 997 = 0 THEN NULL WHEN i % 3 = 0 THEN '400000' || lpad((i % 50)::text, 8, '0')
            ELSE '400000' || lpad((i % {cards})::text, 8, '0') END,
       date '2026-02-10' + (i % 7)::int, time '12:00' + (i * 7919 % 3600) * interval '1 second',
       '{merchant}',
       CASE i % 11 WHEN 0 THEN '409999' || lpad((i % {cards} / 2)::text, 8, '0')
                   WHEN 1 THEN 'VC0001' || '5099990000' || lpad((i % {cards})::text, 8, '0')
                   WHEN 2 THEN '400000' || lpad(((i + 1) % {cards})::text, 8, '0') END,
       (i % 5)::numeric
FROM (SELECT i / (CASE WHEN i % 50 = 49 THEN 2 ELSE 1 END) AS i
      FROM generate_series(1::bigint, {rows}) AS i) AS s
"""
_CARDS = """
INSERT INTO customer_cards
SELECT lpad((i / 2)::text, 11, '0'), '400000' || lpad(i::text, 8, '0')
FROM generate_series(0::bigint, {cards}) AS i
"""
_LOGS = """
INSERT INTO authentication.transaction_logs
SELECT CASE WHEN i % 991 = 0 THEN '' WHEN i % 3 = 0 THEN '400000' || lpad((i % 50)::text, 8, '0')
            WHEN i % 11 = 1 THEN '5099990000' || lpad((i % {cards})::text, 8, '0')
            WHEN i % 11 = 0 THEN '409999' || lpad((i % {cards} / 2)::text, 8, '0')
            WHEN i % 13 = 0 THEN '411111' || lpad((i % {cards})::text, 8, '0')
            ELSE '400000' || lpad((i % {cards})::text, 8, '0') END,
       date '2026-02-10' + (i % 7)::int,
       CASE WHEN i % 500 = 3 THEN NULL
            ELSE time '12:00' + ((i * 7919 % 3600) + i % 9) * interval '1 second' END,
       CASE WHEN i % 10 = 0 THEN '51' WHEN i % 1000 = 7 THEN NULL ELSE '00' END,
       CASE WHEN i % 2 = 0 THEN 'Aprovada' ELSE 'Aprovada com senha' END,
       '0' || '{merchant}'
FROM generate_series(1::bigint, {rows}) AS i
"""


def fill(databases: Databases, rows: int) -> None:
    """Insert this many purchases and this many logs."""
    values = {"rows": rows, "cards": max(rows // 5, 60), "merchant": MERCHANT}
    databases.execute("transactions", _CARDS.format(**values))
    databases.execute("transactions", _TRANSACTIONS.format(**values))
    databases.execute("auth_logs", _LOGS.format(**values))


@contextmanager
def reload_at(databases: Databases, stage: Side, rows: int) -> Iterator[Progress]:
    """Yield a progress callback that reloads this side by TRUNCATE as its read begins.

    The reload waits for the locks of the exported snapshot before the first share is read; the
    block ends when it has committed.
    """
    table, insert = {
        "transactions": ("transactions", _TRANSACTIONS),
        "auth_logs": ("authentication.transaction_logs", _LOGS),
    }[stage]
    values = {"rows": rows, "cards": max(rows // 5, 60), "merchant": MERCHANT}
    statements = f"TRUNCATE {table}; {insert.format(**values)}"
    reloads: list[Future[Any]] = []

    def waits() -> bool:
        [(waiting,)] = databases.execute(
            stage,
            f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass",
        )
        return bool(waiting)

    with ThreadPoolExecutor(1) as pool:

        def begin(reached: str, _: int) -> None:
            if reached == stage and not reloads:
                reloads.append(pool.submit(databases.execute, stage, statements))
                assert soon(waits)

        yield begin
        assert reloads[0].result(60) == []


def settings(
    databases: Databases, folder: Path, transactions_query: Path | None = None, **engine: Any
) -> Settings:
    """A configuration with an engine that stages in this folder."""
    engine = {"workers": 1, "memory_limit": "200 MB", "staging_dir": str(folder)} | engine
    values = {**databases.values, "engine": engine}
    if transactions_query is not None:
        values["transactions"] = values["transactions"] | {"query_file": str(transactions_query)}
    return loader.from_values(values, "teste", {})


def request(configured: Settings, rule: str, *, today: date = END) -> Request:
    """A request for the whole period by this rule."""
    return defaults.request(configured, today, start=START, end=END, rule=rule)


def run(
    configured: Settings,
    request: Request,
    target: Path,
    kind: Kind = "chunked",
    *,
    clear: bool = False,
    progress: Progress = lambda stage, rows: None,
) -> Result:
    """Publish a result without workbooks."""
    with (
        runner.matched(configured, request, kind, clear=clear, progress=progress) as matching,
        result_writer.sealed(matching, target, progress) as draft,
    ):
        draft.publish()
    return parquet_result.open_result(target)


def table_of(result: Reconciliation | Result, name: str) -> pa.Table:
    """A table in sheet order, dictionaries as plain texts."""
    if isinstance(result, Result):
        table = result.page(name, 0, result.rows(name))
    else:
        table = result_tables.rows_of(result, name)
    plain = {
        n: table[n].cast(pa.string()) if pa.types.is_dictionary(table[n].type) else table[n]
        for n in table.column_names
    }
    return pa.table(plain).combine_chunks()


def digest(result: Reconciliation | Result) -> dict[str, str]:
    """A digest of all cells of each table, independent of the order of rows."""
    return {
        name: hashlib.sha256(
            "\n".join(sorted(map(repr, table_of(result, name).to_pylist()))).encode()
        ).hexdigest()
        for name in result_tables.NAMES
    }


def write_config(databases: Databases, path: Path) -> None:
    """Write the databases to a configuration file, for processes that load it themselves."""
    lines = ["[aggregator.merchants]", f'{MERCHANT} = "Loja Exemplo"']
    for side in ("transactions", "auth_logs"):
        source: dict[str, Any] = databases.values[side]
        lines += [f"[aggregator.{side}]", *(f"{k} = {json.dumps(v)}" for k, v in source.items())]
    path.write_text("\n".join(lines))
