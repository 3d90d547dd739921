"""Sources of the configuration, its valid values, and the error for each mistake."""

import copy
import re
import tomllib
import traceback
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from lib.config import file_permissions, loader
from lib.config.delivery_settings import Copies, CopyAccess, Notify, Wait
from lib.config.settings import (
    ROOT,
    Access,
    Audit,
    Cases,
    Dashboard,
    Engine,
    Metrics,
    Privacy,
    Settings,
    Source,
    check_digits_ok,
)
from lib.database import sessions
from lib.domain.errors import ConfigError

EXAMPLE = ROOT / ".streamlit" / "secrets.example.toml"
A, B = "12345678000195", "12ABC34501DE35"
SECRET = "s3nh@-{de}-teste"
TOML = f"""
auth.client_secret = "ignored"
[aggregator]
merchants.{A} = "Loja"
transactions = {{host = "/run/a", database = "a", user = "u"}}
auth_logs = {{host = "db.example.com", database = "b", user = "u"}}
"""
MINIMAL: dict[str, Any] = tomllib.loads(TOML)["aggregator"]
OVERRIDES = [
    ("WINDOW_DAYS", "30", "window_days", 30),
    ("VIRTUAL_PREFIX_LENGTH", "6", "virtual_prefix_length", 6),
    ("APPROVED_CODES", '["00", "85"]', "approved_codes", ("00", "85")),
    ("PRIVACY", '{"report": "clear"}', "privacy", Privacy(report="clear")),
    (f"MERCHANTS__{A}", "Outra", "merchants", {A: "Outra"}),
    (f"MERCHANTS__{B}", "1", "merchants", {A: "Loja", B: "1"}),
    ("MERCHANTS", f'{{"{B}": "Outra"}}', "merchants", {A: "Loja", B: "Outra"}),
]
FILES = {"abc\n": "abc", "abc\r\n": "abc", " a b ": " a b ", "\ufeffçã\n": "çã", "": None}
UNKNOWN = {
    "timezon": "timezone",
    "MERCHANT": "merchants",
    "transactions.pasword": "password",
    "auth_logs.HOST": "host",
    "vault": None,
    "_env_file": None,
}
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
NO_CNPJ = [B.lower(), "12345678/00195", *(A[:13] + end for end in ("", "55", "A", "٥", "5\n"))]
# Wrong values of a key, and a part of the expectation that the message states.
WRONG: list[tuple[str, Any, str]] = [
    ("window_days", (-1, "dez", True, 1.5, 10**9), "36500"),
    ("timezone", ("", "Brasil", "America", "../etc", "a\0b", "x" * 5000, 3), "America/Sao_Paulo"),
    ("output_path", ("", 5), ""),
    ("match_rule", ("cards", "", 1), "card_time"),
    ("wait.until", ("7h30", "24:00", "07:30:00", 730, True), "07:30"),
    ("wait.complete_to", ("today", ""), "yesterday"),
    ("wait.lag_minutes", (-1, 1_441), "1440"),
    ("wait.every_seconds", (0, "60s"), "3600"),
    ("approved_codes", ([], "00", [0], [""], {}), '["00"]'),
    ("virtual_prefix_length", (-1, "six", False), "auto"),
    ("merchants", ({}, "Loja", [A]), "CNPJ ="),
    (f"merchants.{A}", ("", 1), "CNPJ ="),
    *((f"merchants.{cnpj}", ("x",), "CNPJ =") for cnpj in NO_CNPJ),
    ("transactions", (SECRET, []), ""),
    ("transactions.host", ("", 1), ""),
    ("transactions.password", (123456, [SECRET]), ""),
    ("auth_logs.port", (0, 65536, "x"), "65535"),
    ("auth_logs.statement_timeout", (0,), "86400"),
    ("auth_logs.sslmode", ("full",), "verify-full"),
    ("auth_logs.sslcert", ([],), ""),
    ("privacy.report", ("open",), "masked"),
    ("notify.urls", (SECRET, [SECRET], [""], [3]), "mailtos://"),
    ("notify.on", ("failed", ["fail"], ["over"]), '"ready"'),
    ("notify.dashboard_url", ("painel", "ftp://h", "https://h?x=1", "https://u@h"), "https://"),
    ("metrics.token", (5,), ""),
]
UNUSABLE: list[tuple[str, str, dict[str, object]]] = [
    (f'[aggregator]\npassword = "{SECRET}\n', loader.BAD_TOML, {"line": "2"}),
    ("[aggregator]\n\nx = 1\nx = 2\n", loader.BAD_TOML, {"line": "4"}),
    (f'[aggregator]\nx = """{SECRET}\nb', loader.BAD_TOML, {"line": 3}),
    ("aggregator = 1\n", loader.MISSING_KEY, {"key": "[aggregator]"}),
    ("\xff", file_permissions.UNREADABLE, {"reason": file_permissions.NOT_READABLE_TEXT}),
    ("[aggregator]\nx = \0", file_permissions.UNREADABLE, {}),
    ("[aggregator]\nx = " + "[" * 100_000, loader.BAD_TOML, {}),
    ("[aggregator]\nx = " + "{a=" * 5_000 + "1" + "}" * 5_000, loader.BAD_TOML, {}),
    (
        '[aggregator.transactions]\npassword = "a\\u0000b"',
        loader.WRONG_VALUE,
        {"key": "aggregator.transactions.password"},
    ),
    (
        '[aggregator]\noutput_path = "\\u0000"',
        loader.WRONG_VALUE,
        {"key": "aggregator.output_path"},
    ),
    ('[aggregator]\napproved_codes = ["\\u0000"]', loader.WRONG_VALUE, {}),
]


