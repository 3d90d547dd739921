"""Settings that the environment overrides, and mistakes in its variables."""

from pathlib import Path
from typing import Any

import pytest

from lib.config import loader
from lib.config.settings import Privacy
from tests.support.settings import SECRET, A, B, refusal, settings, summary

OVERRIDES = [
    ("WINDOW_DAYS", "30", "window_days", 30),
    ("VIRTUAL_PREFIX_LENGTH", "6", "virtual_prefix_length", 6),
    ("APPROVED_CODES", '["00", "85"]', "approved_codes", ("00", "85")),
    ("PRIVACY", '{"report": "clear"}', "privacy", Privacy(report="clear")),
    (f"MERCHANTS__{A}", "Outra", "merchants", {A: "Outra"}),
    (f"MERCHANTS__{B}", "1", "merchants", {A: "Loja", B: "1"}),
    ("MERCHANTS", f'{{"{B}": "Outra"}}', "merchants", {A: "Loja", B: "Outra"}),
]
BLAMED = {
    "AGGREGATOR__TRANSACTIONS__PASWORD": (loader.UNKNOWN_KEY, "aggregator.transactions.pasword"),
    "aggregator__access__x": (loader.UNKNOWN_KEY, "aggregator.access.x"),
    "AGGREGATOR__ACCESS__PEOPLE__A@B__ROLE": (
        loader.UNKNOWN_KEY,
        "aggregator.access.people.a@b.role",
    ),
    "AGGREGATOR__": (loader.UNKNOWN_KEY, "aggregator."),
    "AGGREGATOR__WINDOW_DAYS__X": (loader.WRONG_VALUE, "aggregator.window_days"),
    "AGGREGATOR__TRANSACTIONS": (loader.WRONG_VALUE, "aggregator.transactions"),
    "AGGREGATOR__APPROVED_CODES": (loader.WRONG_VALUE, "aggregator.approved_codes"),
    "AGGREGATOR__MERCHANTS__123": (loader.WRONG_VALUE, "aggregator.merchants.123"),
    "AGGREGATOR__AUTH_LOGS__PORT": (loader.WRONG_VALUE, "aggregator.auth_logs.port"),
}


@pytest.mark.parametrize("prefix", ["AGGREGATOR__", "aggregator__"])
@pytest.mark.parametrize("override", OVERRIDES)
def test_the_environment_overrides_the_file(prefix: str, override: tuple[Any, ...]) -> None:
    name, text, key, expected = override
    environ = {"AGGREGATOR": "x", "AGGREGATOR_CONFIG": "x", prefix + name: text}
    assert getattr(settings(environ), key) == expected


def test_a_variable_of_one_key_overrides_a_variable_of_its_table() -> None:
    name = "AGGREGATOR__TRANSACTIONS"
    environ = {f"{name}__PORT": "3", name: '{"port": 2, "user": "b"}'}
    source = settings(environ, **{"transactions.port": 1}).transactions
    assert (source.port, source.user, source.database) == (3, "b", "a")


def test_variables_of_one_entry_add_up_and_leave_the_files_other_keys() -> None:
    name = "AGGREGATOR__COPIES__ACCESS__SFTP.EXAMPLE.COM__"
    environ = {f"{name}USER": "u", f"{name}PASSWORD": "0"}
    of_the_file = {"key_file": "/k", "password_file": "/gone"}
    changed = settings(environ, **{"copies.access": {"sftp.example.com": of_the_file}})
    access = changed.copies.access["sftp.example.com"]
    assert (access.user, access.secret(), access.key_file) == ("u", "0", Path("/k"))


def test_a_variable_of_one_person_leaves_the_others() -> None:
    people = {"a@b": {"roles": ["auditor"]}, "c@d": {"roles": ["auditor"]}}
    environ = {"AGGREGATOR__ACCESS__PEOPLE__C@D__ROLES": '["analyst"]'}
    changed = settings(environ, **{"access.people": people}).access.people
    assert {name: grant.roles for name, grant in changed.items()} == {
        "a@b": ("auditor",),
        "c@d": ("analyst",),
    }


