"""The least Streamlit page of a long table, which `benchmarks.load` holds the dashboard against.

Fifty of N rows (``BARE_ROWS``) of the dashboard's columns and a pager, in one fragment.
"""

import os

import numpy as np
import pyarrow as pa
import streamlit as st

PAGE_ROWS = 50


@st.cache_resource
def table(rows: int) -> pa.Table:
    """Eleven columns of texts and numbers."""
    number = pa.array(np.arange(rows) % 100_000)
    card = number.cast(pa.string())
    words = ("num_cpf", "num_cartao", "num_cartao_virtual", "des_log", "cod_resposta", "tipo_match")
    numbers = ("data_transa", "hora_transa", "vlr_total", "des_cnpj_reduzido", "dif_segundos")
    return pa.table(dict.fromkeys(words, card) | dict.fromkeys(numbers, number))


@st.fragment
def page(rows: pa.Table) -> None:
    """Draw one page."""
    number = st.pagination(-(-len(rows) // PAGE_ROWS), key="pagina")
    st.dataframe(rows.slice((number - 1) * PAGE_ROWS, PAGE_ROWS), hide_index=True)


page(table(int(os.environ["BARE_ROWS"])))