@pytest.fixture(autouse=True)
def default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A default file in the test's folder, because the developer may have a configuration."""
    monkeypatch.setattr(loader, "DEFAULT_FILE", tmp_path / "secrets.toml")
    return tmp_path / "secrets.toml"


def settings(environ: dict[str, str] | None = None, **changes: Any) -> Settings:
    """Settings from the minimal table with these dotted keys changed."""
    table = copy.deepcopy(MINIMAL)
    for path, value in changes.items():
        parent, _, key = path.rpartition(".")
        (table.setdefault(parent, {}) if parent else table)[key] = value
    return loader.from_values(table, "aqui.toml", environ or {})


def refusal(call: Any, *args: Any, **changes: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        call(*args, **changes)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


def summary(error: ConfigError) -> tuple[str, object, object]:
    """Template, origin and key of the error."""
    return error.template, error.values.get("origin"), error.values.get("key")


def description(key: str) -> str | None:
    """The expectation that the field of this dotted key states."""
    table: Any = Settings
    for part in key.split("."):
        field = table.model_fields[part]
        table = field.annotation
        if part == "merchants":
            break
    return field.description


def test_the_defaults_are_the_contract() -> None:
    defaults, source = settings(), settings().transactions
    assert (defaults.window_days, defaults.match_rule, defaults.tolerance_minutes) == (
        10,
        "card",
        5,
    )
    assert (defaults.approved_codes, defaults.virtual_prefix_length) == (("00",), "auto")
    assert defaults.output_path == ROOT / "resultado_transacoes.xlsx"
    assert (defaults.zone, defaults.privacy.report) == (ZoneInfo("America/Sao_Paulo"), "masked")
    assert (source.port, source.connect_timeout, source.statement_timeout) == (5432, 5, 300)
    assert (source.secret(), source.query_file, source.sslrootcert) == (None, None, None)
    assert all(model.model_config["frozen"] for model in (Settings, Source, Privacy))


def test_only_this_machine_is_trusted_without_a_verified_certificate() -> None:
    for host in ("/run/postgresql", "@a", "localhost", "127.0.0.1", "::1"):
        assert Source(host=host, database="d", user="u").sslmode == "prefer"
    for host in ("db", "10.0.0.1", "127.0.0.1.com", "localhost.com", "::1,db"):
        assert Source(host=host, database="d", user="u").sslmode == "verify-full"
        assert Source(host=host, database="d", user="u", sslmode="allow").sslmode == "allow"


def test_relative_paths_start_at_the_project_root_in_every_source(tmp_path: Path) -> None:
    paths = {"transactions.sslrootcert": "system", "output_path": str(tmp_path / "r.xlsx")}
    changed = settings({"AGGREGATOR__AUTH_LOGS__QUERY_FILE": "sql/b.sql"}, **paths)
    assert changed.output_path == tmp_path / "r.xlsx"
    assert changed.auth_logs.query_file == ROOT / "sql" / "b.sql"
    assert changed.transactions.sslrootcert == Path("system")


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


HOOK = f"json://user:{SECRET}@hooks.example.com/path"


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


@pytest.mark.parametrize("value", [SECRET, {"path": SECRET}])
@pytest.mark.parametrize(("key", "nearest"), UNKNOWN.items())
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    key: str, nearest: str | None, value: object
) -> None:
    error = refusal(settings, **{key: value})
    assert summary(error) == (loader.UNKNOWN_KEY, "aqui.toml", f"aggregator.{key}")
    assert nearest in (None, error.values["nearest"])


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


