"""The baseline, a script as analysts write it: two reads, two merges, one workbook.

Uses nothing of the product but its configuration file and default queries.
"""

from __future__ import annotations

import sys
import tomllib
from datetime import date
from pathlib import Path

import pandas as pd
from sqlalchemy import URL, create_engine, text

QUERIES = Path(__file__).resolve().parent.parent / "lib" / "database" / "sql"
PURCHASE = ["num_cpf", "num_cartao", "data_transa", "hora_transa", "vlr_total"]


def read(config: dict, side: str, parameters: dict) -> pd.DataFrame:
    """The rows of one side's default query."""
    source = config[side]
    url = URL.create(
        "postgresql+psycopg2",
        username=source["user"],
        host=source["host"],
        port=source["port"],
        database=source["database"],
    )
    query = (QUERIES / f"{side}.sql").read_text()
    return pd.read_sql(text(query), create_engine(url), params=parameters)


def main(config_file: str, start: str, end: str, output: str) -> None:
    """Read, merge by physical and by virtual card, and write both sheets."""
    config = tomllib.loads(Path(config_file).read_text())["aggregator"]
    merchant = next(iter(config["merchants"]))
    parameters = {
        "start": date.fromisoformat(start),
        "end": date.fromisoformat(end),
        "merchant": merchant,
        "merchant_field": merchant.rjust(15, "0"),
    }
    transactions = read(config, "transactions", parameters)
    logs = read(config, "auth_logs", parameters)

    virtual_cards = transactions["num_cartao_virtual"]
    transactions["num_cartao_virtual"] = virtual_cards.where(
        virtual_cards.str.len() <= 19, virtual_cards.str[6:]
    )
    answers = logs.rename(columns={"num_cartao": "num_cartao_log"})[
        ["num_cartao_log", "cod_resposta", "des_log"]
    ]
    by_card = transactions.merge(answers, left_on="num_cartao", right_on="num_cartao_log")
    by_card["tipo_match"] = "físico"
    by_virtual = transactions.dropna(subset="num_cartao_virtual").merge(
        answers, left_on="num_cartao_virtual", right_on="num_cartao_log"
    )
    by_virtual["tipo_match"] = "virtual"
    consolidated = pd.concat([by_card, by_virtual]).drop(columns="num_cartao_log")
    consolidated = consolidated.drop_duplicates(subset=PURCHASE)
    consolidated = consolidated.sort_values(["data_transa", "hora_transa"])

    known = pd.concat([transactions["num_cartao"], transactions["num_cartao_virtual"]])
    divergences = logs[~logs["num_cartao"].isin(known)].sort_values(["data", "hora"])
    with pd.ExcelWriter(output, engine="openpyxl") as workbook:
        divergences.to_excel(workbook, sheet_name="Divergentes", index=False)
        consolidated.to_excel(workbook, sheet_name="Transacoes Consolidadas", index=False)
    print(len(consolidated), len(divergences))


if __name__ == "__main__":
    main(*sys.argv[1:])
