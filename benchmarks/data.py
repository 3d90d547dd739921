"""The benchmarks' databases: N transactions and N logs of one merchant, on two embedded servers.

Five records a card, two of them with the card's virtual number (half of those stored with a
prefix); one record in a hundred is duplicated. One card in twenty has no log, and as many logs are
of unknown cards. Hot data put half of the records on a hundredth of the cards. The servers stay
under `.bench/`, with one pair of databases a size, filled once. Measures nothing.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from lib.config.loader import ROOT
from lib.demo import servers

FOLDER: Final = ROOT / ".bench"
MERCHANT: Final = "12345678000190"
START: Final = date(2026, 6, 1)
END: Final = date(2026, 6, 11)

_VERSION: Final = "3"
_SETTINGS: Final = "fsync = off\nmax_wal_size = 4GB"
_STAMP: Final = "SELECT obj_description('public'::regnamespace, 'pg_namespace')"

# Record i of a set of cards is number i / cards % 5 of card i % cards; a duplicate repeats the
# record before it on its card. Both sides derive everything from i.
_RECORDS: Final = """
CREATE TEMPORARY TABLE records AS
SELECT i, card, slot,
       CASE WHEN slot = 4 AND mod(card, 20) = 1 THEN i - step ELSE i END AS purchase
FROM (
    SELECT i, i AS number, %(cards)s AS cards, mod(i, %(cards)s) AS card, %(cards)s AS step
    FROM generate_series(0::bigint, %(rows)s - 1) AS i
    WHERE %(hot)s = 0
    UNION ALL
    SELECT i, i / 2, %(hot)s, mod(i / 2, %(hot)s), 2 * %(hot)s
    FROM generate_series(0::bigint, %(rows)s - 1, 2) AS i
    WHERE %(hot)s > 0
    UNION ALL
    SELECT i, i / 2, %(cards)s - %(hot)s, %(hot)s + mod(i / 2, %(cards)s - %(hot)s),
           2 * (%(cards)s - %(hot)s)
    FROM generate_series(1::bigint, %(rows)s - 1, 2) AS i
    WHERE %(hot)s > 0
) AS n, LATERAL (SELECT mod(number / cards, 5) AS slot) AS s;

CREATE FUNCTION pg_temp.physical(card bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['400000', '411111', '510510', '650487'])[mod(card / 5, 4) + 1]
           || lpad(mod(card * 387420489, 10000000000)::text, 10, '0')
$$;
CREATE FUNCTION pg_temp.virtual(card bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['409999', '529999'])[mod(card / 5, 2) + 1]
           || lpad(mod(card * 1977326743 + 7, 10000000000)::text, 10, '0')
