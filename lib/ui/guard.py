"""Who may see what: asked by the frame on every run of every page, before anything is computed.

Nothing of the data is read for who is turned away. `holds` asks again where no whole page runs:
in fragments and callbacks. Sign-ins and refusals are written down, once a session and reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NoReturn

import streamlit as st

from lib.dashboard.dataset_store import Rights
from lib.domain.errors import AggregatorError
from lib.domain.requests import Request
from lib.security import audit_events, permissions
from lib.security.audit_events import Actor
from lib.security.permissions import Permission
from lib.ui import app_state as sites
from lib.ui import session_user
from lib.ui.formatting import plain
from lib.ui.i18n import sentence, t

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Dataset
    from lib.engines.parquet_result import Result
    from lib.security.audit_events import HasBooks
    from lib.ui.app_state import Site

_ADMITTED: Final = "_admitted"
_VIEWED: Final = "_viewed"
_RESULT: Final = "_result"
_SEARCHED: Final = "_searched_"
_TOLD: Final = "_told"

Reason = Literal["no_sign_in", "signed_out", "expired", "no_role"]


@dataclass(frozen=True)
class Admission:
    """The reader's rights, the merchants (CNPJ = name) they may choose from, and who they are.

    ``clear`` are the merchants whose data they may export in clear.
    """

    rights: Rights
    merchants: Mapping[str, str]
    actor: Actor
    clear: tuple[str, ...] = ()
    auditor: bool = False


def admit(site: Site) -> Admission:
    """The reader's admission; stops the page for who has none."""
    found = _decide(site)
    if not isinstance(found, Admission):
        st.session_state.pop(_ADMITTED, None)
        _refuse(site, found)
    st.session_state[_ADMITTED] = found
    if session_user.sign_in_configured():
        _tell_once(site, "sign_in", found.actor, "")
        with st.sidebar:
            st.caption(plain(found.actor.name))
            st.button(t("Sair"), on_click=_leave, args=(site, found.actor), width="stretch")
    return found


def admit_to_data(site: Site) -> Admission:
    """The admission of who may see some merchant's data; an auditor alone may not."""
    found = admit(site)
    if not found.merchants:
        st.session_state.pop(_ADMITTED, None)
        _refuse(site, "no_role")
    return found


def turn_away(site: Site) -> NoReturn:
    """Stop a page that was asked for what its reader may not see."""
    _refuse(site, "no_role")


def admit_auditor(site: Site) -> Admission:
    """The admission of who may read the audit; stops the page for others."""
    found = admit(site)
    if not found.auditor:
        _tell_once(site, "refusal", found.actor, "auditor")
        st.error(t("Esta página é só para quem tem o papel de auditor."))
        st.stop()
    return found


def holds() -> bool:
    """Whether this session's admission is still what it was."""
    site = sites.find()
    return site is not None and _decide(site) == st.session_state.get(_ADMITTED)


def admission() -> Admission | None:
    """This session's admission, None where it holds no more; for callbacks."""
    found = st.session_state.get(_ADMITTED)
    return found if isinstance(found, Admission) and holds() else None


def recheck() -> None:
    """Run the whole page again, which says why, where the admission holds no more."""
    if not holds():
        st.rerun()


def note_view(site: Site, page: str, dataset: Dataset) -> None:
    """Write down what this person is about to see; the same thing once a session in a row."""
    _note(site, _VIEWED, page, dataset, {})


def note_search(table: str, dataset: Dataset, search: str, filters: str) -> None:
    """Write down which of a table's rows this person picks out; likewise."""
    site = sites.find()
    if site is not None:
        _note(site, f"{_SEARCHED}{table}", table, dataset, {"search": search, "filters": filters})


def note_result(site: Site, result: Result, table: str, filters: str) -> None:
    """Write down which rows of an engine's result this person is about to see; likewise."""
    asked = {"page": "results", "search": table, "filters": filters}
    request = Request(result.merchant, result.period, result.rule)
    _write(site, _RESULT, (result.version, *asked.values()), request, result, asked)


