"""What each long table is called, and what is said where it is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lib.analysis import table_schemas
from lib.domain import columns as c
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.analysis.table_schemas import Table


def placeholder(table: Table) -> str:
    """What may be searched for."""
    if table.side == "auth_logs":
        return t("Cartão, código ou texto do log")
    if c.DES_LOG in table.columns:
        return t("CPF, cartão, código ou texto do log")
    return t("CPF ou cartão")


def title(table: Table) -> str:
    """What the details of a row are called."""
    return {
        table_schemas.CONSOLIDATED.name: t("Transação e log"),
        table_schemas.DIVERGENCES.name: t("Log divergente"),
        table_schemas.WITHOUT_LOG.name: t("Transação sem log"),
        table_schemas.DUPLICATES.name: t("Duplicata removida"),
    }[table.name]


def none(table: Table) -> str:
    """That the table has no rows."""
    return {
        table_schemas.CONSOLIDATED.name: t("Nenhuma transação consolidada neste período."),
        table_schemas.DIVERGENCES.name: t("Nenhuma divergência neste período."),
        table_schemas.WITHOUT_LOG.name: t("Nenhuma transação sem log neste período."),
        table_schemas.DUPLICATES.name: t("Nenhuma duplicata removida neste período."),
    }[table.name]
