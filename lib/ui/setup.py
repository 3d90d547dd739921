"""The page that leads from the demonstration to one's own databases: steps, check, sign-in.

Explains and examines; takes no answer and shows no secret. `lib.cli.init` asks for the answers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.config import defaults
from lib.domain.requests import SIDES
from lib.ui import extraction_status, session_user, source_check
from lib.ui.formatting import plain
from lib.ui.i18n import t

if TYPE_CHECKING:
    from lib.config.settings import Source
    from lib.ui.app_state import Site
    from lib.ui.guard import Admission

LOGINS: Final = (
    "Peça ao administrador de cada banco um usuário que só possa ler as tabelas, e o arquivo da "
    "autoridade (CA) que assina o certificado do servidor. Estas instruções bastam:"
)
INIT: Final = (
    "Na pasta do projeto, rode o comando abaixo. Ele pergunta servidor, banco, usuário e senha dos "
    "dois lados, testa cada resposta, oferece os estabelecimentos que encontra e grava a "
    "configuração. Se as tabelas forem outras, ele escreve um arquivo de consulta para preencher."
)
START: Final = (
    "Inicie o painel de novo. Sem login, ele atende só o navegador deste computador; o comando "
    "diz o endereço."
)
SCHEDULE: Final = (
    "Agende a planilha de cada manhã com cron, systemd, launchd ou o Agendador de Tarefas: "
    "docs/scheduling/README.md."
)
IN_USE_DEMO: Final = "Em uso agora: a demonstração."
SIGN_IN_NEEDS: Final = (
    "Para atender outros computadores, o painel precisa de login (OpenID Connect) e de um proxy "
    "com TLS: docs/deployment.md. Em .streamlit/secrets.toml, a tabela [auth] tem cinco chaves; em "
    "[aggregator.access], cada pessoa ou grupo tem papéis e estabelecimentos."
)
SET: Final = "[auth] {key}: preenchida"
MISSING: Final = "[auth] {key}: falta"
PERMISSIONS: Final = "[aggregator.access]: pessoas: {people}; grupos: {groups}"

_INIT: Final = {
    "posix": "make .venv/run\n.venv/bin/python aggregator.py init",
    "nt": "py -m venv .venv\n"
    r".venv\Scripts\python -m pip install --require-hashes -r requirements.lock" + "\n"
    r".venv\Scripts\python aggregator.py init",
}
_START: Final = {"posix": "make run", "nt": r".venv\Scripts\python aggregator.py dashboard"}
_GRANTS: Final = """\
-- A
CREATE ROLE aggregator LOGIN PASSWORD '…';
GRANT CONNECT ON DATABASE transactions_db TO aggregator;
GRANT SELECT ON transactions, customer_cards TO aggregator;
-- B
CREATE ROLE aggregator LOGIN PASSWORD '…';
GRANT CONNECT ON DATABASE auth_logs_db TO aggregator;
GRANT USAGE ON SCHEMA authentication TO aggregator;
GRANT SELECT ON authentication.transaction_logs TO aggregator;"""


def steps(system: str = os.name) -> None:
    """Draw the steps from two logins to one's own data, with the commands of this system."""
    for number, (text, code, language) in enumerate(
        (
            (t(LOGINS), _GRANTS, "sql"),
            (t(INIT), _INIT[system], "sh"),
            (t(START), _START[system], "sh"),
            (t(SCHEDULE), "", ""),
        ),
        1,
    ):
        st.markdown(f"**{number}.** {plain(text)}")
        if code:
            st.code(code, language=language)


def sources(site: Site, admission: Admission) -> None:
    """Draw both sides of the configuration in use, and the button that checks them together."""
    st.header(t("Configuração em uso"), anchor=False)
    if site.demo:
        st.caption(t(IN_USE_DEMO))
    names = extraction_status.side_names()
    for column, side in zip(st.columns(2), SIDES, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.markdown(f"**{plain(names[side])}**")
            _source(getattr(site.settings, side))
    request = defaults.request(site.settings, site.today, merchant=next(iter(admission.merchants)))
    source_check.check_request(site, request, admission.rights)


def sign_in(site: Site) -> None:
    """Draw what sign-in needs, and which of it there is."""
    st.header(t("Login para outros computadores"), anchor=False)
    st.markdown(plain(t(SIGN_IN_NEEDS)))
    for key, present in session_user.sign_in_keys().items():
        st.text(t(SET, key=key) if present else t(MISSING, key=key))
    access = site.settings.access
    st.text(t(PERMISSIONS, people=len(access.people), groups=len(access.groups)))


def _source(source: Source) -> None:
    verified = t("conferida") if source.verified else t("não conferida")
    own = t("própria (query_file)") if source.query_file else t("padrão")
    for label, value in (
        (t("Servidor"), f"{source.host}:{source.port}"),
        (t("Banco de dados"), source.database),
        (t("Identidade do servidor"), t("neste computador") if source.local else verified),
        (t("Consulta"), own),
    ):
        st.text(f"{label}: {value}")