@pytest.mark.parametrize("text", ["{", "x", "[" * 100_000])
def test_a_table_in_a_variable_that_is_no_json_is_refused(text: str) -> None:
    name = "AGGREGATOR__ACCESS__PEOPLE"
    wrong = refusal(settings, {name: text})
    assert summary(wrong) == (loader.WRONG_VALUE, name, "aggregator.access.people")


@pytest.mark.parametrize("password", ['{"a": 1}', "[1]", "null", "0123", 'a"b\\', "p@s/%20", ""])
def test_a_password_in_the_environment_is_taken_as_it_is(password: str) -> None:
    changed = settings({"AGGREGATOR__TRANSACTIONS__PASSWORD": password})
    assert changed.transactions.secret() == (password or None)


def test_an_empty_variable_clears_an_optional_file() -> None:
    changed = settings({"AGGREGATOR__AUTH_LOGS__SSLCERT": ""}, **{"auth_logs.sslcert": "x"})
    assert changed.auth_logs.sslcert is None


@pytest.mark.parametrize(("variable", "mistake"), BLAMED.items())
def test_a_mistake_in_the_environment_names_the_variable(
    variable: str, mistake: tuple[str, str]
) -> None:
    template, key = mistake
    assert summary(refusal(settings, {variable: SECRET})) == (template, variable, key)


def test_a_mistake_of_the_file_is_not_blamed_on_a_variable_of_the_same_table() -> None:
    environ = {"AGGREGATOR__TRANSACTIONS": '{"port": 1}', "AGGREGATOR__AUTH_LOGS__PORT": "1"}
    for key in ("transactions.hots", "transactions.sslmode", "auth_logs.sslmode"):
        assert refusal(settings, environ, **{key: "x"}).values["origin"] == "aqui.toml"


def test_the_environment_alone_can_be_the_configuration() -> None:
    side = '{"host": "h", "database": "d", "user": "u"}'
    environ = {"AGGREGATOR__TRANSACTIONS": side, f"AGGREGATOR__MERCHANTS__{A}": "Loja"}
    assert loader.exists(environ=environ)
    missing = refusal(loader.load, None, environ)
    assert summary(missing) == (loader.MISSING_KEY, "ambiente", "aggregator.auth_logs")
    assert loader.load(None, {**environ, "AGGREGATOR__AUTH_LOGS": side}).auth_logs.host == "h"


@pytest.mark.parametrize("name", ["TRANSACTIONS__PASSWORD", "audit__path", "WINDOW_DAYS"])
def test_any_variable_of_ours_is_a_configuration_that_may_be_incomplete(
    default_file: Path, name: str
) -> None:
    environ = {f"AGGREGATOR__{name}": "3"}
    assert loader.exists(environ=environ)
    assert refusal(loader.load, None, environ).template == loader.MISSING_KEY


def test_the_audit_is_found_by_the_environment_with_or_without_a_file(
    tmp_path: Path, default_file: Path
) -> None:
    environ = {"AGGREGATOR__AUDIT__PATH": str(tmp_path / "other.jsonl")}
    assert loader.load_audit(None, {}).path == settings().audit.path
    assert loader.load_audit(None, environ).path == tmp_path / "other.jsonl"
    file = tmp_path / "incomplete.toml"
    file.write_text('[aggregator.audit]\npath = "/of/the/file"\nkey_file = "/of/the/key"')
    file.chmod(0o600)
    assert loader.load_audit(file, {}).path == Path("/of/the/file")
    both = loader.load_audit(file, environ)
    assert (both.path, both.key) == (tmp_path / "other.jsonl", Path("/of/the/key"))
    wrong = refusal(loader.load_audit, None, {"AGGREGATOR__AUDIT__PTH": "x"})
    assert summary(wrong)[:2] == (loader.UNKNOWN_KEY, "AGGREGATOR__AUDIT__PTH")
