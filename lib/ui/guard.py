"""Access control of the pages, on every run of every page, before any data are read.

`holds` and `recheck` repeat the decision where no whole page runs: in callbacks and fragments.
Sign-ins, refusals and views are recorded in the audit, once per session and subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import streamlit as st

from lib.dashboard.dataset_store import Rights
from lib.domain.errors import AggregatorError
from lib.domain.requests import Request
from lib.security import audit_events, permissions
from lib.security.audit_events import Actor
from lib.ui import app_state, session_user
from lib.ui.formatting import plain
from lib.ui.i18n import sentence, t

if TYPE_CHECKING:
    from lib.dashboard.dataset_store import Dataset
    from lib.engines.parquet_result import Result
    from lib.security.audit_events import HasBooks, Kind
    from lib.ui.app_state import Site
    from lib.ui.session_user import Visitor

NO_SIGN_IN: Final = (
    "Sem [auth] na configuração, este painel só mostra a demonstração. Para usá-lo só neste "
    "computador bastam dois ajustes: without_sign_in = true em [aggregator.access] (agora: false) "
    "e server.address = 127.0.0.1 (agora: {address}), que make run já usa. Para outros "
    "computadores, configure o acesso em [auth]."
)
ELSEWHERE: Final = (
    "Sem [auth] na configuração, without_sign_in = true em [aggregator.access] só vale neste "
    "computador: server.address precisa ser 127.0.0.1 (agora: {address}) e o painel precisa ser "
    "aberto por localhost ou 127.0.0.1 (agora: {host}), sem proxy. Configure o acesso em [auth]."
)
NO_ROLE: Final = "{name} não tem acesso a este painel; peça-o ao responsável."
EXPIRED: Final = "O seu acesso expirou; entre de novo."
SIGNED_OUT: Final = "Entre com a sua conta para ver o painel."
# Keys of the buttons.
SIGN_IN: Final = "entrar"
SIGN_OUT: Final = "sair"

_ADMITTED: Final = "_admitted"
_VIEWED: Final = "_viewed"
_RESULT: Final = "_result"
_SEARCHED: Final = "_searched_"
_CASES: Final = "_cases"
_RECORDED: Final = "_recorded"

Reason = Literal["no_sign_in", "elsewhere", "signed_out", "expired", "no_role"]


@dataclass(frozen=True)
class Admission:
    """The reader's identity and rights, and the merchants (CNPJ = name) they may choose from.

    ``clear`` holds the merchants whose data they may export in clear, ``analyst`` those whose cases
    they may mark.
    """

    rights: Rights
    merchants: Mapping[str, str]
    actor: Actor
    clear: tuple[str, ...] = ()
    auditor: bool = False
    analyst: tuple[str, ...] = ()


def admit(site: Site) -> Admission:
    """Return the reader's admission; stop the page for anyone without one."""
    decision = _decide(site)
    if not isinstance(decision, Admission):
        refuse(site, decision)
    st.session_state[_ADMITTED] = decision
    if session_user.sign_in_configured():
        _record_once(site, "sign_in", decision.actor, "")
        with st.sidebar:
            st.caption(plain(decision.actor.name))
            st.button(
                t("Sair"),
                key=SIGN_OUT,
                on_click=_leave,
                args=(site, decision.actor),
                width="stretch",
            )
    return decision


def admit_to_data(site: Site) -> Admission:
    """Return the admission of a reader of some merchant's data; being an auditor is not enough."""
    admitted = admit(site)
    if not admitted.merchants:
        refuse(site)
    return admitted


def admit_auditor(site: Site) -> Admission:
    """Return the admission of an auditor; stop the page for others."""
    admitted = admit(site)
    if not admitted.auditor:
        _record_once(site, "refusal", admitted.actor, "auditor")
        st.error(t("Esta página é só para quem tem o papel de auditor."))
        st.stop()
    return admitted


def holds() -> bool:
    """True while this session's admission is unchanged."""
    site = app_state.find()
    return site is not None and _decide(site) == st.session_state.get(_ADMITTED)


def admission() -> Admission | None:
    """This session's admission, None once it has changed; for callbacks."""
    admitted = st.session_state.get(_ADMITTED)
    return admitted if isinstance(admitted, Admission) and holds() else None


def recheck() -> None:
    """Rerun the whole page, which shows the reason, if the admission has changed."""
    if not holds():
        st.rerun()


def note_view(site: Site, page: str, dataset: Dataset) -> None:
    """Record the data set that this person is about to see, once for repeated views of it."""
    _note(site, _VIEWED, page, dataset, {})


def note_search(table: str, dataset: Dataset, search: str, filters: str) -> None:
    """Record which rows of a table this person selects, once for repeated views of them."""
    site = app_state.find()
    if site is not None:
        _note(site, f"{_SEARCHED}{table}", table, dataset, {"search": search, "filters": filters})


