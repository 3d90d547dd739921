"""The command `init`: the files that stand already, and those that it writes."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

from lib.cli import init, init_files, main
from lib.config import loader
from tests.support.command import finish, start
from tests.support.init_terminal import MERCHANT, Terminal, both, options, without_terminal
from tests.support.sentences import says
from tests.support.servers import PASSWORD, Databases


def test_a_password_file_is_used_where_it_stands(filled: Databases, target: Path) -> None:
    secret = target.parent / "mine"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORD, encoding="utf-8")
    files = {
        "transactions_password_file": secret,
        "auth_logs_password_file": secret,
        "sign_in": None,
    }
    result = finish(start("init", "--config", str(target), *options(filled, **files), "--sign-in"))
    assert result.code == main.DONE, result.err
    assert {file.name for file in target.parent.iterdir()} == {target.name, "mine"}
    assert loader.load(target, {}).transactions.password_file == secret


def test_an_existing_file_stays_as_it_is_unless_told(filled: Databases, target: Path) -> None:
    target.write_text("# mine", encoding="utf-8")
    terminal = Terminal(target)
    assert terminal.end() == main.FAILED
    assert says(terminal.shown, init.ALREADY_THERE)
    assert target.read_text(encoding="utf-8") == "# mine"
    result = without_terminal(target, "--replace", *options(filled))
    assert result.code == main.DONE, result.err
    previous = target.with_name("aggregator.toml.previous")
    assert previous.read_text(encoding="utf-8") == "# mine"
    assert loader.load(target, {}).default_merchant == MERCHANT


EARLIER = """
other = [1.5, 2026-11-20, { "a b" = "\\u007f\\n" }]
[auth]
client_secret = "segredo"
[auth.microsoft]
client_id = "painel"
[aggregator]
timezone = "America/Manaus"
merchants = { "99999999000191" = "Antiga" }
allow_insecure = true
transactions = { host = "old.example.com", sslmode = "require", statement_timeout = 77 }
[aggregator.access]
without_sign_in = true
[aggregator.access.people]
"ana@example.com" = { roles = ["analyst"], merchants = ["*"] }
"""


def test_a_replaced_configuration_keeps_all_that_is_not_asked(
    filled: Databases, target: Path
) -> None:
    target.write_text(EARLIER, encoding="utf-8")
    target.chmod(0o600)
    terminal = Terminal(target, "--replace", "--merchant", MERCHANT)
    terminal.expect(init_files.KEPT)
    both(terminal, filled)
    assert terminal.end() == main.DONE, terminal.shown  # sign-in is configured: not asked
    assert says(terminal.shown, init.NEXT_HERE)
    assert "segredo" not in terminal.shown
    for name in ("other", "[auth]", "[aggregator.access]", "aggregator.transactions.statement_"):
        assert name in terminal.shown
    old, new = tomllib.loads(EARLIER), tomllib.loads(target.read_text(encoding="utf-8"))
    for name in ("other", "auth"):
        assert new[name] == old[name]
    settings = loader.load(target, {})
    assert settings.timezone == "America/Manaus"
    assert settings.access.people["ana@example.com"].merchants == ("*",)
    assert settings.merchants == {MERCHANT: MERCHANT}
    assert (settings.allow_insecure, settings.access.without_sign_in) == (False, False)
    transactions, given = settings.transactions, filled.values["transactions"]
    assert (transactions.host, transactions.sslmode) == (given["host"], "prefer")
    assert transactions.statement_timeout == 77
    assert target.with_name("aggregator.toml.previous").read_text(encoding="utf-8") == EARLIER


def test_what_a_replaced_configuration_does_not_keep_is_said_before_it_goes(
    filled: Databases, target: Path
) -> None:
    for text, words, template in (
        (EARLIER, ["--without-sign-in"], init_files.SIGN_IN_GOES),
        ("[auth", [], init_files.NOTHING_KEPT),
    ):
        target.write_text(text, encoding="utf-8")
        target.chmod(0o600)
        result = without_terminal(target, "--replace", *words, *options(filled))
        assert result.code == main.DONE, result.err
        assert says(result.err, template)
        assert "auth" not in tomllib.loads(target.read_text(encoding="utf-8"))
        assert loader.load(target, {}).access.without_sign_in
        assert target.with_name("aggregator.toml.previous").read_text(encoding="utf-8") == text


def test_a_configuration_leaves_the_password_files_of_another_alone(
    filled: Databases, target: Path
) -> None:
    other = target.with_name("transactions.password")
    other.write_text("another server's\n", encoding="utf-8")
    for replace in ([], ["--replace"]):
        result = without_terminal(target, *replace, *options(filled, merchant="12.345.678/0001-90"))
        assert result.code == main.DONE, result.err
    assert other.read_text(encoding="utf-8") == "another server's\n"
    settings = loader.load(target, {})
    assert settings.default_merchant == MERCHANT
    own = target.with_name("transactions-2.password")
    assert settings.transactions.password_file == own
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    # The same password again, so the same file.
    assert not target.with_name("transactions-3.password").exists()
