"""The job with DuckDB and its postgres and excel extensions, as an expert would write it today.

Runs in an interpreter that has `requirements-peers.txt`. Uses nothing of the product but its
configuration file and default queries. Masks nothing, keeps no record, checks no balance. The
excel extension writes one sheet a file: the divergences go into a second file.
"""

from __future__ import annotations

import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import duckdb

QUERIES = Path(__file__).resolve().parent.parent / "lib" / "database" / "sql"
# DuckDB needs no text of the raw line; amounts come as numbers of its own.
COLUMNS = {
    "transactions": "num_cpf, num_cartao, CASE WHEN length(num_cartao_virtual) > 19"
    " THEN substr(num_cartao_virtual, 7) ELSE num_cartao_virtual END AS num_cartao_virtual,"
    " data_transa, hora_transa, vlr_total::float8 AS vlr_total, des_cnpj_reduzido",
    "auth_logs": "num_cartao, data, hora, cod_resposta, des_log",
}
# An ASOF join finds one neighbour: the last log before and the first one behind, then the nearer.
NEAREST = """
INSERT INTO pairs
SELECT t.number, l.cod_resposta, l.des_log, '{kind}', l.moment,
       date_diff('second', t.moment, l.moment)
FROM transactions AS t ASOF JOIN auth_logs AS l
  ON l.num_cartao = t.{card} AND l.approved = {approved} AND t.moment {operator} l.moment
"""
CONSOLIDATED = """
SELECT num_cpf, num_cartao, num_cartao_virtual, data_transa, hora_transa, vlr_total,
       des_cnpj_reduzido, cod_resposta, des_log, tipo_match, dif_segundos
FROM (
    SELECT DISTINCT ON (num_cpf, num_cartao, data_transa, hora_transa, vlr_total) *
    FROM transactions JOIN pairs USING (number)
    ORDER BY num_cpf, num_cartao, data_transa, hora_transa, vlr_total,
             cod_resposta <> '00', abs(dif_segundos), log_moment, tipo_match, number
)
ORDER BY data_transa, hora_transa
"""
DIVERGENCES = """
SELECT num_cartao, data, hora, cod_resposta, des_log FROM auth_logs AS l
WHERE NOT EXISTS (FROM transactions AS t WHERE t.num_cartao = l.num_cartao)
  AND NOT EXISTS (FROM transactions AS t WHERE t.num_cartao_virtual = l.num_cartao)
ORDER BY data, hora
"""


def extension(name: str) -> str:
    """The file of an extension that was installed as a package."""
    folders = find_spec("duckdb_ext").submodule_search_locations
    return str(next(Path(folders[0]).rglob(f"{name}.duckdb_extension")))


def read(
    cursor: duckdb.DuckDBPyConnection, config: dict, side: str, values: dict[str, str]
) -> None:
    """Load the rows of one side's default query into a table."""
    source = config[side]
    query = (QUERIES / f"{side}.sql").read_text()
    for name in sorted(values, key=len, reverse=True):
        query = query.replace(f":{name}", values[name])
    where = " ".join(
        (f"host={source['host']} port={source['port']}",
         f"dbname={source['database']} user={source['user']}")
    )  # fmt: skip
    cursor.execute(f"ATTACH '{where}' AS {side}_server (TYPE postgres, READ_ONLY)")
    more = {
        "transactions": "row_number() OVER () AS number, data_transa + hora_transa AS moment",
        "auth_logs": "data + hora AS moment, coalesce(cod_resposta = '00', false) AS approved",
    }
    select = f"SELECT {COLUMNS[side]} FROM ({query}) AS q".replace("'", "''")
    cursor.execute(
        f"CREATE TABLE {side} AS SELECT *, {more[side]}"
        f" FROM postgres_query('{side}_server', '{select}')"
    )


def main(config_file: str, start: str, end: str, output: str) -> None:
    """Read, match by physical and by virtual card, and write both files."""
    config = tomllib.loads(Path(config_file).read_text())["aggregator"]
    merchant = next(iter(config["merchants"]))
    values = {
        "start": f"date '{start}'",
        "end": f"date '{end}'",
        "merchant": f"'{merchant}'",
        "merchant_field": f"'{merchant.rjust(15, '0')}'",
    }
    database = duckdb.connect(config={"allow_unsigned_extensions": True})
    for name in ("postgres_scanner", "excel"):
        database.execute(f"LOAD '{extension(name)}'")
    with ThreadPoolExecutor(2) as pool:
        cursors = {side: database.cursor() for side in COLUMNS}
        reads = [pool.submit(read, cursors[side], config, side, values) for side in COLUMNS]
        for done in reads:
            done.result()

    database.execute(
        "CREATE TABLE pairs (number BIGINT, cod_resposta VARCHAR, des_log VARCHAR,"
        " tipo_match VARCHAR, log_moment TIMESTAMP, dif_segundos BIGINT)"
    )
    for card, kind in (("num_cartao", "físico"), ("num_cartao_virtual", "virtual")):
        for approved in ("true", "false"):
            for operator in (">=", "<"):
                database.execute(
                    NEAREST.format(card=card, kind=kind, approved=approved, operator=operator)
                )
    sheets = {
        "Divergentes": (DIVERGENCES, Path(output).with_suffix(".divergentes.xlsx")),
        "Transacoes Consolidadas": (CONSOLIDATED, Path(output)),
    }
    counts = []
    for sheet, (select, path) in sheets.items():
        database.execute(f'CREATE TABLE "{sheet}" AS {select}')
        counts += database.execute(f'SELECT count(*) FROM "{sheet}"').fetchone()
        database.execute(
            f"COPY \"{sheet}\" TO '{path}' (FORMAT xlsx, HEADER true, SHEET '{sheet}')"
        )
    print(counts[1], counts[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
