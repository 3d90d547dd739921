"""The command `init`, driven on a terminal and by its options, against two real servers."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any

import pexpect
import pytest

from lib.cli import init, init_files, init_source, main, questions
from lib.config import loader
from lib.config.settings import ROOT
from lib.database import error_translation as errors
from lib.database import query_template
from tests.support.certificates import Authority
from tests.support.command import Completed, finish, start
from tests.support.sentences import pattern, says
from tests.support.servers import NEEDS_PASSWORD, PASSWORD, Databases
from tests.support.tls_server import BINARIES, HERE, Server

MERCHANT = "12345678000190"
SMALLER = "7KM2Q9B4000149"
CARD = "4000001234561234"
# Not written as a loopback address, so that it counts as another machine.
REMOTE = "127.1"
INTERRUPT = "\x03"
QUESTIONS = init_source.QUESTIONS
HOST, PORT, DATABASE, USER = (QUESTIONS[key] for key in ("host", "port", "database", "user"))


@pytest.fixture
def filled(databases: Databases) -> Databases:
    """Three purchases of two merchants and their logs, today."""
    today, noon = date.today(), time(12)  # noqa: DTZ011 the same on server and client
    databases.fill(
        transactions=[
            (CARD, today, noon, MERCHANT, None, "10.00"),
            (CARD, today, time(13), MERCHANT, None, "11.00"),
            (CARD, today, noon, SMALLER, None, "12.00"),
        ],
        customer_cards=[("12345678901", CARD)],
        auth_logs=[(CARD, today, noon, "00", "ok", f"x{MERCHANT:0>15}x")],
    )
    return databases


class Terminal:
    """The command on a terminal; everything that it shows is kept in ``shown``."""

    def __init__(self, file: Path, *words: str, **environment: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.upper().startswith("AGGREGATOR")}
        self.shown = ""
        self._process = pexpect.spawn(
            sys.executable,
            ["-W", "error", str(ROOT / "aggregator.py"), "init", "--config", str(file), *words],
            env={**clean, **environment, "TERM": "dumb"},
            encoding="utf-8",
            timeout=120,
            dimensions=(50, 1000),
        )

    def expect(self, template: str) -> None:
        """Wait until the terminal shows a sentence of this template."""
        self._process.expect(pattern(template))
        self.shown += self._process.before + self._process.after

    def answer(self, question: str, *answers: str) -> None:
        """Wait for the question and type an answer, by default only Enter."""
        self.expect(question)
        self._process.expect(": ?")
        self.shown += self._process.before + self._process.after
        self._process.sendline(*answers)

    def interrupt(self, question: str) -> None:
        """Press Ctrl-C at this question."""
        self.expect(question)
        self._process.expect(": ?")
        self._process.send(INTERRUPT)

    def hang_up(self, question: str) -> None:
        """Close the terminal at this question, and wait for the end."""
        self.expect(question)
        self._process.expect(": ?")
        self._process.close(force=False)

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        self._process.expect(pexpect.EOF)
        self.shown += self._process.before
        self._process.close()
        return int(self._process.exitstatus)


def login(terminal: Terminal, source: dict[str, Any], password: str = PASSWORD) -> None:
    """Answer the questions of one database."""
    terminal.answer(HOST, source["host"])
    terminal.answer(PORT, str(source["port"]))
    terminal.answer(DATABASE, source["database"])
    terminal.answer(USER, NEEDS_PASSWORD)
    terminal.answer(init_source.HIDDEN, password)


def both(terminal: Terminal, databases: Databases) -> None:
    for side in ("transactions", "auth_logs"):
        login(terminal, databases.values[side])
        terminal.expect(init_source.QUERY_WORKS)


def options(databases: Databases, **keys: Any) -> list[str]:
    """Every answer as an option; ``keys`` replace some, None leaves one out."""
    given: dict[str, Any] = {"merchant": MERCHANT}
    for side in ("transactions", "auth_logs"):
        for key in ("host", "port", "database"):
            given[f"{side}_{key}"] = databases.values[side][key]
        given[f"{side}_user"] = NEEDS_PASSWORD
    given |= keys
    return [
        word
        for key, value in given.items()
        if value is not None
        for word in (f"--{key.replace('_', '-')}", str(value))
    ]


def without_terminal(file: Path, *words: str, password: str = PASSWORD) -> Completed:
    environment = {
        f"AGGREGATOR__{side}__PASSWORD": password for side in ("TRANSACTIONS", "AUTH_LOGS")
    }
    return finish(start("init", "--config", str(file), *words, env=environment))


def nothing(folder: Path) -> bool:
    return list(folder.iterdir()) == []


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file to write, alone in its folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder / "aggregator.toml"


def test_the_answers_become_a_private_configuration_that_works(
    filled: Databases, target: Path
) -> None:
    terminal = Terminal(target)
    both(terminal, filled)
    terminal.expect(f"1. {MERCHANT}, 2 transações")
    terminal.expect(f"2. {SMALLER}, 1 transação")
    terminal.answer(init.WHICH, "2, 1")
    terminal.answer(init.NAME_OF, "Café")
    terminal.answer(init.NAME_OF, "")
    terminal.answer(init.WITHOUT_SIGN_IN, "")
    assert terminal.end() == main.DONE, terminal.shown
    assert says(terminal.shown, init.WRITTEN)
    assert says(terminal.shown, init.NEXT_HERE)
    assert PASSWORD not in terminal.shown

    settings = loader.load(target, {})
    assert settings.merchants == {SMALLER: "Café", MERCHANT: MERCHANT}
    assert settings.access.without_sign_in
    for side in ("transactions", "auth_logs"):
        source = getattr(settings, side)
        assert (source.user, source.secret()) == (NEEDS_PASSWORD, PASSWORD)
        assert source.database == filled.values[side]["database"]
    names = {"aggregator.toml", "transactions.password", "auth_logs.password"}
    assert {file.name for file in target.parent.iterdir()} == names
    assert {stat.S_IMODE(file.stat().st_mode) for file in target.parent.iterdir()} == {0o600}
    assert PASSWORD not in target.read_text(encoding="utf-8")


def test_what_is_wrong_is_asked_again_and_nothing_else(filled: Databases, target: Path) -> None:
    terminal, source = Terminal(target), filled.values["transactions"]
    terminal.answer(HOST, "/nowhere")
    terminal.answer(PORT, "many")
    terminal.expect(init_source.BAD_PORT)
    terminal.answer(PORT, str(source["port"]))
    terminal.answer(DATABASE, "elsewhere")
    terminal.answer(USER, NEEDS_PASSWORD)
    terminal.answer(init_source.HIDDEN, "wrong")
    terminal.expect(errors.NOT_CONNECTED)
    terminal.answer(f"{HOST} [/nowhere]", source["host"])
    terminal.answer(f"{PORT} [{source['port']}]", "")
    terminal.expect(errors.BY_STATE["28"])
    terminal.answer(f"{USER} [{NEEDS_PASSWORD}]", "")
    terminal.answer(init_source.HIDDEN, PASSWORD)
    terminal.expect(errors.BY_STATE["3D"])
    terminal.answer(f"{DATABASE} [elsewhere]", source["database"])
    terminal.expect(init_source.CONNECTED)
    # The second server's defaults are the first one's answers.
    terminal.answer(f"{HOST} [{source['host']}]", filled.values["auth_logs"]["host"])
    terminal.answer(PORT, str(filled.values["auth_logs"]["port"]))
    terminal.answer(DATABASE, filled.values["auth_logs"]["database"])
    terminal.answer(f"{USER} [{NEEDS_PASSWORD}]", "")
    terminal.answer(init_source.HIDDEN, PASSWORD)
    terminal.answer(init.WHICH, "nobody")
    terminal.expect(init.BAD_MERCHANT)
    terminal.answer(init.WHICH, "1")
    terminal.answer(init.NAME_OF, "Loja")
    terminal.answer(init.WITHOUT_SIGN_IN, "maybe")
    terminal.expect(questions.YES_OR_NO)
    terminal.answer(init.WITHOUT_SIGN_IN, "n")
    assert terminal.end() == main.DONE, terminal.shown
    assert says(terminal.shown, init.NEXT_SIGN_IN)
    assert not loader.load(target, {}).access.without_sign_in


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 1, 4, 7])
def test_an_interruption_at_any_question_leaves_nothing(
    filled: Databases, target: Path, at: int
) -> None:
    terminal = Terminal(target)
    if at < 5:
        for question, answer in [
            (HOST, filled.values["transactions"]["host"]),
            (PORT, str(filled.values["transactions"]["port"])),
            (DATABASE, filled.values["transactions"]["database"]),
            (USER, NEEDS_PASSWORD),
        ][:at]:
            terminal.answer(question, answer)
        terminal.interrupt([HOST, PORT, DATABASE, USER, init_source.HIDDEN][at])
    else:
        both(terminal, filled)
        terminal.answer(init.WHICH, "1")
        terminal.answer(init.NAME_OF, "Loja")
        terminal.interrupt(init.WITHOUT_SIGN_IN)
    assert terminal.end() == main.INTERRUPTED
    assert says(terminal.shown, main.INTERRUPTED_SENTENCE)
    assert nothing(target.parent)


def test_other_tables_are_read_by_a_query_file_that_is_checked(
    filled: Databases, target: Path
) -> None:
    filled.execute("transactions", "ALTER TABLE transactions RENAME TO vendas")
    terminal = Terminal(target)
    login(terminal, filled.values["transactions"])
    terminal.expect(errors.BY_STATE["42P01"])
    terminal.answer(init_source.WRITE_QUERY, "")
    terminal.expect(init_source.QUERY_WRITTEN)
    query = target.with_name("transactions.sql")
    text = query.read_text(encoding="utf-8")
    assert "public.vendas (card_number text, transaction_date date" in text
    terminal.answer(init_source.QUERY_READY, "")
    terminal.expect(init_source.NOT_FILLED_IN)
    for column in (
        *("c.customer_cpf", "t.card_number", "t.virtual_card_number", "t.transaction_date"),
        *("t.transaction_time", "t.amountt", "t.merchant_id"),
        "vendas AS t LEFT JOIN customer_cards AS c USING (card_number)",
        *("t.merchant_id", "t.transaction_date", "t.transaction_date"),
    ):
        head, mark, tail = text.partition("SELECT")
        text = head + mark + tail.replace(query_template.TO_FILL_IN, column, 1)
    query.write_text(text, encoding="utf-8")
    terminal.answer(init_source.QUERY_READY, "")
    terminal.expect(errors.BY_STATE["42703"])
    query.write_text(text.replace("amountt", "amount"), encoding="utf-8")
    terminal.answer(init_source.QUERY_READY, "")
    terminal.expect(init_source.QUERY_WORKS)
    login(terminal, filled.values["auth_logs"])
    terminal.answer(init.WHICH_CNPJS, MERCHANT)
    terminal.answer(init.NAME_OF, "Loja")
    terminal.answer(init.WITHOUT_SIGN_IN, "")
    assert terminal.end() == main.DONE, terminal.shown
    assert loader.load(target, {}).transactions.query_file == query


@pytest.mark.slow
def test_an_untouched_query_file_is_removed_by_an_interruption(
    filled: Databases, target: Path
) -> None:
    filled.execute("transactions", "ALTER TABLE transactions RENAME TO vendas")
    terminal = Terminal(target)
    login(terminal, filled.values["transactions"])
    terminal.answer(init_source.WRITE_QUERY, "")
    terminal.interrupt(init_source.QUERY_READY)
    assert terminal.end() == main.INTERRUPTED
    assert nothing(target.parent)


def test_an_untouched_query_file_is_removed_when_the_terminal_is_closed(
    filled: Databases, target: Path
) -> None:
    filled.execute("transactions", "ALTER TABLE transactions RENAME TO vendas")
    terminal = Terminal(target)
    login(terminal, filled.values["transactions"])
    terminal.answer(init_source.WRITE_QUERY, "")
    terminal.hang_up(init_source.QUERY_READY)
    assert nothing(target.parent)


@pytest.mark.slow
def test_a_missing_permission_is_waited_for(filled: Databases, target: Path) -> None:
    filled.execute("transactions", "REVOKE SELECT ON customer_cards FROM aggregator")
    terminal = Terminal(target)
    login(terminal, filled.values["transactions"])
    terminal.expect(errors.BY_STATE["42501"])
    filled.execute("transactions", "GRANT SELECT ON customer_cards TO aggregator")
    terminal.answer(init_source.GRANTED, "")
    terminal.expect(init_source.QUERY_WORKS)
    terminal.interrupt(HOST)
    assert terminal.end() == main.INTERRUPTED


def test_every_answer_can_be_an_option(filled: Databases, target: Path) -> None:
    words = options(filled, merchant=f"{MERCHANT}=Loja")
    result = without_terminal(target, *words)
    assert result.code == main.DONE, result.err
    assert PASSWORD not in result.out + result.err
    assert loader.load(target, {}).merchants == {MERCHANT: "Loja"}
    assert loader.load(target, {}).auth_logs.secret() == PASSWORD


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


@pytest.mark.parametrize(
    ("changed", "template"),
    [
        ({"transactions_host": None}, questions.NO_ANSWER),
        ({"auth_logs_database": None}, questions.NO_ANSWER),
        ({"merchant": None}, questions.NO_ANSWER),
        ({"merchant": "123"}, init.NOT_A_CNPJ),
        ({"transactions_host": "/nowhere"}, errors.NOT_CONNECTED),
        ({"auth_logs_user": "nobody"}, errors.BY_STATE["28"]),
        ({"auth_logs_database": "elsewhere"}, errors.BY_STATE["3D"]),
    ],
)
def test_without_a_terminal_a_failure_is_one_sentence_and_leaves_nothing(
    filled: Databases, target: Path, changed: dict[str, Any], template: str
) -> None:
    result = without_terminal(target, *options(filled, **changed))
    assert result.code == main.FAILED
    assert result.out == ""
    assert says(result.sentence, template), result.err
    assert nothing(target.parent)


def test_a_wrong_password_without_a_terminal_is_refused_and_not_repeated(
    filled: Databases, target: Path
) -> None:
    result = without_terminal(target, *options(filled), password="secreta!")
    assert (result.code, says(result.sentence, errors.BY_STATE["28"])) == (main.FAILED, True)
    assert "secreta!" not in result.err
    assert nothing(target.parent)


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


def test_what_check_finds_wrong_is_said_over_the_written_file(
    filled: Databases, target: Path
) -> None:
    filled.execute("transactions", "UPDATE transactions SET transaction_time = NULL")
    filled.execute("transactions", "ALTER TABLE transactions ALTER amount TYPE numeric(12,3)")
    filled.execute("transactions", "UPDATE transactions SET amount = 1.234")
    result = without_terminal(target, *options(filled))
    assert (result.code, target.exists()) == (main.FAILED, True)
    assert says(result.sentence, init.CHECK_FAILED)


def test_a_folder_that_cannot_be_written_is_refused_before_any_question(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "missing" / "aggregator.toml")
    assert terminal.end() == main.FAILED
    assert not says(terminal.shown, HOST)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mda-init-"))  # it becomes the server's account's
    if not BINARIES:
        pytest.skip("needs the system's PostgreSQL (Debian package postgresql)")
    yield path
    shutil.rmtree(path)


@pytest.mark.slow
def test_a_server_without_tls_is_read_only_if_the_reader_insists(
    folder: Path, target: Path
) -> None:
    server = Server(folder, None)
    server.restart()
    try:
        server.execute("CREATE ROLE aggregator LOGIN")
        terminal = remote(target, server)
        terminal.expect(init_source.NO_TLS)
        terminal.answer(init_source.GO_ON_INSECURE, "")
        terminal.answer(f"{HOST} [{REMOTE}]", "")
        terminal.expect(init_source.NO_TLS)
        terminal.answer(init_source.GO_ON_INSECURE, "s")
        terminal.expect(init_source.OPEN)
        terminal.expect(errors.BY_STATE["42P01"])
        terminal.interrupt(init_source.WRITE_QUERY)
        assert terminal.end() == main.INTERRUPTED
        refused = without_terminal(target, *words(server))
        assert says(refused.sentence, init_source.INSECURE_OPTION)
        allowed = without_terminal(target, *words(server), "--allow-insecure")
        assert says(allowed.err, init_source.OPEN)
    finally:
        server.stop()


@pytest.mark.slow
def test_a_servers_authority_is_named_and_asked_for(
    folder: Path, target: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "authority")
    server = Server(folder, authority)
    server.present(authority.issue("server", HERE))
    try:
        server.execute("CREATE ROLE aggregator LOGIN")
        terminal = remote(target, server)
        terminal.expect(init_source.MISSING_AUTHORITY.replace("{issuer}", "authority"))
        terminal.expect(HERE)
        terminal.answer(init_source.ROOTS, str(tmp_path / "gone.pem"))
        terminal.expect(init_source.NO_FILE)
        terminal.answer(init_source.ROOTS, str(authority.root))
        terminal.expect(re.sub(r"\{tls\}", "TLSv1.3", init_source.VERIFIED))
        terminal.interrupt(init_source.WRITE_QUERY)
        assert terminal.end() == main.INTERRUPTED
        refused = without_terminal(target, *words(server))
        assert says(refused.sentence, init_source.INSECURE_OPTION)
        assert nothing(target.parent)
    finally:
        server.stop()


def words(server: Server) -> list[str]:
    return [
        *("--transactions-host", REMOTE, "--transactions-port", str(server.port)),
        *("--transactions-database", "postgres", "--transactions-user", "aggregator"),
    ]


def remote(target: Path, server: Server) -> Terminal:
    """Start with a first server that counts as another machine's; the password is empty."""
    terminal = Terminal(target, *words(server))
    terminal.answer(init_source.HIDDEN, "")
    return terminal