@pytest.mark.parametrize(("key", "wrong", "part"), WRONG)
def test_the_error_of_a_wrong_value_states_the_expectation(key: str, wrong: Any, part: str) -> None:
    for value in wrong:
        error = refusal(settings, **{key: value})
        assert summary(error) == (loader.WRONG_VALUE, "aqui.toml", f"aggregator.{key}")
        assert error.values["expected"] == description(key)
        assert part in str(error)


def test_a_missing_key_is_named_after_any_unknown_one() -> None:
    source = {"database": "a", "user": "u"}
    missing = refusal(settings, auth_logs=source)
    assert summary(missing) == (loader.MISSING_KEY, "aqui.toml", "aggregator.auth_logs.host")
    unknown = refusal(settings, window_days="x", auth_logs={"hots": "x", **source})
    assert summary(unknown) == (loader.UNKNOWN_KEY, "aqui.toml", "aggregator.auth_logs.hots")
    assert unknown.values["nearest"] == "host"
    empty = refusal(loader.from_values, {}, "aqui.toml", {})
    assert summary(empty) == (loader.MISSING_KEY, "aqui.toml", "aggregator.merchants")


def test_secrets_are_never_shown() -> None:
    notices = {"notify.urls": [HOOK], "metrics.token": SECRET}
    changed = settings(**{"transactions.password": SECRET}, **notices)
    assert SECRET not in f"{changed!r} {changed} {changed.model_dump()} {changed.model_dump_json()}"
    with pytest.raises(ValidationError) as direct:
        Source.model_validate({"host": "h", "database": "d", "user": "u", "password": [SECRET]})
    assert SECRET not in str(direct.value)


