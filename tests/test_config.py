"""Where a configuration comes from, what it may say, and the sentence for each mistake."""

import copy
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from lib import config
from lib.config import Privacy, Settings, Source
from lib.errors import ConfigError

EXAMPLE = config.ROOT / ".streamlit" / "secrets.example.toml"
CNPJ = "12345678000195"
ALPHANUMERIC = "12ABC34501DE35"
SECRET = "s3nh@-{de}-teste"
MINIMAL: dict[str, Any] = {
    "merchants": {CNPJ: "Loja"},
    "transactions": {"host": "/run/a", "database": "a", "user": "u"},
    "auth_logs": {"host": "db.example.com", "database": "b", "user": "u"},
}
TOML = f"""
[auth]
client_secret = "ignored"

[aggregator.merchants]
{CNPJ} = "Loja"

[aggregator.transactions]
host = "/run/a"
database = "a"
user = "u"
password = "{SECRET}"

[aggregator.auth_logs]
host = "db.example.com"
database = "b"
user = "u"
"""


@pytest.fixture(autouse=True)
def default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A default place of its own: whoever runs the tests may have a configuration."""
    file = tmp_path / "default" / "secrets.toml"
    file.parent.mkdir()
    monkeypatch.setattr(config, "DEFAULT_FILE", file)
    return file


def values(**changes: Any) -> dict[str, Any]:
    """The minimal table with dotted keys changed (``transactions__port=1``)."""
    table = copy.deepcopy(MINIMAL)
    for place, value in changes.items():
        *above, key = place.split("__")
        inner = table
        for name in above:
            inner = inner.setdefault(name, {})
        inner[key] = value
    return table


def settings(environ: dict[str, str] | None = None, **changes: Any) -> Settings:
    return config.from_values(values(**changes), "aqui.toml", environ or {})


def refusal(environ: dict[str, str] | None = None, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(environ, **changes)
    return str(caught.value)


def refused_file(file: Path, text: str | bytes) -> str:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        config.load(file, {})
    return str(caught.value)


def test_the_defaults_are_the_contract() -> None:
    made = settings()
    assert made.window_days == 10
    assert made.zone == ZoneInfo("America/Sao_Paulo")
    assert made.output_path == config.ROOT / "resultado_transacoes.xlsx"
    assert made.match_rule == "card"
    assert made.tolerance_minutes == 5
    assert made.approved_codes == ("00",)
    assert made.virtual_prefix_length == "auto"
    assert made.privacy == Privacy(report="masked")
    assert made.transactions.port == 5432
    assert made.transactions.connect_timeout == 5
    assert made.transactions.statement_timeout == 300
    assert made.transactions.secret() is None
    assert made.transactions.query_file is None


def test_the_first_merchant_is_the_default() -> None:
    made = settings(merchants={ALPHANUMERIC: "Primeira", CNPJ: "Segunda"})
    assert made.default_merchant == ALPHANUMERIC


def test_nothing_of_the_settings_can_be_changed() -> None:
    made = settings()
    for model, name in (
        (made, "window_days"),
        (made.transactions, "host"),
        (made.privacy, "report"),
    ):
        with pytest.raises(ValidationError):
            setattr(model, name, 1)


@pytest.mark.parametrize(
    ("host", "sslmode"),
    [
        ("db.example.com", "verify-full"),
        ("10.0.0.1", "verify-full"),
        ("127.0.0.1.example.com", "verify-full"),
        ("localhost.example.com", "verify-full"),
        ("localhost,db.example.com", "verify-full"),
        ("/run/postgresql", "prefer"),
        ("@abstract", "prefer"),
        ("localhost", "prefer"),
        ("127.0.0.1", "prefer"),
        ("::1", "prefer"),
    ],
)
def test_only_this_machine_is_trusted_without_a_verified_certificate(
    host: str, sslmode: str
) -> None:
    assert Source(host=host, database="d", user="u").sslmode == sslmode
    assert Source(host=host, database="d", user="u", sslmode="require").sslmode == "require"


def test_relative_paths_are_the_projects_wherever_they_were_written(tmp_path: Path) -> None:
    variable = {"AGGREGATOR__AUTH_LOGS__QUERY_FILE": "sql/b.sql"}
    made = settings(
        variable,
        output_path=str(tmp_path / "r.xlsx"),
        transactions__query_file="sql/a.sql",
        transactions__sslrootcert="system",
        auth_logs__sslrootcert="ca.pem",
    )
    assert made.output_path == tmp_path / "r.xlsx"
    assert made.transactions.query_file == config.ROOT / "sql" / "a.sql"
    assert made.auth_logs.query_file == config.ROOT / "sql" / "b.sql"
    assert made.transactions.sslrootcert == Path("system")
    assert made.auth_logs.sslrootcert == config.ROOT / "ca.pem"


@pytest.mark.parametrize(
    ("variable", "text", "attribute", "expected"),
    [
        ("WINDOW_DAYS", "30", "window_days", 30),
        ("MATCH_RULE", "card_time", "match_rule", "card_time"),
        ("VIRTUAL_PREFIX_LENGTH", "6", "virtual_prefix_length", 6),
        ("VIRTUAL_PREFIX_LENGTH", "auto", "virtual_prefix_length", "auto"),
        ("APPROVED_CODES", '["00", "85"]', "approved_codes", ("00", "85")),
        ("PRIVACY__REPORT", "clear", "privacy", Privacy(report="clear")),
        ("PRIVACY", '{"report": "clear"}', "privacy", Privacy(report="clear")),
        (f"MERCHANTS__{CNPJ}", "Outra", "merchants", {CNPJ: "Outra"}),
        (f"MERCHANTS__{ALPHANUMERIC}", "1", "merchants", {CNPJ: "Loja", ALPHANUMERIC: "1"}),
        ("MERCHANTS", f'{{"{ALPHANUMERIC}": "B"}}', "merchants", {CNPJ: "Loja", ALPHANUMERIC: "B"}),
    ],
)
@pytest.mark.parametrize("prefix", ["AGGREGATOR__", "aggregator__"])
def test_the_environment_goes_over_the_file(
    prefix: str, variable: str, text: str, attribute: str, expected: object
) -> None:
    made = settings({prefix + variable: text, "AGGREGATOR": "x", "OTHER__KEY": "x"})
    assert getattr(made, attribute) == expected


def test_a_key_of_a_table_goes_over_the_whole_table_in_the_environment() -> None:
    made = settings(
        {
            "AGGREGATOR__TRANSACTIONS__PORT": "3",
            "AGGREGATOR__TRANSACTIONS": '{"port": 2, "user": "b"}',
        },
        transactions__port=1,
    )
    assert (made.transactions.port, made.transactions.user) == (3, "b")
    assert made.transactions.database == "a"


@pytest.mark.parametrize("password", ['{"a": 1}', "[1]", "null", "0123", 'a"b\\', "p@ss:w/rd%20"])
def test_a_password_in_the_environment_is_taken_as_it_is(password: str) -> None:
    made = settings({"AGGREGATOR__TRANSACTIONS__PASSWORD": password})
    assert made.transactions.secret() == password


def test_an_empty_variable_clears_an_optional_key() -> None:
    cleared = ("PASSWORD", "QUERY_FILE", "SSLROOTCERT")
    environ = {f"AGGREGATOR__TRANSACTIONS__{name}": "" for name in cleared}
    source = settings(
        environ,
        transactions__password="x",
        transactions__query_file="q.sql",
        transactions__sslrootcert="ca.pem",
    ).transactions
    assert (source.secret(), source.query_file, source.sslrootcert) == (None, None, None)


@pytest.mark.parametrize(
    ("content", "password"),
    [("abc\n", "abc"), ("abc\r\n", "abc"), (" a b ", " a b "), ("\ufeffçã\n", "çã"), ("", None)],
)
def test_a_password_file_gives_the_password_without_its_line_end(
    tmp_path: Path, content: str, password: str | None
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content.encode())
    source = settings(transactions__password_file=str(file)).transactions
    assert source.secret() == password
    file.write_text("rotated\n", encoding="utf-8")
    assert source.secret() == "rotated"


def test_a_password_in_the_environment_takes_the_place_of_either_in_the_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "password"
    file.write_text("from the file\n", encoding="utf-8")
    by_value = {"AGGREGATOR__TRANSACTIONS__PASSWORD": "direct"}
    by_file = {"AGGREGATOR__TRANSACTIONS__PASSWORD_FILE": str(file)}
    assert settings(by_value, transactions__password_file="/gone").transactions.secret() == "direct"
    assert settings(by_file, transactions__password="x").transactions.secret() == "from the file"
    assert "deixe só um" in refusal(by_value | by_file)


@pytest.mark.parametrize(
    ("changes", "key", "nearest"),
    [
        ({"windw_days": 1}, "aggregator.windw_days", "window_days"),
        ({"Merchant": {}}, "aggregator.Merchant", "merchants"),
        ({"transactions__pasword": SECRET}, "aggregator.transactions.pasword", "password"),
        ({"auth_logs__HOST": "x"}, "aggregator.auth_logs.HOST", "host"),
        ({"privacy__reports": "x"}, "aggregator.privacy.reports", "report"),
        ({"_env_file": "x"}, "aggregator._env_file", ""),
        ({"transactions": {"hots": "x"}}, "aggregator.transactions.hots", "host"),
        *(
            ({name: value}, f"aggregator.{name}", "")
            for name, value in {
                "access": {},
                "audit": {"path": "a"},
                "history": {},
                "engine": {},
                "row_level_security": True,
                "allow_insecure": True,
                "keep": 0,
            }.items()
        ),
    ],
)
def test_an_unknown_key_is_refused_beside_the_nearest_known_one(
    changes: dict[str, Any], key: str, nearest: str
) -> None:
    text = refusal(**changes)
    assert text.startswith(f"aqui.toml: a chave {key} não existe; a mais parecida é {nearest}")
    assert SECRET not in text


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ("AGGREGATOR__WINDW_DAYS", "a chave aggregator.windw_days não existe"),
        ("AGGREGATOR__TRANSACTIONS__PASWORD", "a chave aggregator.transactions.pasword não existe"),
        ("aggregator__access__x", "a chave aggregator.access não existe"),
        ("AGGREGATOR__", "a chave aggregator. não existe"),
        ("AGGREGATOR__WINDOW_DAYS__X", "o valor de aggregator.window_days não serve"),
        ("AGGREGATOR__WINDOW_DAYS", "o valor de aggregator.window_days não serve"),
        ("AGGREGATOR__TRANSACTIONS__HOST__X", "o valor de aggregator.transactions.host não serve"),
        ("AGGREGATOR__TRANSACTIONS", "o valor de aggregator.transactions não serve"),
        ("AGGREGATOR__APPROVED_CODES", "o valor de aggregator.approved_codes não serve"),
        ("AGGREGATOR__MERCHANTS", "o valor de aggregator.merchants não serve"),
        ("AGGREGATOR__MERCHANTS__123", "o valor de aggregator.merchants.123 não serve"),
        ("AGGREGATOR__AUTH_LOGS__PORT", "o valor de aggregator.auth_logs.port não serve"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable_and_not_its_value(
    variable: str, sentence: str
) -> None:
    text = refusal({variable: SECRET})
    assert text.startswith(f"{variable}: {sentence}; ")
    assert SECRET not in text


def test_a_mistake_of_the_file_is_not_blamed_on_a_variable_of_the_same_table() -> None:
    environ = {"AGGREGATOR__TRANSACTIONS": '{"port": 1}', "AGGREGATOR__AUTH_LOGS__PORT": "1"}
    assert refusal(environ, transactions__hots="x").startswith("aqui.toml: a chave ")
    assert refusal(environ, auth_logs__sslmode="x").startswith("aqui.toml: o valor ")


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"window_days": -1}, "window_days", "um número inteiro de 0 a"),
        ({"window_days": "dez"}, "window_days", "um número inteiro"),
        ({"window_days": True}, "window_days", "um número inteiro"),
        ({"window_days": 1.5}, "window_days", "um número inteiro"),
        ({"window_days": 10**9}, "window_days", "um número inteiro"),
        ({"tolerance_minutes": -1}, "tolerance_minutes", "um número inteiro"),
        *(
            ({"timezone": name}, "timezone", "um fuso horário")
            for name in ("", "Brasil", "America", "../etc/passwd", "a\0b", "x" * 5000, 3)
        ),
        ({"output_path": ""}, "output_path", "o caminho de um arquivo"),
        ({"output_path": 5}, "output_path", "o caminho de um arquivo"),
        ({"match_rule": "cards"}, "match_rule", "card ou card_time"),
        ({"approved_codes": []}, "approved_codes", "uma lista não vazia"),
        ({"approved_codes": "00"}, "approved_codes", "uma lista não vazia"),
        ({"approved_codes": [0]}, "approved_codes", "uma lista não vazia"),
        ({"approved_codes": [""]}, "approved_codes", "uma lista não vazia"),
        ({"virtual_prefix_length": -1}, "virtual_prefix_length", "auto ou um número"),
        ({"virtual_prefix_length": "six"}, "virtual_prefix_length", "auto ou um número"),
        ({"virtual_prefix_length": False}, "virtual_prefix_length", "auto ou um número"),
        ({"merchants": {}}, "merchants", 'CNPJ = "nome"'),
        ({"merchants": "Loja"}, "merchants", 'CNPJ = "nome"'),
        ({"merchants": {CNPJ: ""}}, f"merchants.{CNPJ}", 'CNPJ = "nome"'),
        *(
            ({"merchants": {CNPJ: "Loja", wrong: "x"}}, f"merchants.{wrong}", 'CNPJ = "nome"')
            for wrong in (
                "1234567800019",
                "123456780001955",
                "12abc34501de35",
                "12345678/00195",
                "12345678000A95",
                "1234567800019A",
                "١٢٣٤٥٦٧٨٠٠٠١٩٥",
                CNPJ + "\n",
            )
        ),
        ({"transactions": "x"}, "transactions", "a tabela do banco de transações"),
        ({"transactions__host": ""}, "transactions.host", "um texto"),
        ({"transactions__host": 1}, "transactions.host", "um texto"),
        ({"transactions__password": 123456}, "transactions.password", "um texto"),
        ({"transactions__sslmode": "full"}, "transactions.sslmode", "disable, allow"),
        ({"auth_logs__port": 0}, "auth_logs.port", "um número inteiro de 1 a 65535"),
        ({"auth_logs__port": 65536}, "auth_logs.port", "um número inteiro de 1 a 65535"),
        ({"auth_logs__connect_timeout": 0}, "auth_logs.connect_timeout", "um número inteiro de 1"),
        ({"auth_logs__statement_timeout": 0}, "auth_logs.statement_timeout", "um número inteiro"),
        ({"auth_logs__sslcert": []}, "auth_logs.sslcert", "o caminho de um arquivo"),
        ({"privacy": "clear"}, "privacy", "uma tabela"),
        ({"privacy__report": "open"}, "privacy.report", "masked ou clear"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key_and_what_is_expected(
    changes: dict[str, Any], key: str, expected: str
) -> None:
    text = refusal(**changes)
    assert text.startswith(
        f"aqui.toml: o valor de aggregator.{key} não serve; espera-se {expected}"
    )
    assert text.endswith(".")
    assert "123456." not in text


@pytest.mark.parametrize(
    "missing", ["merchants", "transactions", "auth_logs", "transactions.host", "auth_logs.user"]
)
def test_a_missing_key_is_named(missing: str) -> None:
    table = values()
    *above, key = missing.split(".")
    del (table[above[0]] if above else table)[key]
    with pytest.raises(ConfigError) as caught:
        config.from_values(table, "aqui.toml", {})
    assert str(caught.value).startswith(f"aqui.toml: falta aggregator.{missing}; espera-se ")


def test_an_unknown_key_is_told_before_the_key_it_left_missing() -> None:
    text = refusal(window_days="x", transactions={"hots": "x", "database": "a", "user": "u"})
    assert "aggregator.transactions.hots não existe; a mais parecida é host" in text


def test_password_and_password_file_together_are_refused() -> None:
    text = refusal(auth_logs__password=SECRET, auth_logs__password_file="/run/x")
    assert text.startswith("aqui.toml: aggregator.auth_logs tem password e password_file")
    assert SECRET not in text


@pytest.mark.parametrize(
    ("name", "reason"),
    [("gone", "o arquivo não existe"), ("folder", "falta permissão"), ("latin", "UTF-8")],
)
def test_an_unreadable_password_file_is_named(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin").write_bytes(b"senha\xe7")
    text = refusal(auth_logs__password_file=str(tmp_path / name))
    assert text.startswith(f"Não foi possível ler a senha (password_file) em {tmp_path / name}: ")
    assert reason in text


def test_secrets_show_nowhere(tmp_path: Path) -> None:
    made = settings(transactions__password=SECRET)
    assert made.transactions.secret() == SECRET
    for shown in (repr(made), str(made), str(made.model_dump()), made.model_dump_json()):
        assert SECRET not in shown
    for changes in ({"transactions__password": [SECRET]}, {"transactions": SECRET}):
        with pytest.raises(ConfigError) as caught:
            settings(**changes)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ValidationError) as direct:
        Source.model_validate({"host": "h", "database": "d", "user": "u", "password": [SECRET]})
    assert SECRET not in str(direct.value)
    with pytest.raises(ConfigError) as broken:
        (tmp_path / "c.toml").write_text(f'password = "{SECRET}', encoding="utf-8")
        config.load(tmp_path / "c.toml", {})
    assert SECRET not in "".join(traceback.format_exception(broken.value))


def test_the_file_is_the_argument_then_the_variable_then_the_projects(
    tmp_path: Path, default_file: Path
) -> None:
    for name in ("argument", "variable"):
        (tmp_path / name).write_text(TOML.replace('"Loja"', f'"{name}"'), encoding="utf-8")
    default_file.write_text(TOML, encoding="utf-8")
    environ = {config.FILE_VARIABLE: str(tmp_path / "variable")}
    assert config.load(tmp_path / "argument", environ).merchants == {CNPJ: "argument"}
    assert config.load(None, environ).merchants == {CNPJ: "variable"}
    assert config.load(None, {config.FILE_VARIABLE: ""}).merchants == {CNPJ: "Loja"}
    assert config.load(None, {}).transactions.secret() == SECRET


def test_a_relative_file_is_the_working_directorys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text("\ufeff" + TOML, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert config.load(Path("c.toml"), {}).merchants == {CNPJ: "Loja"}


def test_the_environment_alone_can_be_the_configuration() -> None:
    sources = {"host": "h", "database": "d", "user": "u"}
    environ = {
        f"AGGREGATOR__{side}__{key.upper()}": value
        for side in ("TRANSACTIONS", "AUTH_LOGS")
        for key, value in sources.items()
    }
    environ[f"AGGREGATOR__MERCHANTS__{CNPJ}"] = "Loja"
    assert config.exists(environ=environ)
    assert config.load(environ=environ).auth_logs.database == "d"
    del environ["AGGREGATOR__AUTH_LOGS__USER"]
    with pytest.raises(ConfigError, match="^ambiente: falta aggregator.auth_logs.user; "):
        config.load(environ=environ)


def test_without_a_configuration_the_refusal_says_where_it_looked(default_file: Path) -> None:
    environ = {"AGGREGATOR__WINDOW_DAYS": "30", "AGGREGATOR__TRANSACTIONS__PORT": "1"}
    assert not config.exists(environ=environ)
    with pytest.raises(ConfigError) as caught:
        config.load(environ=environ)
    for part in (str(default_file), config.FILE_VARIABLE, "--demo"):
        assert part in str(caught.value)


def test_a_named_or_dangling_file_is_a_configuration_that_fails_and_not_a_demo(
    tmp_path: Path, default_file: Path
) -> None:
    gone = tmp_path / "gone.toml"
    default_file.symlink_to(gone)
    for path, environ in ((gone, {}), (None, {config.FILE_VARIABLE: str(gone)}), (None, {})):
        assert config.exists(path, environ)
        with pytest.raises(ConfigError, match="a configuração em .*: o arquivo não existe"):
            config.load(path, environ)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[aggregator]\nwindow_days = \n", "o TOML tem um erro na linha 2."),
        ("[aggregator]\n\nx = 1\nx = 2\n", "o TOML tem um erro na linha 4."),
        ('[aggregator]\nx = """a\nb', "o TOML tem um erro na linha 3."),
        ("[auth]\nx = 1\n", "falta [aggregator]; espera-se uma tabela."),
        ("aggregator = 1\n", "falta [aggregator]; espera-se uma tabela."),
        ("", "falta [aggregator]; espera-se uma tabela."),
        ("[aggregator]\n", "falta aggregator.merchants; espera-se CNPJ"),
        ("[aggregator]\nkeep = 0\n", "a chave aggregator.keep não existe"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "c.toml"
    assert refused_file(file, text).startswith(f"{file}: {sentence}")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    assert refused_file(file, b"\xff\xfe").startswith(
        f"Não foi possível ler a configuração em {file}"
    )
    with pytest.raises(ConfigError, match="não é um arquivo"):
        config.load(tmp_path, {})


def test_a_merchant_must_be_a_configured_one() -> None:
    made = settings(merchants={CNPJ: "A", ALPHANUMERIC: "B"})
    assert config.checked_merchant(made, ALPHANUMERIC) == ALPHANUMERIC
    for wrong in ("", "123", "11222333000181", "12abc34501de35"):
        with pytest.raises(ConfigError) as caught:
            config.checked_merchant(made, wrong)
        assert str(caught.value).endswith(f": {CNPJ}, {ALPHANUMERIC}.")


@pytest.mark.parametrize(
    ("cnpj", "right"),
    [
        (CNPJ, True),
        (ALPHANUMERIC, True),
        ("11222333000181", True),
        ("00000000000191", True),
        ("12345678000190", False),
        ("12ABC34501DE53", False),
        ("11222333000118", False),
        ("1122233300018", False),
        ("", False),
    ],
)
def test_check_digits_follow_the_alphanumeric_rule(cnpj: str, right: bool) -> None:
    assert config.check_digits_ok(cnpj) is right


def test_wrong_check_digits_are_a_warning_and_no_error() -> None:
    made = settings(merchants={"12345678000190": "A", CNPJ: "B"})
    assert [("12345678000190" in w, CNPJ in w) for w in made.warnings()] == [(True, False)]


def test_the_example_loads_and_shows_every_key() -> None:
    made = config.load(EXAMPLE, {})
    assert made.warnings() == []
    shown = set(re.findall(r"^(?:# )?(\w+) = ", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    tables = {"merchants", "transactions", "auth_logs", "privacy"}
    keys = {*Settings.model_fields, *Source.model_fields, *Privacy.model_fields}
    assert shown == keys - tables


def test_the_defaults_the_example_shows_are_the_defaults(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    own = "password_file|sslrootcert|sslcert|sslkey|query_file"
    file = tmp_path / "c.toml"
    file.write_text(re.sub(rf"^# (?!{own})(?=\w+ = )", "", text, flags=re.MULTILINE), "utf-8")
    assert config.load(file, {}) == config.load(EXAMPLE, {})


def test_reading_the_configuration_loads_no_screen_and_no_database_code() -> None:
    heavy = "{'streamlit', 'pandas', 'numpy', 'sqlalchemy', 'psycopg2', 'plotly'}"
    code = f"import sys, lib.config; sys.exit(bool({heavy} & sys.modules.keys()))"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=config.ROOT, check=False).returncode == 0
    )
