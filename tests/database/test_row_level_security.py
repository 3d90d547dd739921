"""Two users with different merchants: the databases return no row of the other's merchant."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from lib import pipeline
from lib.config import defaults, loader
from lib.config.settings import ROOT, Settings
from lib.database import copy_reader, retry, row_level_security, sessions
from lib.delivery import history
from lib.demo import servers
from lib.domain import columns as c
from lib.domain import requests
from lib.domain.errors import AggregatorError, ContractError, TransientError
from tests.support.command import Command, with_source
from tests.support.faults import PERIOD, Line
from tests.support.servers import MERCHANTS, Databases

DAY = date(2026, 11, 20)
ANA, RUI = "ana@example.com", "rui@example.com"
OF_ANA, OF_RUI = MERCHANTS
NOTHING: tuple[set[str], set[str]] = (set(), set())
OWN = {ANA: OF_ANA, RUI: OF_RUI}
DOCUMENT = (ROOT / "docs" / "row_level_security.sql").read_text(encoding="utf-8")
_SESSION = sessions.session
POLICIES = """
SELECT tablename, policyname, cmd, qual FROM pg_policies WHERE policyname = 'own_merchants'
ORDER BY tablename
"""


def prove(settings: Settings) -> None:
    row_level_security.prove(settings, defaults.window(settings))


@pytest.fixture
def shared(databases: Databases) -> Databases:
    """Purchases of both merchants on the same cards and times, and one user's access to each."""
    databases.fill(
        customer_cards=[(f"40000000000{n:05}", f"{n:011}") for n in range(40)],
        transactions=[
            (f"40000000000{n:05}", DAY, time(10, n), cnpj, None, n)
            for n in range(40)
            for cnpj in OWN.values()
        ],
        auth_logs=[
            (f"40000000000{n:05}", DAY, time(10, n), "00", MERCHANTS[cnpj], cnpj.rjust(15, "0"))
            for n in range(40)
            for cnpj in OWN.values()
        ],
    )
    for side in servers.SIDES:
        for person, cnpj in OWN.items():
            databases.execute(side.name, f"INSERT INTO {side.access} VALUES ('{person}', '{cnpj}')")
    return databases


def settings_of(databases: Databases, **keys: Any) -> Settings:
    values = databases.values_for(servers.USER_BY_ROWS)
    return loader.from_values(values | {"row_level_security": True} | keys, "teste", {})


@pytest.fixture
def settings(shared: Databases) -> Settings:
    """Settings that read `shared` on pools of one connection per side."""
    settings = settings_of(shared)
    for side in requests.SIDES:
        pool: Any = sessions.pool(settings, side)
        pool._pool.maxsize, pool._max_overflow = 1, 0
    return settings


def read(settings: Settings, person: str, merchant: str) -> tuple[set[str], set[str]]:
    """The merchants (CNPJs, names) in the records that this person reads of one merchant."""
    tables = copy_reader.extract(settings, requests.Window(merchant, DAY, DAY, person))
    bought = set(tables.transactions[c.DES_CNPJ_REDUZIDO].to_pylist())
    return bought, set(tables.auth_logs[c.DES_LOG].to_pylist())


def records_of(merchant: str) -> tuple[set[str], set[str]]:
    return {merchant}, {MERCHANTS[merchant]}


def backends(settings: Settings) -> set[int]:
    pids = set()
    for side in requests.SIDES:
        with sessions.session(settings, side) as cursor:
            pids.add(cursor.connection.info.backend_pid)
    return pids


def test_each_person_reads_only_their_own_merchant(settings: Settings) -> None:
    for person, own in OWN.items():
        assert read(settings, person, own) == records_of(own)
        other = OF_RUI if own == OF_ANA else OF_ANA
        assert read(settings, person, other) == NOTHING


def test_two_people_in_turn_on_one_connection_never_see_the_others_rows(
    settings: Settings,
) -> None:
    before = backends(settings)
    for turn in range(10):
        person = (ANA, RUI)[turn % 2]
        for merchant in MERCHANTS:
            own = records_of(merchant) if OWN[person] == merchant else NOTHING
            assert read(settings, person, merchant) == own
    assert backends(settings) == before


