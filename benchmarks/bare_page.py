"""The least Streamlit page of a long table, which `benchmarks.load` holds the dashboard against.

Fifty of N rows (``BARE_ROWS``) of the dashboard's columns and a pager, in one fragment.
"""

import os

import numpy as np
import pandas as pd
import streamlit as st

PAGE_ROWS = 50


@st.cache_resource
def table(rows: int) -> pd.DataFrame:
    """Eleven columns of texts and numbers."""
    number = pd.Series(np.arange(rows) % 100_000)
    card = number.astype(str)
    words = ("num_cpf", "num_cartao", "num_cartao_virtual", "des_log", "cod_resposta", "tipo_match")
    numbers = ("data_transa", "hora_transa", "vlr_total", "des_cnpj_reduzido", "dif_segundos")
    return pd.DataFrame(dict.fromkeys(words, card) | dict.fromkeys(numbers, number))


@st.fragment
def page(rows: pd.DataFrame) -> None:
    """Draw one page."""
    number = st.pagination(-(-len(rows) // PAGE_ROWS), key="pagina")
    st.dataframe(rows[(number - 1) * PAGE_ROWS : number * PAGE_ROWS], hide_index=True)


page(table(int(os.environ["BARE_ROWS"])))
