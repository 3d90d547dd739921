"""Transações consolidadas: every matched purchase, with its log."""

from lib.analysis import table_schemas
from lib.domain import columns as c
from lib.ui import page, record_details, tables

view = page.open_page("consolidated")
tables.show(
    view.dataset, table_schemas.CONSOLIDATED, (c.TIPO_MATCH, c.COD_RESPOSTA), record_details.pair
)
