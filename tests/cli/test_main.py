"""The command line as it is typed: its words, its exit codes, and which stream says what."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lib.cli import main
from lib.demo import servers
from lib.domain.errors import AggregatorError
from lib.reports import verification
from tests.support.command import PREVIOUS, Command, configured, finish, start
from tests.support.servers import MERCHANTS, Databases

DAY = date(2026, 11, 20)
WORDS = ("--start", f"{DAY}", "--end", f"{DAY}")
FIRST, SECOND = MERCHANTS
HELP = "veja python aggregator.py --help."
CARD = "400000123456123"
EMPTY_SIDE = "Atenção: O banco de "


@pytest.fixture
def command(databases: Databases, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(databases, tmp_path, capsys)


@pytest.fixture
def filled(command: Command) -> Command:
    """1,203 purchases of the first merchant, two of them copies, three without log."""
    seconds = [f"{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}" for n in range(1_200)]
    command.databases.fill(
        [
            *((f"{CARD}{n % 7}", DAY, at, FIRST, None, "1.50") for n, at in enumerate(seconds)),
            *((f"{CARD}8", DAY, at, FIRST, None, "2.00") for at in seconds[:3]),
            *((f"{CARD}{n % 7}", DAY, at, FIRST, "v", "1.50") for n, at in enumerate(seconds[:2])),
            (f"{CARD}0", DAY, "10:00", SECOND, None, "9.00"),
        ],
        auth_logs=[
            *((f"{CARD}{n}", DAY, "00:10:00", "00", "", "0" + FIRST) for n in range(7)),
            *((f"{CARD}9", DAY, "00:10:00", "51", "", "0" + FIRST) for _ in range(2)),
            (f"{CARD}0", DAY, "10:00:01", "00", "", "0" + SECOND),
        ],
    )
    return command


def test_standard_output_is_the_result_and_ends_with_the_sentence_of_success(
    filled: Command,
) -> None:
    said = filled.run(*WORDS)
    assert said.code == main.DONE
    assert said.out.splitlines() == [
        f"Estabelecimento: Loja Exemplo ({FIRST})",
        "Período: 20/11/2026 a 20/11/2026",
        "Transações: 1.205 = 1.200 consolidadas + 3 sem log + 2 duplicadas removidas",
        "Logs: 9 = 7 conciliados + 2 divergentes",
        f"Arquivo: {filled.target}",
        "Planilha 'resultado_transacoes.xlsx' gerada com sucesso.",
    ]


def test_standard_error_is_the_warnings_and_a_plain_line_a_stage(filled: Command) -> None:
    first, *stages = filled.run(*WORDS).err.splitlines()
    assert first == (
        f"Atenção: O CNPJ {FIRST} tem dígitos verificadores errados; confira a digitação."
    )
    told = [re.sub(r"[\d,]+ s$", "S s", line) for line in stages if not line.startswith("Atenção")]
    assert sorted(told) == [
        "Conciliando: 1.214 registros em S s",
        "Gravando a planilha: 1.202 registros em S s",
        "Lendo logs de autenticação: 9 registros em S s",
        "Lendo transações: 1.205 registros em S s",
    ]


@pytest.mark.parametrize("words", [("run",), ()])
def test_run_is_the_default_command(filled: Command, words: tuple[str, ...]) -> None:
    file = configured(filled.folder, filled.databases.values)
    said = filled.say(*words, "--config", str(file), "--output", str(filled.target), *WORDS)
    assert said.out.splitlines()[-1] == "Planilha 'resultado_transacoes.xlsx' gerada com sucesso."


def test_the_words_go_over_the_configuration(filled: Command) -> None:
    keys: dict[str, Any] = {"match_rule": "card_time", "tolerance_minutes": 1, "window_days": 3}
    filled.run("--merchant", SECOND, "--rule", "card", *WORDS, **keys)
    said = verification.verify(filled.target).properties
    assert said["estabelecimento"] == f"{SECOND} (Café do Porto)"
    assert said["regra"] == "card"
    filled.run("--tolerance-minutes", "0", *WORDS, **keys)
    said = verification.verify(filled.target).properties
    assert (said["regra"], said["tolerância"]) == ("card_time", "0 min")


@pytest.mark.parametrize(("words", "back"), [((), 3), (("--days", "0"), 0), (("--days", "40"), 40)])
def test_a_period_of_days_ends_today_where_the_merchants_are(
    command: Command, words: tuple[str, ...], back: int
) -> None:
    today = datetime.now(ZoneInfo("America/Sao_Paulo")).date()
    command.run(*words, window_days=3)
    period = verification.verify(command.target).properties["período"]
    assert period == f"{today - timedelta(days=back):%d/%m/%Y} a {today:%d/%m/%Y}"


def test_a_relative_output_is_the_working_directorys_and_a_configured_one_the_projects(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(command.folder)
    command.run("--output", "aqui.xlsx")
    assert (command.folder / "aqui.xlsx").is_file()
    file = configured(command.folder, command.databases.values, output_path=command.target)
    assert command.say("--config", file.name).code == main.DONE
    assert command.target.read_bytes() != PREVIOUS


def test_the_environment_goes_over_the_file_and_over_the_demo(
    filled: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Starting the demonstration itself is for its own tests; its values are what matters here.
    monkeypatch.setattr(servers, "start", lambda: filled.databases.values)
    monkeypatch.setenv("AGGREGATOR__MATCH_RULE", "card_time")
    for words in (
        ("--demo",),
        ("--config", str(configured(filled.folder, filled.databases.values))),
    ):
        assert filled.say(*words, "--output", str(filled.target), *WORDS).code == main.DONE
        assert verification.verify(filled.target).properties["regra"] == "card_time"


DATE = "--start deve ser uma data como 2026-01-31 (ano-mês-dia)."
USAGE = [
    (("--dias", "3"), f"A opção --dias não existe; a mais parecida é --days; {HELP}"),
    (("--day", "3"), f"A opção --day não existe; a mais parecida é --days; {HELP}"),
    (("--xyzzy",), f"A opção --xyzzy não existe ou está incompleta; {HELP}"),
    (("--start",), f"A opção --start não existe ou está incompleta; {HELP}"),
    (("--days", "dez"), f"Falta --days, ou o seu valor não é válido; {HELP}"),
    (("--days", "-1"), f"Falta --days, ou o seu valor não é válido; {HELP}"),
    (("--days", "1.5"), f"Falta --days, ou o seu valor não é válido; {HELP}"),
    (
        ("--tolerance-minutes", "-5"),
        f"Falta --tolerance-minutes, ou o seu valor não é válido; {HELP}",
    ),
    (("verify",), f"Falta file, ou o seu valor não é válido; {HELP}"),
    (("verify", "a", "b"), f"O comando pedido não existe ou tem argumentos demais; {HELP}"),
    (("verifica",), f"O comando pedido não existe ou tem argumentos demais; {HELP}"),
    (("--start", "20261101", "--end", "20261102", "--demo"), DATE),
    (("--start", "2026-W47-1", "--end", "2026-11-20", "--demo"), DATE),
    (("--demo", "--config", "x.toml"), "Use --config ou --demo, mas não os dois."),
    (("audit",), f"Falta dizer o que audit deve fazer: verify; {HELP}"),
    (("audit", "x"), f"O comando pedido não existe ou tem argumentos demais; {HELP}"),
    (("--demo", "--output", ""), "--output deve ser o caminho de um arquivo."),
    (("--demo", "--dry-run", "--output="), "--output deve ser o caminho de um arquivo."),
    (("run", "extra"), f"O comando pedido não existe ou tem argumentos demais; {HELP}"),
]


@pytest.mark.parametrize(("words", "sentence"), USAGE)
def test_wrong_usage_is_one_sentence_and_exit_2(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(list(words)) == main.FAILED
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", sentence + "\n")


@pytest.mark.parametrize("word", ["run", "verify", "check", ""])
def test_every_command_has_help_and_it_is_english(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*filter(None, [word]), "--help"]) == main.DONE
    said = capsys.readouterr()
    assert said.err == ""
    assert f"Usage: aggregator.py {word}".strip() in said.out
    assert not re.search(r"[ãçéíóú]", said.out)
    options = re.findall(r"^  (--\S+)(.*)$", said.out, re.MULTILINE)
    assert all(text.strip() for _, text in options)


def test_verify_re_reads_a_report_and_agrees(filled: Command) -> None:
    filled.run(*WORDS)
    said = filled.say("verify", str(filled.target))
    assert (said.code, said.err) == (main.DONE, "")
    assert said.out.splitlines() == [
        "Aba 'Divergentes': 2 linhas",
        "Aba 'Transacoes Consolidadas': 1.200 linhas",
        "Datas das transações: 20/11/2026 a 20/11/2026",
        "Total consolidado: 1800,00",
        "Transações repetidas: 0",
    ]


def test_verify_of_what_is_no_report_is_one_sentence(command: Command) -> None:
    said = command.say("verify", str(command.target))
    assert (said.code, said.out) == (main.FAILED, "")
    assert said.err == (
        f"{command.target} não é uma planilha íntegra deste programa: gere o relatório de novo.\n"
    )


def test_check_names_both_sides_and_writes_no_report(filled: Command) -> None:
    file = configured(filled.folder, filled.databases.values)
    said = filled.say("check", "--config", str(file))
    assert said.code == main.DONE
    for side in ("transactions", "auth_logs"):
        assert f"{side}: PostgreSQL " in said.out
    assert filled.target.read_bytes() == PREVIOUS


def test_check_fails_as_a_run_would(command: Command) -> None:
    command.databases.execute("auth_logs", "DROP TABLE authentication.transaction_logs")
    file = configured(command.folder, command.databases.values)
    assert command.kept(command.say("check", "--config", str(file))).startswith(
        "auth_logs: a tabela authentication.transaction_logs não existe no banco"
    )


def test_the_entry_hands_over_words_exit_code_and_both_streams(filled: Command) -> None:
    file = str(configured(filled.folder, filled.databases.values))
    done = finish(start("--config", file, "--output", "a.xlsx", *WORDS, cwd=filled.folder))
    assert done.code == main.DONE
    assert done.out.splitlines()[-1] == "Planilha 'a.xlsx' gerada com sucesso."
    assert verification.verify(filled.folder / "a.xlsx").problems == ()
    failed = finish(start("--config", file, "--days", "dez", cwd=filled.folder))
    assert (failed.code, failed.out) == (main.FAILED, "")
    assert failed.err == f"Falta --days, ou o seu valor não é válido; {HELP}\n"


@pytest.mark.parametrize(
    ("streams", "code"),
    [("2>&-", main.DONE), (">&- 2>&-", main.DONE), (">/dev/full", main.FAILED)],
)
def test_a_report_is_written_even_where_nobody_listens(
    filled: Command, streams: str, code: int
) -> None:
    file = str(configured(filled.folder, filled.databases.values))
    shell = ("sh", "-c", f'exec "$@" {streams}', "sh")
    words = ("--config", file, "--output", "a.xlsx", *WORDS)
    said = finish(start(*words, cwd=filled.folder, prefix=shell))
    assert said.code == code
    assert "Traceback" not in said.err
    assert verification.verify(filled.folder / "a.xlsx").problems == ()


def test_an_empty_merchant_is_none_of_the_configured_ones(filled: Command) -> None:
    assert filled.refused("--merchant", "", *WORDS)


def test_what_can_be_no_workbook_is_refused_before_anything_is_read(filled: Command) -> None:
    file = configured(filled.folder, filled.databases.values)
    words = ("--config", str(file), *WORDS, "--output")
    before = file.read_bytes()
    assert filled.kept(filled.say(*words, str(file))).endswith("escolha um que termine em .xlsx.")
    assert filled.kept(filled.say(*words, str(filled.folder))).endswith(
        "já existe e não é um arquivo: escolha outro."
    )
    assert file.read_bytes() == before


def test_what_nobody_expects_is_no_tidy_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("lib.analysis.books.books", broken)
    with pytest.raises(ZeroDivisionError) as caught:
        command.run(*WORDS)
    assert not isinstance(caught.value, AggregatorError)
    assert command.target.read_bytes() == PREVIOUS
