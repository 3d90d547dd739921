"""The command `init`: tables of other names, permissions, and servers of other machines."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.cli import init, init_source, main
from lib.config import loader
from lib.database import error_translation as errors
from lib.database import query_template
from tests.support.certificates import Authority
from tests.support.init_terminal import HOST, MERCHANT, Terminal, login, nothing, without_terminal
from tests.support.sentences import says
from tests.support.servers import Databases
from tests.support.tls_server import BINARIES, HERE, Server

# Not written as a loopback address, so that it counts as another machine.
REMOTE = "127.1"


def offered_a_query_file(filled: Databases, target: Path) -> Terminal:
    """A terminal that has been given a database whose table has another name."""
    filled.execute("transactions", "ALTER TABLE transactions RENAME TO vendas")
    terminal = Terminal(target)
    login(terminal, filled.values["transactions"])
    terminal.expect(errors.BY_STATE["42P01"])
    return terminal


def test_other_tables_are_read_by_a_query_file_that_is_checked(
    filled: Databases, target: Path
) -> None:
    terminal = offered_a_query_file(filled, target)
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
    terminal = offered_a_query_file(filled, target)
    terminal.answer(init_source.WRITE_QUERY, "")
    terminal.interrupt(init_source.QUERY_READY)
    assert terminal.end() == main.INTERRUPTED
    assert nothing(target.parent)


def test_an_untouched_query_file_is_removed_when_the_terminal_is_closed(
    filled: Databases, target: Path
) -> None:
    terminal = offered_a_query_file(filled, target)
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
