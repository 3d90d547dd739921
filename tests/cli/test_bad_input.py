"""Every way of getting it wrong through the command line: one sentence, exit 2, nothing lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main
from lib.config import loader
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
from tests.support.servers import MERCHANTS, NEEDS_PASSWORD, Databases, Servers

TODAY = "2026-11-22"
ON_THAT_DAY = ("--start", TODAY, "--end", TODAY)
MERCHANT = next(iter(MERCHANTS))
KNOWN = ", ".join(MERCHANTS)
NO_DATE = "deve ser uma data como 2026-01-31 (ano-mês-dia)."
TABLE = "customer_cards"
LOGS = "authentication.transaction_logs"


@pytest.fixture
def command(databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(databases, tmp_path, capsys)


def test_no_configuration(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = command.folder / "secrets.toml"
    monkeypatch.setattr(loader, "DEFAULT_FILE", nowhere)
    said = command.say("run", "--output", str(command.target))
    assert command.kept(said) == (
        f"Não há configuração: crie {nowhere}, dê um arquivo em AGGREGATOR_CONFIG ou use --demo."
    )


def test_an_unknown_key(command: Command) -> None:
    file = command.folder / "aggregator.toml"
    assert command.refused(windowdays=3) == (
        f"{file}: a chave aggregator.windowdays não existe; a mais parecida é window_days."
    )


def test_a_configured_merchant_that_is_no_cnpj(command: Command) -> None:
    sentence = command.refused(merchants={"1234": "Loja"})
    assert "o valor de aggregator.merchants.1234 não serve; espera-se CNPJ = " in sentence


WORDS: list[tuple[tuple[str, ...], str]] = [
    (("--merchant", "1234"), f"O CNPJ pedido não é um dos configurados: {KNOWN}."),
    (("--merchant", "00000000000191"), f"O CNPJ pedido não é um dos configurados: {KNOWN}."),
    (("--start", "22/11/2026", "--end", TODAY), f"--start {NO_DATE}"),
    (("--start", TODAY, "--end", "2026-02-30"), f"--end {NO_DATE}"),
    (("--start", TODAY, "--end", ""), f"--end {NO_DATE}"),
    (("--start", "amanhã", "--end", TODAY), f"--start {NO_DATE}"),
    (
        ("--start", TODAY, "--end", "2026-11-21"),
        "O período começa em 22/11/2026, depois do fim em 21/11/2026; inverta as datas.",
    ),
    (("--start", TODAY), "Um período precisa das duas datas: --start e --end."),
    (
        ("--days", "3", "--start", TODAY, "--end", TODAY),
        "Use --days, ou --start com --end, mas não os dois.",
    ),
    (("--rule", "cartao"), "--rule deve ser card ou card_time."),
]


@pytest.mark.parametrize(("words", "sentence"), WORDS)
def test_words_that_cannot_be_meant(
    command: Command, words: tuple[str, ...], sentence: str
) -> None:
    assert command.refused(*words) == sentence


def test_a_database_that_is_down(servers: Servers, command: Command) -> None:
    servers.stop("auth_logs")
    where = servers.addresses["auth_logs"]
    assert command.refused() == (
        f"auth_logs: não foi possível conectar a {where['host']}, porta {where['port']}; "
        "confira se o banco está no ar e se o endereço está certo."
    )


def test_a_wrong_password(command: Command) -> None:
    wrong = command.databases.values_for(NEEDS_PASSWORD, "s3nh@-errada")
    said = command.run(values=wrong)
    assert command.kept(said) in {
        f"{side}: o servidor recusou o usuário ou a senha; confira user e password."
        for side in ("transactions", "auth_logs")
    }
    assert "s3nh@" not in said.err


STRUCTURE = [
    (
        "transactions",
        "ALTER TABLE transactions RENAME TO t",
        "transactions: a tabela transactions não existe no banco; confira o banco ou o query_file.",
    ),
    (
        "auth_logs",
        f"DROP TABLE {LOGS}",
        f"auth_logs: a tabela {LOGS} não existe no banco; confira o banco ou o query_file.",
    ),
    (
        "transactions",
        "ALTER TABLE transactions DROP COLUMN amount",
        "transactions: a coluna t.amount não existe no banco; confira as tabelas ou o query_file.",
    ),
    (
        "auth_logs",
        f"ALTER TABLE {LOGS} RENAME log_time TO log_hour",
        "auth_logs: a coluna l.log_time não existe no banco; confira as tabelas ou o query_file.",
    ),
    (
        "transactions",
        f"REVOKE SELECT ON {TABLE} FROM aggregator",
        f"transactions: o usuário não tem permissão de leitura em {TABLE}; peça um GRANT SELECT.",
    ),
    (
        "auth_logs",
        "REVOKE USAGE ON SCHEMA authentication FROM aggregator",
        "auth_logs: o usuário não tem permissão de leitura em authentication; "
        "peça um GRANT SELECT.",
    ),
    (
        "transactions",
        "ALTER TABLE transactions ALTER transaction_time TYPE text; "
        f"INSERT INTO transactions VALUES ('4000001234561234', '{TODAY}', 'xx',"
        f" '{MERCHANT}')",
        "transactions: um valor não tem o tipo do contrato (data, hora ou valor; código 22007); "
        "confira os tipos das colunas.",
    ),
    (
        "transactions",
        "ALTER TABLE transactions ALTER amount TYPE numeric; INSERT INTO transactions"
        f" VALUES ('4', '{TODAY}', NULL, '{MERCHANT}', NULL, 1e17)",
        "transactions: um valor não tem o tipo do contrato (data, hora ou valor; código 22003); "
        "confira os tipos das colunas.",
    ),
    (
        "transactions",
        "ALTER TABLE transactions ALTER amount TYPE numeric; INSERT INTO transactions"
        f" VALUES ('4', '{TODAY}', NULL, '{MERCHANT}', NULL, 'NaN')",
        "transactions: um valor lido não tem o tipo do contrato; confira as colunas da consulta.",
    ),
]


@pytest.mark.parametrize(("side", "change", "sentence"), STRUCTURE)
def test_tables_that_are_not_the_contracts(
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
        "auth_logs: a consulta não devolve a coluna hora; confira o query_file.",
    ),
    ("SELECT 1 WHERE", "auth_logs: a consulta tem um erro de sintaxe; confira o query_file."),
    ("", "auth_logs: a consulta tem um erro de sintaxe; confira o query_file."),
    (
        f"SELECT {COLUMNS} FROM nenhuma",
        "auth_logs: a tabela nenhuma não existe no banco; confira o banco ou o query_file.",
    ),
    (
        f"SELECT {COLUMNS.replace('NULL AS hora', 'faz(1) AS hora')}",
        "auth_logs: o banco não aceita a consulta (código 42883); confira o query_file.",
    ),
    (
        f"SELECT {COLUMNS} WHERE :fim > :start",
        "auth_logs: a consulta usa o parâmetro desconhecido :fim; há :end, :merchant, "
        ":merchant_field, :start (escreva \\: para um dois-pontos comum).",
    ),
]


@pytest.mark.parametrize(("sql", "sentence"), QUERIES)
def test_a_query_file_that_does_not_keep_the_contract(
    command: Command, sql: str, sentence: str
) -> None:
    values = with_query(command.databases.values, "auth_logs", command.folder, sql)
    assert command.refused(values=values) == sentence


def test_an_output_folder_that_is_not_there(command: Command) -> None:
    folder = command.folder / "nova"
    assert command.refused("--output", str(folder / "a.xlsx")) == (
        f"A pasta {folder} não existe: crie-a ou escolha outra para a planilha."
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of sixty-four kilobytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting needs privileges")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_or_may_not_be_written(
    databases: Databases, small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(databases, small_disk, capsys)
    file = configured(tmp_path, databases.values)
    words = ("--config", str(file), "--output", str(command.target), *ON_THAT_DAY)
    databases.execute(
        "auth_logs",
        f"INSERT INTO {LOGS} SELECT n, '{TODAY}', NULL, '00', sha256(n::text::bytea),"
        f" '0{MERCHANT}' FROM generate_series(1, 3000) AS n",
    )
    assert command.kept(command.say(*words)) == (
        f"Acabou o espaço em disco ao gravar a planilha em {small_disk}: libere espaço ali e "
        "rode de novo; a planilha anterior continua intacta."
    )
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert command.kept(command.say(*words)) == (
        f"Sem permissão para gravar na pasta {small_disk}: "
        "peça acesso a ela ou escolha outra pasta."
    )


def test_a_report_that_is_open_elsewhere_is_replaced_and_stays_whole_there(
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
    said = finish(process)
    assert said.code == main.INTERRUPTED
    assert said.sentence == "Interrompido; a planilha anterior continua intacta."
    assert "Traceback" not in said.err
    assert said.out == ""
    assert target.read_bytes() == PREVIOUS
    assert nothing_runs(databases)


def test_a_side_that_fails_stops_the_other_at_once(command: Command) -> None:
    slow = slow_query("transactions")
    values = with_query(command.databases.values, "transactions", command.folder, slow)
    values = with_query(values, "auth_logs", command.folder, "SELECT FROM nenhuma")
    assert command.refused(values=values).startswith("auth_logs: a tabela nenhuma não existe")
    assert nothing_runs(command.databases)
