"""The job with ADBC, polars and xlsxturbo, as an expert in them would write it today.

Runs in an interpreter that has `requirements-peers.txt`. Uses nothing of the product but its
configuration file and default queries. Masks nothing, keeps no record, checks no balance.
"""

from __future__ import annotations

import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import adbc_driver_postgresql.dbapi
import polars as pl
import xlsxturbo

QUERIES = Path(__file__).resolve().parent.parent / "lib" / "database" / "sql"
PURCHASE = ["num_cpf", "num_cartao", "data_transa", "hora_transa", "vlr_total"]
FORMATS = {
    "data": {"num_format": "dd/mm/yyyy"},
    "data_transa": {"num_format": "dd/mm/yyyy"},
    "hora": {"num_format": "hh:mm:ss"},
    "hora_transa": {"num_format": "hh:mm:ss"},
    "vlr_total": {"num_format": "#,##0.00"},
}
# The raw line is left out, and amounts and times come as numbers: no text is parsed afterwards.
COLUMNS = {
    "transactions": "num_cpf, num_cartao, CASE WHEN length(num_cartao_virtual) > 19"
    " THEN substr(num_cartao_virtual, 7) ELSE num_cartao_virtual END AS num_cartao_virtual,"
    " data_transa, extract(epoch FROM hora_transa)::int AS hora_transa,"
    " vlr_total::float8 AS vlr_total, des_cnpj_reduzido",
    "auth_logs": "num_cartao, data, extract(epoch FROM hora)::int AS hora, cod_resposta, des_log",
}


def read(config: dict, side: str, values: dict[str, str]) -> pl.DataFrame:
    """The rows of one side's default query."""
    source = config[side]
    query = (QUERIES / f"{side}.sql").read_text()
    for name in sorted(values, key=len, reverse=True):
        query = query.replace(f":{name}", values[name])
    uri = (
        f"postgresql://{source['user']}@/{source['database']}"
        f"?host={source['host']}&port={source['port']}"
    )
    with (
        adbc_driver_postgresql.dbapi.connect(uri) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"SELECT {COLUMNS[side]} FROM ({query}) AS q")
        return pl.from_arrow(cursor.fetch_arrow_table())


def instant(day: str, time: str) -> pl.Expr:
    """Seconds since 1970."""
    return pl.col(day).cast(pl.Int32).cast(pl.Int64) * 86_400 + pl.col(time)


def nearest(transactions: pl.DataFrame, logs: pl.DataFrame, card: str, kind: str) -> pl.DataFrame:
    """Pair each transaction with the nearest log of this card."""
    return (
        transactions.drop_nulls(card)
        .join_asof(
            logs,
            left_on="moment",
            right_on="log_moment",
            by_left=card,
            by_right="num_cartao_log",
            strategy="nearest",
            check_sortedness=False,
        )
        .drop_nulls("cod_resposta")
        .with_columns(  # fmt: skip
            pl.lit(kind).alias("tipo_match"),
            (pl.col("log_moment") - pl.col("moment")).alias("dif_segundos"),
        )
    )


def main(config_file: str, start: str, end: str, output: str) -> None:
    """Read, match by physical and by virtual card, and write both sheets."""
    config = tomllib.loads(Path(config_file).read_text())["aggregator"]
    merchant = next(iter(config["merchants"]))
    values = {
        "start": f"date '{start}'",
        "end": f"date '{end}'",
        "merchant": f"'{merchant}'",
        "merchant_field": f"'{merchant.rjust(15, '0')}'",
    }
    with ThreadPoolExecutor(2) as pool:
        reads = [pool.submit(read, config, side, values) for side in COLUMNS]
        transactions, logs = (done.result() for done in reads)

    transactions = (
        transactions.with_row_index("row")
        .with_columns(instant("data_transa", "hora_transa").alias("moment"))
        .sort("moment")
    )
    answers = (
        logs.with_columns(instant("data", "hora").alias("log_moment"))
        .sort("log_moment")
        .rename({"num_cartao": "num_cartao_log"})
        .drop("data", "hora")
    )
    approved = pl.col("cod_resposta") == "00"
    pairs = pl.concat(
        nearest(transactions, answers.filter(condition), card, kind)
        for condition in (approved, ~approved)
        for card, kind in (("num_cartao", "físico"), ("num_cartao_virtual", "virtual"))
    )
    consolidated = (
        pairs.sort(~approved, pl.col("dif_segundos").abs(), "log_moment", "tipo_match", "row")
        .unique(PURCHASE, keep="first", maintain_order=True)
        .sort("data_transa", "hora_transa")
        .with_columns(pl.col("hora_transa") / 86_400)
        .drop("row", "moment", "log_moment")
    )
    known = pl.concat(
        transactions.select(pl.col(card).alias("num_cartao"))
        for card in ("num_cartao", "num_cartao_virtual")
    )
    divergences = (
        logs.join(known, on="num_cartao", how="anti")
        .sort("data", "hora")
        .with_columns(pl.col("hora") / 86_400)
    )
    sheets = {"Divergentes": divergences, "Transacoes Consolidadas": consolidated}
    xlsxturbo.dfs_to_xlsx(
        [
            (table, name, {"column_formats": {k: v for k, v in FORMATS.items() if k in table}})
            for name, table in sheets.items()
        ],
        output,
        freeze_panes=True,
        autofilter=True,
        constant_memory=True,
        compression_level=1,
    )
    print(len(consolidated), len(divergences))


if __name__ == "__main__":
    main(*sys.argv[1:])