def _note(site: Site, kept: str, page: str, dataset: Dataset, asked: dict[str, str]) -> None:
    shown = (page, dataset.version, *asked.values())
    _write(site, kept, shown, dataset.key.request, dataset.outcome, {"page": page, **asked})


def _write(
    site: Site,
    kept: str,
    shown: tuple[object, ...],
    request: Request,
    found: HasBooks,
    asked: dict[str, str],
) -> None:
    reader = admission()
    if reader is None or st.session_state.get(kept) == shown:
        return
    question = audit_events.request_fields(request, clear=False)
    try:
        audit_events.record(
            site.settings,
            "view",
            reader.actor,
            rows=audit_events.row_counts(found),
            **question,
            **asked,
        )
    except AggregatorError as problem:
        st.error(plain(sentence(problem)))
        st.stop()
    st.session_state[kept] = shown


def is_auditor() -> bool:
    """Whether the navigation offers the audit."""
    site = sites.find()
    found = _decide(site) if site else None
    return isinstance(found, Admission) and found.auditor


def _decide(site: Site) -> Admission | Reason:
    settings = site.settings
    if not session_user.sign_in_configured():
        if not (site.demo or (settings.access.without_sign_in and session_user.at_this_machine())):
            return "no_sign_in"
        actor = Actor(audit_events.account().name, session_user.address())
        return Admission(Rights(), settings.merchants, actor)
    if not session_user.signed_in():
        return "signed_out"
    if session_user.expired():
        return "expired"
    who = session_user.person(settings.access.groups_claim)
    may = permissions.resolve(settings.access, settings.merchants, who)
    if not may.grants_access:
        return "no_role"
    return _admission(site, session_user.name(), may)


def _admission(site: Site, name: str, may: Permission) -> Admission:
    settings = site.settings
    merchants = {cnpj: settings.merchants[cnpj] for cnpj in may.merchants}
    # Where the databases keep rows apart, no data set is anybody else's.
    rights = Rights(name if settings.row_level_security else "")
    actor = Actor(name, session_user.address())
    return Admission(rights, merchants, actor, may.clear, may.auditor)


def _refuse(site: Site, reason: Reason) -> NoReturn:
    if reason == "no_sign_in":
        st.error(
            t(
                "Sem [auth] na configuração, este painel só mostra a demonstração; configure o "
                "acesso, ou [aggregator.access] without_sign_in para usá-lo neste computador."
            )
        )
        st.stop()
    if reason == "no_role":
        actor = Actor(session_user.name(), session_user.address())
        _tell_once(site, "refusal", actor, reason)
        st.error(
            plain(t("{name} não tem acesso a este painel; peça-o ao responsável.", name=actor.name))
        )
        st.button(t("Sair"), on_click=st.logout)
        st.stop()
    if reason == "expired":
        _tell_once(site, "refusal", Actor(session_user.name(), session_user.address()), reason)
        st.warning(t("O seu acesso expirou; entre de novo."))
    else:
        st.info(t("Entre com a sua conta para ver o painel."))
    st.button(t("Entrar"), type="primary", on_click=st.login)
    st.stop()


def _leave(site: Site, actor: Actor) -> None:
    st.session_state.clear()
    try:
        audit_events.record(site.settings, "sign_out", actor)
    finally:
        st.logout()


def _tell_once(site: Site, kind: Literal["sign_in", "refusal"], actor: Actor, reason: str) -> None:
    told: set[tuple[str, str, str]] = st.session_state.setdefault(_TOLD, set())
    if (kind, actor.name, reason) in told:
        return
    try:
        audit_events.record(site.settings, kind, actor, why=reason or None)
    except AggregatorError as problem:
        st.error(plain(sentence(problem)))
        st.stop()
    told.add((kind, actor.name, reason))
