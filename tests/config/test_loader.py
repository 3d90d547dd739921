"""Sources of the configuration, its defaults, and files that cannot be used."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

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
from tests.support.settings import SECRET, TOML, A, B, refusal, settings

EXAMPLE = ROOT / ".streamlit" / "secrets.example.toml"
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


def test_without_a_configuration_the_error_names_the_searched_places(default_file: Path) -> None:
    environ = {"PATH": "/bin", "AGGREGATOR": "x"}
    assert not loader.exists(environ=environ)
    text = str(refusal(loader.load, None, environ))
    assert all(part in text for part in (str(default_file), loader.FILE_VARIABLE, "--demo"))


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