$$;
CREATE FUNCTION pg_temp.instant(purchase bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
    SELECT timestamp '2026-06-01 01:00' + mod(purchase * 48271, 946000) * interval '1 second'
$$;
CREATE FUNCTION pg_temp.cents(purchase bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT mod(purchase * 7919, 100000) + 100
$$;
"""
_TRANSACTIONS: Final = """
INSERT INTO customer_cards
SELECT lpad(mod((card / 3 * 2 + mod(card, 2)) * 1162261467, 100000000000)::text, 11, '0'),
       pg_temp.physical(card)
FROM generate_series(0::bigint, %(cards)s - 1) AS card;

INSERT INTO transactions
SELECT pg_temp.physical(card), instant::date, instant::time, %(merchant)s,
       CASE WHEN slot IN (1, 3)
            THEN CASE WHEN mod(card, 2) = 0 THEN 'VC0001' ELSE '' END || pg_temp.virtual(card) END,
       pg_temp.cents(purchase) / 100.0
FROM records, LATERAL (SELECT pg_temp.instant(purchase) AS instant) AS t
ORDER BY mod(i * 7368787, %(rows)s);
"""
_AUTH_LOGS: Final = """
INSERT INTO authentication.transaction_logs
SELECT number, instant::date, instant::time, code,
       CASE WHEN code <> '00' THEN 'Saldo ou limite insuficiente'
            WHEN mod(i, 200) = 3 THEN 'Reapresentada para o cartão ' || number
            WHEN mod(i, 3) = 0 THEN 'Transação aprovada com senha'
            ELSE 'Transação aprovada' END,
       '0100' || rpad(number, 19) || '003000' || lpad(pg_temp.cents(purchase)::text, 12, '0')
       || to_char(instant, 'YYYYMMDDHH24MISS') || lpad(i::text, 10, '0')
       || '986T0000001' || lpad(%(merchant)s, 15, '0') || code || rpad('Loja Exemplo', 25)
FROM records,
    LATERAL (SELECT card + CASE WHEN mod(card, 20) = 0 THEN 1000000000 ELSE 0 END AS shown) AS a,
    LATERAL (SELECT CASE WHEN slot IN (1, 3) THEN pg_temp.virtual(shown)
                         ELSE pg_temp.physical(shown) END AS number,
                    pg_temp.instant(purchase) - interval '1 second'
                    * (CASE WHEN mod(i, 200) = 7 THEN 2400 ELSE mod(i, 9) - 2 END) AS instant,
                    CASE WHEN mod(card, 40) = 0 OR mod(i, 50) = 49 THEN '51' ELSE '00' END AS code
    ) AS l
ORDER BY mod(i * 7368787, %(rows)s);
"""
_FILLS: Final = {"transactions": _TRANSACTIONS, "auth_logs": _AUTH_LOGS}


@dataclass(frozen=True)
class DataSet:
    """A filled pair of databases and the configuration file that reads it."""

    rows: int
    config: Path
    psql: Path


def prepare(rows: int, *, hot: bool = False) -> DataSet:
    """Start the servers until this process ends, and fill this pair of databases if it is empty."""
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")
    name = f"bench_{rows}{'_hot' if hot else ''}"
    sources: dict[str, dict[str, Any]] = {}
    for side in servers.SIDES:
        server = servers.start_server(FOLDER / side.name, _SETTINGS)
        sources[side.name] = servers.create_database(server, name)
        _fill(side, sources[side.name], rows, hot)
    config = FOLDER / f"{name}.toml"
    config.write_text(_toml(sources, name))
    server = servers.get_server(FOLDER / servers.TRANSACTIONS.name, start=False)
    return DataSet(rows, config, server.bin_path / "psql")


def _fill(side: servers.Side, source: dict[str, Any], rows: int, hot: bool) -> None:
    cards = max(rows // 5, 2)
    parameters = {
        "rows": rows,
        "cards": cards,
        "hot": max(cards // 100, 1) if hot else 0,
        "merchant": MERCHANT,
    }
    with closing(servers.connect(source, database=source["database"])) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(_STAMP)
            if cursor.fetchone() == (_VERSION,):
                return
            cursor.execute(side.schema)
            cursor.execute(_RECORDS, parameters)
            cursor.execute(_FILLS[side.name], parameters)
            cursor.execute("COMMENT ON SCHEMA public IS %s", (_VERSION,))
        connection.autocommit = True
        with connection.cursor() as cursor:
            # Otherwise the first reader pays for setting the visibility of every row.
            cursor.execute("VACUUM (FREEZE, ANALYZE)")
            cursor.execute("CHECKPOINT")


def _toml(sources: dict[str, dict[str, Any]], name: str) -> str:
    # A history for each size: the cases of one would be judged by the runs of another.
    tables: dict[str, dict[str, Any]] = {
        "merchants": {MERCHANT: "Loja Exemplo"},
        **sources,
        "audit": {"path": str(FOLDER / "audit.jsonl")},
        "history": {"path": str(FOLDER / f"{name}_history.sqlite")},
    }
    lines = []
    for table, values in tables.items():
        lines.append(f"[aggregator.{table}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
