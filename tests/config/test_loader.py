"""Where a configuration comes from, what it may say, and the sentence for each mistake."""

import copy
import re
import tomllib
import traceback
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from lib.config import loader
from lib.config.settings import (
    ROOT,
    Access,
    Audit,
    Dashboard,
    Engine,
    Privacy,
    Settings,
    Source,
    check_digits_ok,
)
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
NEAREST = "timezon:timezone MERCHANT:merchants transactions.pasword:password auth_logs.HOST:host"
LATER = "vault _env_file"
BLAMED = {
    "AGGREGATOR__TRANSACTIONS__PASWORD": "a chave aggregator.transactions.pasword não existe",
    "aggregator__access__x": "a chave aggregator.access.x não existe",
    "AGGREGATOR__ACCESS__PEOPLE__A@B__ROLE": "a chave aggregator.access.people.a@b.role não existe",
    "AGGREGATOR__": "a chave aggregator. não existe",
    "AGGREGATOR__WINDOW_DAYS__X": "o valor de aggregator.window_days não serve",
    "AGGREGATOR__TRANSACTIONS": "o valor de aggregator.transactions não serve",
    "AGGREGATOR__APPROVED_CODES": "o valor de aggregator.approved_codes não serve",
    "AGGREGATOR__MERCHANTS__123": "o valor de aggregator.merchants.123 não serve",
    "AGGREGATOR__AUTH_LOGS__PORT": "o valor de aggregator.auth_logs.port não serve",
}
WHOLE, CODES, PREFIX = "um número inteiro de ", "uma lista não vazia de textos", "auto ou um número"
NO_CNPJ = [B.lower(), "12345678/00195", *(A[:13] + end for end in ("", "55", "A", "٥", "5\n"))]
WRONG: list[tuple[str, Any, str]] = [
    ("window_days", (-1, "dez", True, 1.5, 10**9), WHOLE + "0 a "),
    ("timezone", ("", "Brasil", "America", "../etc", "a\0b", "x" * 5000, 3), "um fuso horário"),
    ("output_path", ("", 5), "o caminho de um arquivo"),
    ("match_rule", ("cards", "", 1), "card ou card_time"),
    ("approved_codes", ([], "00", [0], [""], {}), CODES),
    ("virtual_prefix_length", (-1, "six", False), PREFIX),
    ("merchants", ({}, "Loja", [A]), 'CNPJ = "nome"'),
    (f"merchants.{A}", ("", 1), 'CNPJ = "nome"'),
    *((f"merchants.{cnpj}", ("x",), 'CNPJ = "nome"') for cnpj in NO_CNPJ),
    ("transactions", (SECRET, []), "a tabela do banco de transações"),
    ("transactions.host", ("", 1), "um texto"),
    ("transactions.password", (123456, [SECRET]), "um texto"),
    ("auth_logs.port", (0, 65536, "x"), WHOLE + "1 a 65535"),
    ("auth_logs.statement_timeout", (0,), WHOLE + "1 a "),
    ("auth_logs.sslmode", ("full",), "disable, allow, prefer"),
    ("auth_logs.sslcert", ([],), "o caminho de um arquivo"),
    ("privacy.report", ("open",), "masked ou clear"),
]
UNUSABLE = [
    (f'[aggregator]\npassword = "{SECRET}\n', "o TOML tem um erro na linha 2."),
    ("[aggregator]\n\nx = 1\nx = 2\n", "o TOML tem um erro na linha 4."),
    (f'[aggregator]\nx = """{SECRET}\nb', "o TOML tem um erro na linha 3."),
    ("aggregator = 1\n", "falta [aggregator]; espera-se uma tabela."),
    ("\xff", "falta permissão, ou não é um arquivo de texto em UTF-8."),
]


