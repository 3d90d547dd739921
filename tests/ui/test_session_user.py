"""The identity of a signed-in person, from the provider's claims."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lib.config import loader
from lib.ui import guard, session_user
from lib.ui.app_state import Site
from lib.ui.session_user import Visitor

SOURCE = {"host": "/nowhere", "database": "d", "user": "u"}
SETTINGS = loader.from_values(
    {
        "merchants": {"12345678000195": "Loja"},
        "transactions": SOURCE,
        "auth_logs": SOURCE,
        "row_level_security": True,
        "access": {"groups": {"Marketing": {"roles": ["analyst"], "merchants": ["*"]}}},
    },
    "teste",
    {},
)
CLAIMS = {"email": " Victim@Example.com", "sub": "someone-1", "groups": ["Marketing"]}


def reader(monkeypatch: pytest.MonkeyPatch, **claims: Any) -> str:
    """The reader whose rows a person with these claims and a group's grant sees."""
    monkeypatch.setattr(session_user, "sign_in_configured", lambda: True)
    valid = {"is_logged_in": True, "exp": time.time() + 3600}
    visitor = Visitor(CLAIMS | valid | claims, "10.1.2.3", at_this_machine=False)
    admission = guard.decide(cast(Site, SimpleNamespace(settings=SETTINGS, demo=False)), visitor)
    assert isinstance(admission, guard.Admission)
    assert admission.actor.name == admission.rights.reader == visitor.name
    return admission.rights.reader


@pytest.mark.parametrize("verified", [False, "false", "False", 0, 1, "", "no", []])
def test_an_unverified_address_with_a_group_is_not_that_addresss_person(
    monkeypatch: pytest.MonkeyPatch, verified: Any
) -> None:
    assert reader(monkeypatch, email_verified=verified) == "someone-1"


@pytest.mark.parametrize("verified", [{}, {"email_verified": True}, {"email_verified": "true"}])
def test_a_verified_address_is_one_person_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, verified: dict[str, Any]
) -> None:
    assert reader(monkeypatch, **verified) == "victim@example.com"
