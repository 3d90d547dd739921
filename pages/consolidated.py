"""Transações consolidadas: every matched purchase, and the pair behind each."""

from lib import columns as c
from lib import listings
from lib.ui import details, frame, tables

view = frame.open_page("consolidated")
tables.show(view.dataset, listings.CONSOLIDATED, (c.TIPO_MATCH, c.COD_RESPOSTA), details.pair)