@pytest.fixture(autouse=True)
def default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A default place of its own: whoever runs the tests may have a configuration."""
    monkeypatch.setattr(loader, "DEFAULT_FILE", tmp_path / "secrets.toml")
    return tmp_path / "secrets.toml"


def settings(environ: dict[str, str] | None = None, **changes: Any) -> Settings:
    """From the minimal table with these dotted keys changed."""
    table = copy.deepcopy(MINIMAL)
    for place, value in changes.items():
        above, _, key = place.rpartition(".")
        (table.setdefault(above, {}) if above else table)[key] = value
    return loader.from_values(table, "aqui.toml", environ or {})


def refusal(call: Any, *args: Any, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*args, **changes)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_the_defaults_are_the_contract() -> None:
    made, source = settings(), settings().transactions
    assert (made.window_days, made.match_rule, made.tolerance_minutes) == (10, "card", 5)
    assert (made.approved_codes, made.virtual_prefix_length) == (("00",), "auto")
    assert made.output_path == ROOT / "resultado_transacoes.xlsx"
    assert (made.zone, made.privacy.report) == (ZoneInfo("America/Sao_Paulo"), "masked")
    assert (source.port, source.connect_timeout, source.statement_timeout) == (5432, 5, 300)
    assert (source.secret(), source.query_file, source.sslrootcert) == (None, None, None)
    assert all(model.model_config["frozen"] for model in (Settings, Source, Privacy))


def test_only_this_machine_is_trusted_without_a_verified_certificate() -> None:
    for host in ("/run/postgresql", "@a", "localhost", "127.0.0.1", "::1"):
        assert Source(host=host, database="d", user="u").sslmode == "prefer"
    for host in ("db", "10.0.0.1", "127.0.0.1.com", "localhost.com", "::1,db"):
        assert Source(host=host, database="d", user="u").sslmode == "verify-full"
        assert Source(host=host, database="d", user="u", sslmode="allow").sslmode == "allow"


def test_relative_paths_are_the_projects_wherever_they_were_written(tmp_path: Path) -> None:
    paths = {"transactions.sslrootcert": "system", "output_path": str(tmp_path / "r.xlsx")}
    made = settings({"AGGREGATOR__AUTH_LOGS__QUERY_FILE": "sql/b.sql"}, **paths)
    assert made.output_path == tmp_path / "r.xlsx"
    assert made.auth_logs.query_file == ROOT / "sql" / "b.sql"
    assert made.transactions.sslrootcert == Path("system")


@pytest.mark.parametrize("prefix", ["AGGREGATOR__", "aggregator__"])
@pytest.mark.parametrize("override", OVERRIDES)
def test_the_environment_goes_over_the_file(prefix: str, override: tuple[Any, ...]) -> None:
    name, text, key, expected = override
    environ = {"AGGREGATOR": "x", "AGGREGATOR_CONFIG": "x", prefix + name: text}
    assert getattr(settings(environ), key) == expected


def test_a_variable_for_one_key_goes_over_a_variable_for_its_table() -> None:
    name = "AGGREGATOR__TRANSACTIONS"
    environ = {f"{name}__PORT": "3", name: '{"port": 2, "user": "b"}'}
    source = settings(environ, **{"transactions.port": 1}).transactions
    assert (source.port, source.user, source.database) == (3, "b", "a")


@pytest.mark.parametrize("password", ['{"a": 1}', "[1]", "null", "0123", 'a"b\\', "p@s/%20", ""])
def test_a_password_in_the_environment_is_taken_as_it_is(password: str) -> None:
    made = settings({"AGGREGATOR__TRANSACTIONS__PASSWORD": password})
    assert made.transactions.secret() == (password or None)


def test_an_empty_variable_clears_an_optional_file() -> None:
    made = settings({"AGGREGATOR__AUTH_LOGS__SSLCERT": ""}, **{"auth_logs.sslcert": "x"})
    assert made.auth_logs.sslcert is None


@pytest.mark.parametrize(("text", "secret"), FILES.items())
def test_a_password_file_loses_its_line_end(tmp_path: Path, text: str, secret: str | None) -> None:
    (tmp_path / "password").write_bytes(text.encode())
    (tmp_path / "password").chmod(0o600)
    made = settings(**{"transactions.password_file": str(tmp_path / "password")})
    assert made.transactions.secret() == secret


def test_a_password_of_the_environment_hides_either_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of the file\n", encoding="utf-8")
    (tmp_path / "password").chmod(0o600)
    name = "AGGREGATOR__TRANSACTIONS__PASSWORD"
    made = settings({name: "direct"}, **{"transactions.password_file": "/gone"})
    assert made.transactions.secret() == "direct"
    environ = {f"{name}_FILE": str(tmp_path / "password")}
    made = settings(environ, **{"transactions.password": "x"})
    assert made.transactions.secret() == "of the file"


def test_password_and_password_file_together_are_refused() -> None:
    name, both = "AGGREGATOR__AUTH_LOGS__PASSWORD", "aggregator.auth_logs tem password e "
    table = {**MINIMAL["auth_logs"], "password": SECRET, "password_file": "/run/x"}
    assert refusal(settings, auth_logs=table).startswith(f"aqui.toml: {both}")
    environ = {name: SECRET, f"{name}_FILE": "/run/x"}
    assert refusal(settings, environ).startswith(f"{name}: {both}")


@pytest.mark.parametrize("name", ["gone", ""])
def test_an_unreadable_password_file_is_named(tmp_path: Path, name: str) -> None:
    text = refusal(settings, **{"auth_logs.password_file": str(tmp_path / name)})
    assert text.startswith(f"Não foi possível ler a senha (password_file) em {tmp_path / name}: ")


@pytest.mark.parametrize("value", [SECRET, {"path": SECRET}])
@pytest.mark.parametrize("known", [*NEAREST.split(), *LATER.split()])
def test_an_unknown_key_is_refused_beside_the_nearest_known_one(known: str, value: object) -> None:
    key, _, nearest = known.partition(":")
    said = f"aqui.toml: a chave aggregator.{key} não existe; a mais parecida é {nearest}"
    assert refusal(settings, **{key: value}).startswith(said)


@pytest.mark.parametrize(("variable", "sentence"), BLAMED.items())
def test_a_mistake_in_the_environment_names_the_variable(variable: str, sentence: str) -> None:
    assert refusal(settings, {variable: SECRET}).startswith(f"{variable}: {sentence}; ")


def test_a_mistake_of_the_file_is_not_blamed_on_a_variable_of_the_same_table() -> None:
    environ = {"AGGREGATOR__TRANSACTIONS": '{"port": 1}', "AGGREGATOR__AUTH_LOGS__PORT": "1"}
    for key in ("transactions.hots", "transactions.sslmode", "auth_logs.sslmode"):
        assert refusal(settings, environ, **{key: "x"}).startswith("aqui.toml: ")


@pytest.mark.parametrize(("key", "wrong", "expected"), WRONG)
def test_a_wrong_value_is_told_what_is_expected(key: str, wrong: Any, expected: str) -> None:
    start = f"aqui.toml: o valor de aggregator.{key} não serve; espera-se {expected}"
    for value in wrong:
        assert refusal(settings, **{key: value}).startswith(start)


def test_a_missing_key_is_named_after_any_unknown_one() -> None:
    source = {"database": "a", "user": "u"}
    missing = "aqui.toml: falta aggregator."
    assert refusal(settings, auth_logs=source).startswith(f"{missing}auth_logs.host; ")
    text = refusal(settings, window_days="x", auth_logs={"hots": "x", **source})
    assert "aggregator.auth_logs.hots não existe; a mais parecida é host." in text
    assert refusal(loader.from_values, {}, "aqui.toml", {}).startswith(f"{missing}merchants; ")


def test_secrets_show_nowhere() -> None:
    made = settings(**{"transactions.password": SECRET})
    assert SECRET not in f"{made!r} {made} {made.model_dump()} {made.model_dump_json()}"
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
    assert refusal(loader.load, None, environ).startswith("ambiente: falta aggregator.auth_logs; ")
    assert loader.load(None, {**environ, "AGGREGATOR__AUTH_LOGS": side}).auth_logs.host == "h"


def test_without_a_configuration_the_refusal_says_where_it_looked(default_file: Path) -> None:
    environ = {"AGGREGATOR__WINDOW_DAYS": "30", "AGGREGATOR__TRANSACTIONS__PORT": "1"}
    assert not loader.exists(environ=environ)
    text = refusal(loader.load, None, environ)
    assert all(part in text for part in (str(default_file), loader.FILE_VARIABLE, "--demo"))


def test_a_named_or_dangling_file_is_no_demo(tmp_path: Path, default_file: Path) -> None:
    gone = tmp_path / "gone.toml"
    default_file.symlink_to(gone)
    for path, environ in ((gone, {}), (None, {loader.FILE_VARIABLE: str(gone)}), (None, {})):
        assert loader.exists(path, environ)
        assert refusal(loader.load, path, environ).endswith(": o arquivo não existe.")


@pytest.mark.parametrize(("text", "sentence"), UNUSABLE)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(text.encode("latin-1"))
    assert f"{file}: {sentence}" in refusal(loader.load, file, {})


@pytest.mark.parametrize("wrong", ["", "123", "11222333000181", B.lower()])
def test_a_merchant_is_a_configured_one_by_default_the_first(wrong: str) -> None:
    made = settings(merchants={B: "B", A: "A"})
    assert (made.default_merchant, loader.checked_merchant(made, A)) == (B, A)
    with pytest.raises(ConfigError, match=f"^O CNPJ pedido não é um dos configurados: {B}, {A}.$"):
        loader.checked_merchant(made, wrong)


def test_wrong_check_digits_are_a_warning_and_no_error() -> None:
    right = {A, B, "11222333000181", "00000000000191"}
    wrong = {"12345678000190", "12ABC34501DE53", "11222333000118"}
    assert {cnpj for cnpj in right | wrong if check_digits_ok(cnpj)} == right
    assert not check_digits_ok("123")
    found = settings(merchants=dict.fromkeys(right | wrong, "Loja")).warnings()
    warnings = " ".join(map(str, found))
    assert {cnpj for cnpj in right | wrong if cnpj in warnings} == wrong


def test_the_example_shows_every_key_and_its_default(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    shown = set(re.findall(r"^(?:# )?(\w+) = ", text, re.MULTILINE))
    tables = (Settings, Source, Privacy, Access, Audit, Dashboard, Engine)
    keys = {key for table in tables for key in table.model_fields}
    sign_in = {"redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url"}
    keys -= {"merchants", "transactions", "auth_logs", "privacy", "access", "audit", "history"}
    keys -= {"engine", "dashboard"}
    assert shown - sign_in == keys - {"people", "groups"}
    without_default = (
        "password_file|sslrootcert|sslcert|sslkey|query_file|key_file|kind|memory_limit|workers"
    )
    without_default += "|staging_dir|result_dir"
    without_default += f"|{'|'.join(sign_in)}"
    said = re.sub(rf"^# (?!{without_default})(?=\w+ = )", "", text, flags=re.MULTILINE)
    read = []
    for name, content in {"as_it_is": text, "with_defaults": said}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        (tmp_path / name).chmod(0o600)
        read.append(loader.load(tmp_path / name, {}))
    assert read[0] == read[1]
    assert read[0].warnings() == []


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o602, 0o620])
def test_a_configuration_or_query_that_other_accounts_can_change_is_refused(
    within_reach: Path, mode: int
) -> None:
    query, file = within_reach / "q.sql", within_reach / "a.toml"
    query.write_text("SELECT 1")
    side = f'transactions = {{query_file = "{query}", '
    file.write_text(TOML.replace("transactions = {", side))
    for one, what in {file: "a configuração", query: "a consulta"}.items():
        query.chmod(0o644)
        file.chmod(0o644)
        assert loader.load(file, {}).transactions.query_file == query
        one.chmod(mode)
        with pytest.raises(ConfigError) as caught:
            loader.load(file, {})
        assert str(caught.value) == (
            f"Outras contas podem alterar {what} em {one}: rode chmod go-w nesse arquivo e tente "
            "de novo."
        )