def note_result(site: Site, result: Result, table: str, search: str, filters: str) -> None:
    """Record which rows of a stored result this person is about to see; skip repetitions."""
    fields = {"page": "results", "table": table, "search": search, "filters": filters}
    request = Request(result.merchant, result.period, result.rule)
    _record_view(site, _RESULT, result.version, request, result, fields)


def note_cases(site: Site, page: str, merchant: str, search: str, filters: str) -> None:
    """Record which cases this person is about to see, once for repeated views of them."""
    fields = {"page": page, "merchant": merchant, "search": search, "filters": filters}
    reader, shown = admission(), tuple(fields.values())
    if reader is None or st.session_state.get(_CASES) == shown:
        return
    _record(site, "view", reader.actor, {name: text for name, text in fields.items() if text})
    st.session_state[_CASES] = shown


def _note(site: Site, key: str, page: str, dataset: Dataset, fields: dict[str, str]) -> None:
    request, outcome = dataset.key.request, dataset.outcome
    _record_view(site, key, dataset.version, request, outcome, {"page": page, **fields})


def _record_view(
    site: Site, key: str, version: str, request: Request, view: HasBooks, fields: dict[str, str]
) -> None:
    """Record a view unless it is the session's last one under this key; stop on failure."""
    reader, shown = admission(), (version, *fields.values())
    if reader is None or st.session_state.get(key) == shown:
        return
    asked = audit_events.request_fields(request, clear=False)
    rows = audit_events.row_counts(view)
    _record(site, "view", reader.actor, {"rows": rows, **asked, **fields})
    st.session_state[key] = shown


def _record(site: Site, kind: Kind, actor: Actor, fields: Mapping[str, Any]) -> None:
    """Record an event in the audit; stop on failure."""
    try:
        audit_events.record(site.settings, kind, actor, **fields)
    except AggregatorError as problem:
        st.error(plain(sentence(problem)))
        st.stop()


def merchants() -> int:
    """The number of merchants whose data this reader may see."""
    site = app_state.find()
    decision = _decide(site) if site else None
    return len(decision.merchants) if isinstance(decision, Admission) else 0


def is_auditor() -> bool:
    """True where the navigation offers the audit."""
    site = app_state.find()
    decision = _decide(site) if site else None
    return isinstance(decision, Admission) and decision.auditor


def _decide(site: Site) -> Admission | Reason:
    return decide(site, session_user.visitor())


def decide(site: Site, visitor: Visitor) -> Admission | Reason:
    """The visitor's admission, or the reason why there is none; outside of a session too."""
    settings = site.settings
    if not session_user.sign_in_configured():
        if not (site.demo or settings.access.without_sign_in):
            return "no_sign_in"
        if not (site.demo or visitor.at_this_machine):
            return "elsewhere"
        actor = Actor(audit_events.account().name, visitor.address)
        return Admission(Rights(), settings.merchants, actor, analyst=tuple(settings.merchants))
    if not visitor.signed_in:
        return "signed_out"
    if visitor.expired:
        return "expired"
    person = visitor.person(settings.access.groups_claim)
    permission = permissions.resolve(settings.access, settings.merchants, person)
    if not permission.grants_access:
        return "no_role"
    merchants = {cnpj: settings.merchants[cnpj] for cnpj in permission.merchants}
    # With row-level security, a data set belongs to one reader.
    rights = Rights(visitor.name if settings.row_level_security else "")
    actor = Actor(visitor.name, visitor.address)
    return Admission(
        rights, merchants, actor, permission.clear, permission.auditor, permission.analyst
    )


def refuse(site: Site, reason: Reason = "no_role") -> NoReturn:
    """Stop the page with the reason of the refusal and record it."""
    st.session_state.pop(_ADMITTED, None)
    if reason in ("no_sign_in", "elsewhere"):
        address, host = (text or t("não definido") for text in session_user.place())
        text = t(NO_SIGN_IN) if reason == "no_sign_in" else t(ELSEWHERE)
        st.error(plain(text.format(address=address, host=host)))
        st.stop()
    visitor = session_user.visitor()
    actor = Actor(visitor.name, visitor.address)
    if reason == "no_role":
        _record_once(site, "refusal", actor, reason)
        st.error(plain(t(NO_ROLE, name=actor.name)))
        st.button(t("Sair"), on_click=st.logout)
        st.stop()
    if reason == "expired":
        _record_once(site, "refusal", actor, reason)
        st.warning(t(EXPIRED))
    else:
        st.info(t(SIGNED_OUT))
    st.button(t("Entrar"), key=SIGN_IN, type="primary", on_click=st.login)
    st.stop()


def _leave(site: Site, actor: Actor) -> None:
    st.session_state.clear()
    try:
        audit_events.record(site.settings, "sign_out", actor)
    finally:
        st.logout()


def _record_once(
    site: Site, kind: Literal["sign_in", "refusal"], actor: Actor, reason: str
) -> None:
    recorded: set[tuple[str, str, str]] = st.session_state.setdefault(_RECORDED, set())
    if (kind, actor.name, reason) in recorded:
        return
    _record(site, kind, actor, {"why": reason or None})
    recorded.add((kind, actor.name, reason))
