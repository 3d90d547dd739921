"""A query file to fill in: the columns of the contract, the parameters, and the tables there are.

For sites whose tables are not the default query's. Asks no database.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from lib.domain import columns as c

if TYPE_CHECKING:
    from lib.domain.requests import Side

TO_FILL_IN: Final = "???"
_MEANINGS: Final = {
    c.NUM_CPF: "CPF do cliente, texto de 11 algarismos; NULL onde não houver",
    c.NUM_CARTAO: "número do cartão, texto",
    c.NUM_CARTAO_VIRTUAL: "número do cartão virtual, texto; NULL onde não houver",
    c.DATA_TRANSA: "dia da transação, date",
    c.HORA_TRANSA: "hora da transação, time",
    c.VLR_TOTAL: "valor, numeric(12,2)",
    c.DES_CNPJ_REDUZIDO: "CNPJ do estabelecimento, texto de 14 caracteres",
    c.DATA: "dia do log, date",
    c.HORA: "hora do log, time",
    c.COD_RESPOSTA: "código de resposta, texto",
    c.DES_LOG: "mensagem do log, texto",
    c.DES_LINHA_RECEBIMENTO: "linha recebida, texto que contém o CNPJ",
}
_MERCHANT: Final = {
    "transactions": "??? = :merchant",
    "auth_logs": "strpos(???, :merchant_field) > 0",
}
_HEADING: Final = """\
-- Consulta para preencher: troque cada ??? por uma coluna, ou pela tabela, do seu banco.
-- Os nomes depois de AS ficam como estão. Quem preenche os parâmetros é o programa:
--   :start e :end          o primeiro e o último dia do período
--   :merchant              o CNPJ, 14 caracteres
--   :merchant_field        o CNPJ com zeros à esquerda, 15 caracteres
"""
# A name with other characters could end the comment, or look like a parameter.
_SHOWN: Final = re.compile(r"[\w .,()\[\]\"$-]+")


def template(side: Side, tables: Mapping[str, Sequence[str]]) -> str:
    """The SQL of this side with `TO_FILL_IN` for each name; ``tables`` have their columns."""
    names = c.TRANSACTIONS_QUERY if side == "transactions" else c.AUTH_LOGS_QUERY
    width = max(map(len, names)) + 1
    last = names[-1]
    columns = [
        f"       {TO_FILL_IN} AS {name + ('' if name == last else ','):{width}}"
        f"  -- {_MEANINGS[name]}"
        for name in names
    ]
    columns[0] = columns[0].replace("       ", "SELECT ", 1)
    where = [
        f"FROM {TO_FILL_IN}",
        f"WHERE {_MERCHANT[side]}",
        f"  AND {TO_FILL_IN} >= :start AND {TO_FILL_IN} < :end + 1",
    ]
    known = [f"--   {table} ({', '.join(names)})" for table, names in tables.items()]
    shown = [line for line in known if _SHOWN.fullmatch(line)]
    listed = ["", "-- Tabelas que este usuário pode ler:", *shown] if shown else []
    return "\n".join([_HEADING.rstrip(), *columns, *where, *listed, ""])