def test_two_people_at_once_on_one_connection_never_see_the_others_rows(
    settings: Settings,
) -> None:
    def many(person: str) -> set[tuple[str, ...]]:
        results = set()
        for _ in range(8):
            for merchant in MERCHANTS:
                bought, logged = read(settings, person, merchant)
                results.add((*bought, *logged))
        return results

    with ThreadPoolExecutor(2) as pool:
        for person, results in zip(OWN, pool.map(many, OWN), strict=True):
            assert results == {(), (OWN[person], MERCHANTS[OWN[person]])}


def fail(cursor: sessions.Cursor) -> None:
    cursor.execute("SELECT 1 / 0")


def cancel(cursor: sessions.Cursor) -> None:
    threading.Timer(0.2, cursor.connection.cancel).start()
    cursor.execute("SELECT pg_sleep(30)")


def interrupt(cursor: sessions.Cursor) -> None:
    cursor.execute("SELECT count(*) FROM transactions")
    raise KeyboardInterrupt


@pytest.mark.parametrize("failure", [fail, cancel, interrupt], ids=lambda way: way.__name__)
def test_after_a_failed_session_the_next_one_does_not_read_as_its_user(
    settings: Settings, failure: Callable[[sessions.Cursor], None]
) -> None:
    before = backends(settings)
    with (
        pytest.raises((AggregatorError, KeyboardInterrupt)),
        sessions.session(settings, "transactions", ANA) as cursor,
    ):
        failure(cursor)
    assert read(settings, RUI, OF_ANA) == NOTHING
    assert read(settings, RUI, OF_RUI) == records_of(OF_RUI)
    with sessions.session(settings, "transactions") as cursor:
        cursor.execute("SELECT current_setting('app.user')")
        assert cursor.fetchone() == (servers.USER_BY_ROWS,)
    assert backends(settings) == before


def test_the_name_leaves_the_connection_with_its_transaction(settings: Settings) -> None:
    with sessions.session(settings, "transactions", ANA) as cursor:
        cursor.execute("SELECT current_setting('app.user')")
        assert cursor.fetchone() == (ANA,)
        cursor.execute("ROLLBACK; SELECT current_setting('app.user', true)")
        assert cursor.fetchone() in ((None,), ("",))
        cursor.execute("SELECT count(*) FROM transactions")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("name", ["", "nobody@example.com", "' OR true --", "ANA@example.com"])
def test_a_name_without_access_reads_nothing(settings: Settings, name: str) -> None:
    assert read(settings, name or "?", OF_ANA) == NOTHING


def test_a_hostile_name_stays_a_name(settings: Settings) -> None:
    hostile = f"x', true), set_config('app.user', '{ANA}"
    with sessions.session(settings, "transactions", hostile) as cursor:
        cursor.execute("SELECT current_setting('app.user')")
        assert cursor.fetchone() == (hostile,)


def test_the_whole_run_reads_as_its_user(settings: Settings) -> None:
    request = defaults.request(settings, DAY, merchant=OF_ANA, days=0)
    assert pipeline.run(settings, request, user=ANA).books.consolidated == 40
    assert pipeline.run(settings, request, user=RUI).books.transactions == 0
    assert pipeline.run(settings, request).books.transactions == 0, "the login has no merchant here"


def test_the_self_test_passes_where_the_policies_apply(settings: Settings) -> None:
    prove(settings)


@pytest.fixture
def command(
    shared: Databases,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.05)
    return Command(shared, tmp_path, capsys)


def through(command: Command, line: Line) -> dict[str, Any]:
    values = command.databases.values_for(servers.USER_BY_ROWS) | {"row_level_security": True}
    return with_source(values, "auth_logs", **line.source)


def test_a_scheduled_run_repeats_a_self_test_after_a_cut_line(command: Command) -> None:
    with Line(command.databases.values["auth_logs"], limits=[0]) as line:
        command.reported(*PERIOD, values=through(command, line))


