"""Permissions: the sum of a person's grants by e-mail and by group."""

from __future__ import annotations

from typing import Any

import pytest

from lib.config.settings import Access
from lib.security.permissions import Permission, Person, resolve

A, B, C = "12345678000195", "12ABC34501DE35", "11222333000181"
ACCESS = Access.model_validate(
    {
        "people": {
            "ana@example.com": {"roles": ["analyst"], "merchants": [A]},
            "Rui@Example.com": {"roles": ["clear_data"], "merchants": ["*"]},
            "eva@example.com": {"roles": ["auditor"]},
            "strasse@example.com": {"roles": ["analyst"], "merchants": [A]},
            "old@example.com": {"roles": ["analyst"], "merchants": ["99999999000199"]},
        },
        "groups": {
            "Marketing": {"roles": ["analyst", "clear_data"], "merchants": [B]},
            "Controle": {"roles": ["auditor"]},
        },
    }
)
EVERY = (A, B, C)
PEOPLE: list[tuple[Person, Permission]] = [
    (Person("ana@example.com"), Permission((A,), analyst=(A,))),
    (Person(" ANA@Example.COM "), Permission((A,), analyst=(A,))),
    (Person("rui@example.com"), Permission(EVERY, EVERY)),
    (Person("eva@example.com"), Permission(auditor=True)),
    (Person("old@example.com"), Permission()),
    (Person("ana@example.com", ("marketing",)), Permission((A, B), (B,), analyst=(A, B))),
    (
        Person("new@example.com", ("Marketing", "controle")),
        Permission((B,), (B,), auditor=True, analyst=(B,)),
    ),
    (Person("nobody@example.com"), Permission()),
    (Person("straße@example.com"), Permission()),
    (Person(""), Permission()),
    (Person("", ("",)), Permission()),
    (Person("Marketing"), Permission()),
    (Person("x", ("ana@example.com",)), Permission()),
    (Person("ana@example.com.evil.example"), Permission()),
]


@pytest.mark.parametrize(("person", "expected"), PEOPLE, ids=str)
def test_a_person_has_the_access_of_the_grants_and_no_more(
    person: Person, expected: Permission
) -> None:
    permission = resolve(ACCESS, EVERY, person)
    assert permission == expected
    assert permission.grants_access == bool(expected.merchants or expected.auditor)


def test_without_grants_nobody_has_access() -> None:
    assert not resolve(Access(), EVERY, Person("ana@example.com", ("Marketing",))).grants_access


@pytest.mark.parametrize(
    "grant",
    [
        {"roles": ["admin"]},
        {"roles": []},
        {"merchants": [A]},
        {"roles": ["analyst"], "merchants": ["123"]},
        {"roles": ["analyst"], "merchants": ["*x"]},
        {"roles": ["analyst"], "merchant": [A]},
    ],
)
def test_a_grant_with_a_mistake_is_refused_whole(grant: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"people\.a"):
        Access.model_validate({"people": {"a": grant}})
