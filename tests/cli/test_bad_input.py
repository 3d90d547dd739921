"""Wrong input through the command line: one sentence, exit 2, the previous report intact."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main, run_log
from lib.config import defaults, loader
from lib.database import column_types, error_translation, record_batches, source_query
from lib.database.column_types import UNREADABLE
from lib.database.error_translation import BY_STATE
from lib.database.sides import BOTH_FAILED
from lib.reports import report_file
from tests.support import faults
from tests.support.command import (
    PREVIOUS,
    Command,
    configured,
    finish,
    nothing_runs,
    slow_query,
    soon,
    start,
    statements,
    with_query,
)
from tests.support.sentences import says
from tests.support.servers import MERCHANTS, NEEDS_PASSWORD, Databases, Servers

TODAY = "2026-11-22"
ON_THAT_DAY = ("--start", TODAY, "--end", TODAY)
MERCHANT = next(iter(MERCHANTS))
UNKNOWN_MERCHANT = loader.NOT_CONFIGURED.format(merchants=", ".join(MERCHANTS))
TABLE = "customer_cards"
LOGS = "authentication.transaction_logs"


def test_no_configuration(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = command.folder / "secrets.toml"
    monkeypatch.setattr(loader, "DEFAULT_FILE", nowhere)
    result = command.say("run", "--output", str(command.target))
    assert command.kept(result) == loader.NO_CONFIGURATION.format(
        file=nowhere, variable=loader.FILE_VARIABLE
    )


def test_an_unknown_key(command: Command) -> None:
    file = command.folder / "aggregator.toml"
    assert command.refused(windowdays=3) == loader.UNKNOWN_KEY.format(
        origin=file, key="aggregator.windowdays", nearest="window_days"
    )


def test_a_configured_merchant_that_is_no_cnpj(command: Command) -> None:
    sentence = command.refused(merchants={"1234": "Loja"})
    assert says(sentence, loader.WRONG_VALUE)
    assert "aggregator.merchants.1234" in sentence


WORDS: list[tuple[tuple[str, ...], str]] = [
    (("--merchant", "1234"), UNKNOWN_MERCHANT),
    (("--merchant", "00000000000191"), UNKNOWN_MERCHANT),
    (("--start", "22/11/2026", "--end", TODAY), main.BAD_DATE.format(option="--start")),
    (("--start", TODAY, "--end", "2026-02-30"), main.BAD_DATE.format(option="--end")),
    (("--start", TODAY, "--end", ""), main.BAD_DATE.format(option="--end")),
    (("--start", "amanhã", "--end", TODAY), main.BAD_DATE.format(option="--start")),
    (
        ("--start", "0001-01-01", "--end", TODAY),
        defaults.TOO_LONG.format(days="739.942", most="36.501"),
    ),
    (
        ("--start", TODAY, "--end", "2026-11-21"),
        defaults.REVERSED_DATES.format(start=date(2026, 11, 22), end=date(2026, 11, 21)),
    ),
    (("--start", TODAY), defaults.ONE_DATE),
    (("--days", "3", "--start", TODAY, "--end", TODAY), defaults.DAYS_AND_DATES),
    (("--rule", "cartao"), main.BAD_RULE),
]


@pytest.mark.parametrize(("words", "sentence"), WORDS)
def test_arguments_that_make_no_request(
    command: Command, words: tuple[str, ...], sentence: str
) -> None:
    assert command.refused(*words) == sentence


def test_a_database_that_is_down(servers: Servers, command: Command) -> None:
    servers.stop("auth_logs")
    address = servers.addresses["auth_logs"]
    assert command.refused() == error_translation.NOT_CONNECTED.format(
        side="auth_logs", host=address["host"], port=address["port"]
    )


def test_a_wrong_password(command: Command) -> None:
    wrong = command.databases.values_for(NEEDS_PASSWORD, "s3nh@-errada")
    result = command.run(values=wrong)
    sides = ("transactions", "auth_logs")
    first, second = (BY_STATE["28"].format(side=side) for side in sides)
    assert command.kept(result) == BOTH_FAILED.format(first=first, second=second)
    assert "s3nh@" not in result.err


STRUCTURE = [
    (
        "transactions",
        "ALTER TABLE transactions RENAME TO t",
        BY_STATE["42P01"].format(side="transactions", name="transactions"),
    ),
    (
        "auth_logs",
        f"DROP TABLE {LOGS}",
        BY_STATE["42P01"].format(side="auth_logs", name=LOGS),
    ),
    (
        "transactions",
        "ALTER TABLE transactions DROP COLUMN amount",
        BY_STATE["42703"].format(side="transactions", name="t.amount"),
    ),
    (
        "auth_logs",
        f"ALTER TABLE {LOGS} RENAME log_time TO log_hour",
        BY_STATE["42703"].format(side="auth_logs", name="l.log_time"),
    ),
    (
        "transactions",
        f"REVOKE SELECT ON {TABLE} FROM aggregator",
        BY_STATE["42501"].format(side="transactions", name=TABLE),
    ),
    (
        "auth_logs",
        "REVOKE USAGE ON SCHEMA authentication FROM aggregator",
        BY_STATE["42501"].format(side="auth_logs", name="authentication"),
    ),
    (
        "transactions",
        "ALTER TABLE transactions ALTER transaction_time TYPE text; "
        f"INSERT INTO transactions VALUES ('4000001234561234', '{TODAY}', 'xx',"
        f" '{MERCHANT}')",
        UNREADABLE.format(
            columns="hora_transa (tipo text, lida como time)", side="transactions", code="22007"
        ),
    ),
    (
        "transactions",
        "ALTER TABLE transactions ALTER amount TYPE numeric; INSERT INTO transactions"
        f" VALUES ('4', '{TODAY}', NULL, '{MERCHANT}', NULL, 1e17)",
        UNREADABLE.format(columns="vlr_total", side="transactions", code="22003"),
    ),
    (
        "transactions",
        "ALTER TABLE transactions ALTER amount TYPE numeric; INSERT INTO transactions"
        f" VALUES ('4', '{TODAY}', NULL, '{MERCHANT}', NULL, 'NaN')",
        record_batches.WRONG_TYPE.format(side="transactions", name="vlr_total"),
    ),
    (
        "transactions",
        "ALTER TABLE transactions ALTER amount TYPE text; INSERT INTO transactions"
        f" VALUES ('4', '{TODAY}', NULL, '{MERCHANT}', NULL, '10,50')",
        UNREADABLE.format(
            columns="vlr_total (tipo text, lida como numeric)", side="transactions", code="22P02"
        ),
    ),
]


@pytest.mark.parametrize(("side", "change", "sentence"), STRUCTURE)
def test_tables_that_break_the_contract(
    command: Command, side: str, change: str, sentence: str
) -> None:
    command.databases.execute(side, change)
    assert command.refused(*ON_THAT_DAY) == sentence
    assert nothing_runs(command.databases)


COLUMNS = (
    "NULL AS num_cartao, NULL AS data, NULL AS hora, NULL AS cod_resposta, NULL AS des_log,"
    " NULL AS des_linha_recebimento"
)
QUERIES = [
    (
        f"SELECT {COLUMNS.replace('NULL AS hora, ', '')}",
        column_types.MISSING_COLUMN.format(side="auth_logs", name="hora"),
    ),
    ("SELECT 1 WHERE", BY_STATE["42601"].format(side="auth_logs")),
    ("", BY_STATE["42601"].format(side="auth_logs")),
    (
        f"SELECT {COLUMNS} FROM nenhuma",
        BY_STATE["42P01"].format(side="auth_logs", name="nenhuma"),
    ),
    (
        f"SELECT {COLUMNS.replace('NULL AS hora', 'faz(1) AS hora')}",
        BY_STATE["42"].format(side="auth_logs", code="42883"),
    ),
    (
        f"SELECT {COLUMNS} WHERE :fim > :start",
        source_query.UNKNOWN_PARAMETER.format(
            side="auth_logs", name="fim", known=":end, :merchant, :merchant_field, :start"
        ),
    ),
]


@pytest.mark.parametrize(("sql", "sentence"), QUERIES)
def test_a_query_file_that_breaks_the_contract(command: Command, sql: str, sentence: str) -> None:
    values = with_query(command.databases.values, "auth_logs", command.folder, sql)
    assert command.refused(values=values) == sentence


def test_an_output_folder_that_does_not_exist(command: Command) -> None:
    folder = command.folder / "nova"
    sentence = command.refused("--output", str(folder / "a.xlsx"))
    assert sentence == report_file.NO_FOLDER.format(folder=folder)


def test_a_disk_that_is_full_or_read_only(
    databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = configured(tmp_path, databases.values)
    databases.execute(
        "auth_logs",
        f"INSERT INTO {LOGS} SELECT n, '{TODAY}', NULL, '00', sha256(n::text::bytea),"
        f" '0{MERCHANT}' FROM generate_series(1, 3000) AS n",
    )
    with faults.small_disk(tmp_path / "disk", 64) as disk:
        command = Command(databases, disk, capsys)
        words = ("--config", str(file), "--output", str(command.target), *ON_THAT_DAY)
        assert command.kept(command.say(*words)) == report_file.NO_SPACE.format(folder=disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert command.kept(command.say(*words)) == report_file.NOT_WRITABLE.format(folder=disk)


@pytest.mark.timeout(60)
def test_a_log_into_a_pipe_without_a_reader_is_refused(command: Command) -> None:
    os.mkfifo(command.folder / "log")
    sentence = command.refused("--log-file", str(command.folder / "log"))
    assert sentence == run_log.NOT_WRITABLE.format(file=command.folder / "log")


def test_a_report_open_elsewhere_is_replaced_and_stays_whole_for_its_reader(
    command: Command,
) -> None:
    with command.target.open("rb") as open_elsewhere:
        command.reported()
        assert open_elsewhere.read() == PREVIOUS


@pytest.mark.parametrize("sides", [("transactions", "auth_logs"), ("auth_logs",)])
def test_an_interruption_ends_in_130_with_nothing_left_running(
    databases: Databases, tmp_path: Path, sides: tuple[str, ...]
) -> None:
    values: dict[str, Any] = databases.values
    for side in sides:
        values = with_query(values, side, tmp_path, slow_query(side))
    target = tmp_path / "a.xlsx"
    target.write_bytes(PREVIOUS)
    file = configured(tmp_path, values)
    process = start("--config", str(file), "--output", str(target))
    assert soon(lambda: all(statements(databases, side) for side in sides))
    process.send_signal(signal.SIGINT)
    result = finish(process)
    assert result.code == main.INTERRUPTED
    assert result.sentence == main.INTERRUPTED_SENTENCE
    assert "Traceback" not in result.err
    assert result.out == ""
    assert target.read_bytes() == PREVIOUS
    assert nothing_runs(databases)


def test_a_side_that_fails_stops_the_other_at_once(command: Command) -> None:
    slow = slow_query("transactions")
    values = with_query(command.databases.values, "transactions", command.folder, slow)
    values = with_query(values, "auth_logs", command.folder, "SELECT FROM nenhuma")
    sentence = command.refused(values=values)
    assert sentence == BY_STATE["42P01"].format(side="auth_logs", name="nenhuma")
    assert nothing_runs(command.databases)