def test_a_server_lost_during_the_self_test_is_no_failure_of_its_policies(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def session(*args: Any, **keys: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise TransientError("{side}: lost", side="transactions")
        return _SESSION(*args, **keys)

    monkeypatch.setattr(sessions, "session", session)
    with pytest.raises(TransientError):
        prove(settings)


def test_a_scheduled_run_that_cannot_check_the_policies_is_recorded_with_its_sentence(
    command: Command,
) -> None:
    record, trail = command.folder / "history.sqlite", command.folder / "audit.jsonl"
    with Line(command.databases.values["auth_logs"]) as gone:
        values = through(command, gone)
    sentence = command.refused(
        *PERIOD, values=values, history={"path": str(record)}, audit={"path": str(trail)}
    )
    [run] = history.History(record).runs()
    assert (run.outcome, run.message) == (history.FAILED, sentence)
    assert '"failed"' in trail.read_text(encoding="utf-8").splitlines()[-1]


def _open_policy(databases: Databases) -> None:
    databases.execute(
        "transactions",
        f"CREATE POLICY more ON transactions TO {servers.USER_BY_ROWS} USING (true);"
        f"CREATE POLICY more ON customer_cards TO {servers.USER_BY_ROWS} USING (true)",
    )
    databases.execute("transactions", "UPDATE transactions SET transaction_date = current_date - 2")


def _one_side_only(databases: Databases) -> None:
    databases.execute(
        "auth_logs", "ALTER TABLE authentication.transaction_logs DISABLE ROW LEVEL SECURITY"
    )


def _holders_open(databases: Databases) -> None:
    databases.execute("transactions", "ALTER TABLE customer_cards DISABLE ROW LEVEL SECURITY")


def _owner(databases: Databases) -> None:
    databases.execute("transactions", f"ALTER TABLE transactions OWNER TO {servers.USER_BY_ROWS}")


HOLES = {
    _open_policy: (row_level_security.OPEN, None),
    _one_side_only: (row_level_security.UNPROTECTED, "authentication.transaction_logs"),
    _holders_open: (row_level_security.UNPROTECTED, "public.customer_cards"),
    _owner: (row_level_security.UNPROTECTED, "public.transactions"),
}


@pytest.mark.parametrize("hole", HOLES, ids=lambda hole: hole.__name__)
def test_the_self_test_refuses_policies_that_do_not_apply(
    shared: Databases, hole: Callable[[Databases], None]
) -> None:
    hole(shared)
    with pytest.raises(ContractError) as caught:
        prove(settings_of(shared))
    assert (caught.value.template, caught.value.values.get("table")) == HOLES[hole]


def test_the_self_test_refuses_a_superuser_and_a_login_without_policies(
    shared: Databases,
) -> None:
    shared.execute("transactions", "UPDATE transactions SET transaction_date = current_date - 2")
    for login in ("postgres", servers.USER):
        values: Mapping[str, Any] = shared.values_for(login) | {"row_level_security": True}
        with pytest.raises(ContractError, match="row_level_security"):
            prove(loader.from_values(values, "teste", {}))


def test_the_self_test_refuses_a_view_that_its_superuser_owner_reads(
    shared: Databases, tmp_path: Path
) -> None:
    shared.execute(
        "transactions",
        f"CREATE VIEW v AS SELECT * FROM transactions; GRANT SELECT ON v TO {servers.USER_BY_ROWS};"
        "UPDATE transactions SET transaction_date = current_date - 2",
    )
    query = (ROOT / "lib" / "database" / "sql" / "transactions.sql").read_text()
    file = tmp_path / "mine.sql"
    file.write_text(query.replace("FROM transactions AS t", "FROM v AS t"))
    values = shared.values_for(servers.USER_BY_ROWS)
    values["transactions"] |= {"query_file": str(file)}
    with pytest.raises(ContractError, match="row_level_security"):
        prove(loader.from_values(values | {"row_level_security": True}, "teste", {}))


def test_the_self_test_is_skipped_without_row_level_security() -> None:
    source = {"host": "/nowhere", "database": "d", "user": "u"}
    values = {"merchants": MERCHANTS, "transactions": source, "auth_logs": source}
    prove(loader.from_values(values, "teste", {}))


@pytest.mark.parametrize("side", servers.SIDES, ids=lambda side: side.name)
def test_the_documents_policies_are_the_demonstrations(
    databases: Databases, side: servers.Side
) -> None:
    shipped = databases.execute(side.name, POLICIES)
    assert shipped
    for table in side.tables:
        databases.execute(side.name, f"DROP POLICY own_merchants ON {table}")
        databases.execute(side.name, f"DROP POLICY everything ON {table}")
    databases.execute(side.name, f"DROP TABLE {side.access}")
    part = re.search(rf"-- side: {side.name} .*?\n(.*?)\n-- (?:side|end)", DOCUMENT, re.DOTALL)
    assert part is not None
    databases.execute(side.name, part[1])
    assert databases.execute(side.name, POLICIES) == shipped
