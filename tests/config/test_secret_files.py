"""Passwords, tokens and addresses: from files and variables, private, never shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from lib.config import delivery_settings, file_permissions, loader
from lib.config.settings import BLANK_FILE, Source
from tests.support.settings import HOOK, MINIMAL, SECRET, TOML, refusal, settings, summary

FILES = {"abc\n": "abc", "abc\r\n": "abc", " a b ": " a b ", "\ufeffçã\n": "çã", "": None}


@pytest.mark.parametrize(("text", "secret"), FILES.items())
def test_a_password_file_loses_its_line_end(tmp_path: Path, text: str, secret: str | None) -> None:
    (tmp_path / "password").write_bytes(text.encode())
    (tmp_path / "password").chmod(0o600)
    changed = settings(**{"transactions.password_file": str(tmp_path / "password")})
    assert changed.transactions.secret() == secret


def test_a_password_of_the_environment_hides_either_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of the file\n", encoding="utf-8")
    (tmp_path / "password").chmod(0o600)
    name = "AGGREGATOR__TRANSACTIONS__PASSWORD"
    changed = settings({name: "direct"}, **{"transactions.password_file": "/gone"})
    assert changed.transactions.secret() == "direct"
    environ = {f"{name}_FILE": str(tmp_path / "password")}
    changed = settings(environ, **{"transactions.password": "x"})
    assert changed.transactions.secret() == "of the file"


def test_password_and_password_file_together_are_refused() -> None:
    name, key = "AGGREGATOR__AUTH_LOGS__PASSWORD", "aggregator.auth_logs"
    table = {**MINIMAL["auth_logs"], "password": SECRET, "password_file": "/run/x"}
    both = refusal(settings, auth_logs=table)
    assert summary(both) == (loader.BOTH_KEYS, "aqui.toml", key)
    environ = {name: SECRET, f"{name}_FILE": "/run/x"}
    assert summary(refusal(settings, environ)) == (loader.BOTH_KEYS, name, key)


def test_targets_of_notices_are_a_list_or_the_lines_of_a_private_file(tmp_path: Path) -> None:
    assert not settings().notify.configured
    assert settings(**{"notify.urls": [HOOK, "vault:a/b#c"]}).notify.targets() == (
        HOOK,
        "vault:a/b#c",
    )
    file = tmp_path / "urls"
    file.write_text(f"# equipe\n{HOOK}\n\n", encoding="utf-8")
    file.chmod(0o600)
    notify = settings(**{"notify.urls_file": str(file)}).notify
    assert (notify.configured, notify.targets()) == (True, (HOOK,))
    file.chmod(0o644)
    refused = refusal(settings, **{"notify.urls_file": str(file)})
    assert refused.template == file_permissions.EXPOSED


@pytest.mark.parametrize(
    ("key", "text", "template"),
    [
        ("notify.urls_file", "", delivery_settings.NO_ADDRESS),
        ("notify.urls_file", " \n# equipe\n", delivery_settings.NO_ADDRESS),
        ("metrics.token_file", "", BLANK_FILE),
        ("metrics.token_file", " \n", BLANK_FILE),
    ],
)
def test_a_file_without_its_address_or_token_is_refused(
    tmp_path: Path, key: str, text: str, template: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    refused = refusal(settings, **{key: str(file)})
    assert (refused.template, refused.values["file"]) == (template, file)


def test_the_environment_hides_the_file_of_a_notice_or_token_and_both_at_once_are_refused() -> None:
    environ = {"AGGREGATOR__NOTIFY__URLS": f'["{HOOK}"]', "AGGREGATOR__METRICS__TOKEN": SECRET}
    files = {"notify.urls_file": "/gone", "metrics.token_file": "/gone"}
    changed = settings(environ, **files)
    assert (changed.notify.targets(), changed.metrics.secret()) == ((HOOK,), SECRET)
    both = refusal(settings, notify={"urls": [HOOK], "urls_file": "/gone"})
    assert summary(both) == (loader.BOTH_KEYS, "aqui.toml", "aggregator.notify")
    both = refusal(settings, metrics={"token": SECRET, "token_file": "/gone"})
    assert summary(both) == (loader.BOTH_KEYS, "aqui.toml", "aggregator.metrics")


@pytest.mark.parametrize(
    ("table", "instead"),
    [(f'notify.urls = ["{HOOK}"]', "urls_file"), (f'metrics.token = "{SECRET}"', "token_file")],
)
def test_a_configuration_with_addresses_or_a_token_must_be_private(
    within_reach: Path, table: str, instead: str
) -> None:
    file = within_reach / "aggregator.toml"
    file.write_text(TOML + table, encoding="utf-8")
    error = refusal(loader.load, file, {})
    assert (error.template, error.values["instead"]) == (loader.EXPOSED, instead)
    file.chmod(0o600)
    assert loader.load(file, {}).merchants


@pytest.mark.parametrize("name", ["gone", ""])
def test_an_unreadable_password_file_is_named(tmp_path: Path, name: str) -> None:
    error = refusal(settings, **{"auth_logs.password_file": str(tmp_path / name)})
    assert error.template == file_permissions.UNREADABLE
    assert error.values["file"] == tmp_path / name
    assert "password_file" in str(error)


def test_secrets_are_never_shown() -> None:
    notices = {"notify.urls": [HOOK], "metrics.token": SECRET}
    changed = settings(**{"transactions.password": SECRET}, **notices)
    assert SECRET not in f"{changed!r} {changed} {changed.model_dump()} {changed.model_dump_json()}"
    with pytest.raises(ValidationError) as direct:
        Source.model_validate({"host": "h", "database": "d", "user": "u", "password": [SECRET]})
    assert SECRET not in str(direct.value)