def test_the_file_is_the_argument_then_the_variable_then_the_projects(
    tmp_path: Path, default_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("argument", "variable"):
        (tmp_path / name).write_text("\ufeff" + TOML.replace("Loja", name), encoding="utf-8")
    default_file.write_text(TOML, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    environ = {loader.FILE_VARIABLE: str(tmp_path / "variable")}
    assert loader.load(Path("argument"), environ).merchants == {A: "argument"}
    assert loader.load(None, environ).merchants == {A: "variable"}
    assert loader.load(None, {loader.FILE_VARIABLE: ""}).merchants == {A: "Loja"}


def test_the_environment_alone_can_be_the_configuration() -> None:
    side = '{"host": "h", "database": "d", "user": "u"}'
    environ = {"AGGREGATOR__TRANSACTIONS": side, f"AGGREGATOR__MERCHANTS__{A}": "Loja"}
    assert loader.exists(environ=environ)
    missing = refusal(loader.load, None, environ)
    assert summary(missing) == (loader.MISSING_KEY, "ambiente", "aggregator.auth_logs")
    assert loader.load(None, {**environ, "AGGREGATOR__AUTH_LOGS": side}).auth_logs.host == "h"


def test_without_a_configuration_the_error_names_the_searched_places(default_file: Path) -> None:
    environ = {"PATH": "/bin", "AGGREGATOR": "x"}
    assert not loader.exists(environ=environ)
    text = str(refusal(loader.load, None, environ))
    assert all(part in text for part in (str(default_file), loader.FILE_VARIABLE, "--demo"))


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


def test_a_named_or_dangling_file_is_no_demo(tmp_path: Path, default_file: Path) -> None:
    gone = tmp_path / "gone.toml"
    default_file.symlink_to(gone)
    for path, environ in ((gone, {}), (None, {loader.FILE_VARIABLE: str(gone)}), (None, {})):
        assert loader.exists(path, environ)
        assert refusal(loader.load, path, environ).values["reason"] == file_permissions.NO_FILE


@pytest.mark.parametrize(("text", "template", "values"), UNUSABLE)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, text: str, template: str, values: dict[str, object]
) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(text.encode("latin-1"))
    error = refusal(loader.load, file, {})
    assert error.template == template
    assert error.values.items() >= values.items()
    assert str(file) in str(error)


@pytest.mark.parametrize("wrong", ["", "123", "11222333000181", B.lower()])
def test_a_merchant_is_a_configured_one_by_default_the_first(wrong: str) -> None:
    changed = settings(merchants={B: "B", A: "A"})
    assert (changed.default_merchant, loader.checked_merchant(changed, A)) == (B, A)
    error = refusal(loader.checked_merchant, changed, wrong)
    assert (error.template, error.values) == (
        loader.NOT_CONFIGURED,
        {"merchants": f"{B}, {A}"},
    )


def test_wrong_check_digits_are_a_warning_and_no_error() -> None:
    right = {A, B, "11222333000181", "00000000000191"}
    wrong = {"12345678000190", "12ABC34501DE53", "11222333000118"}
    assert {cnpj for cnpj in right | wrong if check_digits_ok(cnpj)} == right
    assert not check_digits_ok("123")
    notices = settings(merchants=dict.fromkeys(right | wrong, "Loja")).warnings()
    warnings = " ".join(map(str, notices))
    assert {cnpj for cnpj in right | wrong if cnpj in warnings} == wrong
    assert "digitação" not in warnings  # it may have been picked from the list of `init`


def test_the_example_shows_every_key_and_its_default(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    shown = set(re.findall(r"^(?:# )?(\w+) = ", text, re.MULTILINE))
    tables = (Settings, Source, Privacy, Access, Audit, Dashboard, Engine, Cases, Notify, Metrics)
    tables += (Wait, Copies, CopyAccess)
    keys = {key for table in tables for key in table.model_fields}
    sign_in = {"redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url"}
    keys -= {"merchants", "transactions", "auth_logs", "privacy", "access", "audit", "history"}
    keys -= {"engine", "dashboard", "cases", "notify", "metrics", "wait", "copies"}
    assert shown - sign_in == keys - {"people", "groups"}
    without_default = (
        "password_file|sslrootcert|sslcert|sslkey|query_file|key_file|kind|memory_limit|workers"
    )
    without_default += "|staging_dir|result_dir|urls|urls_file|dashboard_url|token|token_file"
    without_default += "|until|user|password|known_hosts|endpoint_url"
    without_default += f"|{'|'.join(sign_in)}"
    uncommented = re.sub(rf"^# (?!{without_default})(?=\w+ = )", "", text, flags=re.MULTILINE)
    loaded = []
    for name, content in {"unchanged": text, "with_defaults": uncommented}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        (tmp_path / name).chmod(0o600)
        loaded.append(loader.load(tmp_path / name, {}))
    assert loaded[0] == loaded[1]
    assert loaded[0].warnings() == []


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o602, 0o620])
def test_a_configuration_or_query_that_other_accounts_can_change_is_refused(
    within_reach: Path, mode: int
) -> None:
    query, file = within_reach / "q.sql", within_reach / "a.toml"
    query.write_text("SELECT 1")
    side = f'transactions = {{query_file = "{query}", '
    file.write_text(TOML.replace("transactions = {", side))
    for changeable in (file, query):
        query.chmod(0o644)
        file.chmod(0o644)
        assert loader.load(file, {}).transactions.query_file == query
        changeable.chmod(mode)
        error = refusal(loader.load, file, {})
        assert error.template == file_permissions.CHANGEABLE
        assert error.values["file"] == changeable


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_a_query_that_becomes_changeable_while_the_program_runs_is_not_sent(
    within_reach: Path, mode: int
) -> None:
    query, file = within_reach / "q.sql", within_reach / "a.toml"
    query.write_text("SELECT 1")
    file.write_text(TOML.replace("transactions = {", f'transactions = {{query_file = "{query}", '))
    for path in (query, file):
        path.chmod(0o644)
    settings = loader.load(file, {})
    query.chmod(mode)
    error = refusal(sessions.pool, settings, "transactions")
    assert (error.template, error.values["file"]) == (file_permissions.CHANGEABLE, query)
