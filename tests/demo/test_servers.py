"""The demonstration's data and its two real servers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import psycopg2
import pytest

from lib.config import loader
from lib.config.settings import check_digits_ok
from lib.demo import data as demo_data
from lib.demo import servers
from lib.domain.errors import ConfigError, ExtractionError
from tests.support.sentences import pattern
from tests.support.servers import Databases, holding_demo, new_folder, running_under

pytestmark = pytest.mark.slow

TODAY = date(2026, 11, 20)
TOMORROW = TODAY + timedelta(days=1)
UNTIL = datetime.combine(TODAY, time(23, 59, 59))
FIRST = next(iter(demo_data.MERCHANTS))
NEWEST = "SELECT max(transaction_date) FROM transactions"


@pytest.fixture(scope="module")
def data() -> dict[str, pd.DataFrame]:
    return frames(UNTIL, 20_000)


def frames(until: datetime, rows: int) -> dict[str, pd.DataFrame]:
    return {name: table.to_pandas() for name, table in demo_data.generate(until, rows).items()}


def instants(frame: pd.DataFrame, name: str) -> pd.Series:
    days, times = frame[f"{name}_date"].astype(str), frame[f"{name}_time"].astype(str)
    return pd.to_datetime(days + " " + times)


def luhn(number: str) -> bool:
    digits = [int(d) for d in reversed(number)]
    return sum(digits[::2] + [d * 2 - 9 * (d > 4) for d in digits[1::2]]) % 10 == 0


def virtual_cards(transactions: pd.DataFrame) -> pd.Series:
    stored = transactions["virtual_card_number"].replace("", None)
    return stored.where(stored.str.len() <= 19, stored.str[6:]).dropna()


@pytest.mark.parametrize("until", [UNTIL, datetime.combine(TODAY, time(0, 3))])
@pytest.mark.parametrize("rows", [1, 10, 2_000])
def test_the_requested_number_of_transactions_happened_in_the_last_thirty_days(until, rows):
    tables = frames(until, rows)
    assert len(tables["transactions"]) == rows
    transactions = instants(tables["transactions"], "transaction")
    logs = instants(tables["authentication.transaction_logs"], "log")
    assert transactions.max() <= until
    assert logs.max() <= until
    assert transactions.min() > until - timedelta(days=31)


def test_every_card_number_has_a_valid_check_digit(data):
    physical = {number for table in data.values() for number in table["card_number"]}
    assert all(luhn(number) for number in physical | set(virtual_cards(data["transactions"])))


def test_cards_have_sixteen_digits_mostly_and_fifteen_thirteen_or_nineteen_sometimes(data):
    lengths = data["customer_cards"]["card_number"].str.len().value_counts(normalize=True)
    assert set(lengths.index) == {13, 15, 16, 19}
    assert lengths[16] > 0.85


def test_every_cpf_has_valid_check_digits(data):
    for cpf in set(data["customer_cards"]["customer_cpf"]):
        digits = [int(d) for d in cpf]
        for at in (9, 10):
            rest = sum(d * w for d, w in zip(digits, range(at + 1, 1, -1), strict=False)) % 11
            assert digits[at] == (0 if rest < 2 else 11 - rest)


def test_only_the_first_merchants_check_digits_are_wrong():
    assert [check_digits_ok(cnpj) for cnpj in demo_data.MERCHANTS] == [False, True, True]


def test_the_raw_line_is_laid_out_as_documented(data):
    logs = data["authentication.transaction_logs"]
    raw = logs["raw_data"]
    assert set(raw.str.len()) == {118}
    assert set(raw.str[76:91]) == {"0" + cnpj for cnpj in demo_data.MERCHANTS}
    assert (raw.str[4:23].str.rstrip() == logs["card_number"]).all()
    assert (raw.str[41:55] == instants(logs, "log").dt.strftime("%Y%m%d%H%M%S")).all()
    assert (raw.str[91:93] == logs["response_code"]).all()


def test_noon_saturday_and_the_first_merchant_are_the_busiest(data):
    moments = instants(data["transactions"], "transaction").dt
    assert (moments.hour == 12).sum() > 10 * (moments.hour == 3).sum()
    assert (moments.day_of_week == 5).sum() > 1.5 * (moments.day_of_week == 6).sum()
    assert data["transactions"]["merchant_id"].value_counts().index[0] == FIRST


def test_the_first_merchants_last_ten_days_hold_every_kind_of_record(data):
    holders, transactions, logs = data.values()
    since = UNTIL - timedelta(days=10)
    transactions = transactions.assign(instant=instants(transactions, "transaction"))
    transactions = transactions.query("merchant_id == @FIRST and instant > @since")
    logs = logs.assign(instant=instants(logs, "log"), approved=logs["response_code"] == "00")
    logs = logs[logs["raw_data"].str.contains(FIRST) & (logs["instant"] > since)]

    stored, virtual = transactions["virtual_card_number"], virtual_cards(transactions)
    known = set(transactions["card_number"]) | set(virtual)
    lone = logs[~logs["card_number"].isin(known)]
    by_card = transactions["card_number"].isin(logs["card_number"])
    by_virtual = virtual.isin(logs["card_number"]).reindex(transactions.index, fill_value=False)
    following = logs.sort_values("instant").groupby("card_number").shift(-1)
    retried = ~logs["approved"] & (following["response_code"] == "00")
    wait = (following["instant"] - logs["instant"]).dt.total_seconds()
    purchase = ["card_number", "transaction_date", "transaction_time", "amount"]
    kinds = {
        "card with two holders": holders["card_number"].duplicated(),
        "card without holder": ~transactions["card_number"].isin(holders["card_number"]),
        "virtual card with a prefix": stored.str.len() == 22,
        "virtual card without one": stored.str.len() == 16,
        "log of the virtual card": by_virtual,
        "transaction without log": ~by_card & ~by_virtual,
        "duplicate": transactions.duplicated(purchase),
        "declined without transaction": ~lone["approved"],
        "approved without transaction": lone["approved"],
        "newer than any transaction": lone["instant"] > transactions["instant"].max(),
        "declined seconds before": retried & (wait < 90),
        "description with a card": logs["description"].str.contains(r"\d{13,19}"),
        "description like a formula": lone["description"].str.startswith("="),
    }
    assert {kind for kind, rows in kinds.items() if not rows.any()} == set()


@pytest.fixture(scope="module")
def root_named() -> Iterator[Callable[[str], Path]]:
    """Create the root folder of a demonstration by name; all are removed after the module."""
    parent = new_folder()

    def make(name: str) -> Path:
        (parent / name).mkdir(exist_ok=True)
        return parent / name

    yield make
    for root in parent.iterdir():
        servers.stop(root)
    assert running_under(parent) == []
    shutil.rmtree(parent)


@pytest.fixture(scope="module")
def values(root_named: Callable[[str], Path]) -> dict[str, Any]:
    return servers.start(root_named("project"), today=TODAY)


def test_the_configuration_takes_the_values_as_they_are(values):
    settings = loader.from_values(values, "demo", {})
    assert settings.default_merchant == FIRST
    assert settings.auth_logs.database == "auth_logs_db"


def test_the_databases_hold_the_generated_rows(values, data):
    for side in servers.SIDES:
        for table in side.tables:
            stored = Databases(values).execute(side.name, f"SELECT * FROM {table}")
            rows = data[table].astype(object).where(data[table].notna(), None).to_numpy()
            assert sorted(map(str, stored)) == sorted(str(tuple(row)) for row in rows)


@pytest.mark.parametrize("side", servers.SIDES, ids=lambda side: side.name)
def test_the_login_reads_and_cannot_write(values, side):
    source = values[side.name]
    connection = servers.connect(source, source["user"], source["database"])
    with closing(connection), connection.cursor() as cursor:
        for table in side.tables:
            cursor.execute(f"SELECT count(*) FROM {table}")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(f"DELETE FROM {table}")


def test_the_indexes_serve_the_default_queries(values):
    query = "SELECT indexdef FROM pg_indexes WHERE schemaname IN ('public', 'authentication')"
    indexes = [row for side in servers.SIDES for row in Databases(values).execute(side.name, query)]
    assert sorted(definition.partition(" ON ")[2] for (definition,) in indexes) == [
        "authentication.transaction_logs USING btree (log_date)",
        "public.customer_cards USING btree (card_number)",
        "public.transactions USING btree (merchant_id, transaction_date)",
    ]


def test_only_the_owner_may_open_the_sockets(values):
    for source in (values[side.name] for side in servers.SIDES):
        socket = Path(source["host"]) / f".s.PGSQL.{source['port']}"
        assert socket.stat().st_mode & 0o077 == 0


def test_data_of_the_same_day_stay_and_of_another_are_replaced(root_named):
    root = root_named("changing")
    written = "SELECT DISTINCT xmin::text FROM transactions"
    databases = Databases(servers.start(root, rows=300, today=TODAY))
    before = databases.execute("transactions", written)
    servers.start(root, rows=300, today=TODAY)
    assert databases.execute("transactions", written) == before
    servers.start(root, rows=300, today=TOMORROW)
    assert databases.execute("transactions", NEWEST) == [(TOMORROW,)]
    assert databases.execute("transactions", "SELECT count(*) FROM transactions") == [(300,)]


def test_data_of_another_generator_version_are_recreated(root_named, monkeypatch):
    root = root_named("changing")
    databases = Databases(servers.start(root, rows=300, today=TODAY))
    databases.execute("transactions", "ALTER TABLE transactions DROP COLUMN amount")
    monkeypatch.setattr(demo_data, "VERSION", demo_data.VERSION + 1)
    servers.start(root, rows=300, today=TODAY)
    assert databases.execute("transactions", "SELECT count(amount) FROM transactions") == [(300,)]


def test_a_reader_keeps_the_old_rows_while_the_day_changes(root_named):
    root = root_named("changing")
    databases = Databases(servers.start(root, rows=300, today=TODAY))
    with closing(databases.connect("transactions")) as reader, reader.cursor() as cursor:
        reader.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute("SELECT 1")
        servers.start(root, rows=300, today=TOMORROW)
        cursor.execute(NEWEST)
        assert cursor.fetchall() == [(TODAY,)]
    assert databases.execute("transactions", NEWEST) == [(TOMORROW,)]


def test_two_processes_share_the_servers_and_the_last_one_stops_them(root_named):
    root = root_named("shared")
    with holding_demo(root) as first, holding_demo(root) as second:
        assert [first.stdout.readline(), second.stdout.readline()] == ["ready\n", "ready\n"]
        assert first.communicate()[1] == ""
        assert len(running_under(root)) == 2
        assert second.communicate()[1] == ""
        assert running_under(root) == []


def test_a_killed_process_or_server_does_not_prevent_the_next_start(root_named):
    root = root_named("shared")
    with holding_demo(root) as killed:
        killed.stdout.readline()
        killed.kill()
    server = running_under(root)[0]
    family = [server, *server.children()]
    server.kill()
    psutil.wait_procs(family, timeout=120)
    with holding_demo(root) as following:
        assert following.stdout.readline() == "ready\n"
        assert following.communicate()[1] == ""
    assert running_under(root) == []


@pytest.mark.parametrize("name", ["Relatórios, março (1)", "long" * 25])
def test_any_folder_name_and_locale_work(root_named, name):
    with holding_demo(root_named(name), LC_ALL="xx_XX.UTF-8") as process:
        assert process.stdout.readline() == "ready\n"
        assert process.communicate()[1] == ""


def test_a_server_that_is_still_starting_when_the_package_gives_up_is_awaited(
    root_named, monkeypatch
):
    package = sys.modules[servers.get_server.__module__]
    run = package.pgexec

    def impatient(command, args, **options):
        result = run(command, args, **options)
        if "start" in args:
            raise subprocess.TimeoutExpired(command, 10)
        return result

    monkeypatch.setattr(package, "pgexec", impatient)
    assert servers.start(root_named("slow"), rows=10)["transactions"]["user"] == "aggregator"


@pytest.fixture
def broken(root_named: Callable[[str], Path]) -> Path:
    """A root whose transactions server lacks a file that it needs to start."""
    root = root_named("broken")
    servers.start(root, rows=10)
    servers.stop(root)
    (root / ".demo" / "transactions" / "global" / "pg_control").unlink()
    return root


def test_an_interrupted_first_start_is_repeated(broken):
    (broken / ".demo" / "transactions" / "initialised").unlink()
    assert servers.start(broken, rows=10)["transactions"]["user"] == "aggregator"


def test_servers_that_cannot_start_are_one_sentence_and_can_be_removed(broken):
    with pytest.raises(ExtractionError, match=pattern(servers.NOT_STARTED)):
        servers.start(broken, rows=10)
    shutil.rmtree(broken / ".demo" / "transactions")
    assert servers.start(broken, rows=10)["transactions"]["user"] == "aggregator"


def test_a_root_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=pattern(servers.NOT_WRITABLE)):
        servers.start(tmp_path / "missing")
