"""The command line: its arguments, its exit codes and its two output streams."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lib.cli import main, progress, run
from lib.config import loader
from lib.config.settings import BAD_DIGITS
from lib.database.error_translation import BY_STATE
from lib.demo import servers
from lib.domain.errors import AggregatorError
from lib.reports import report_file, verification
from tests.support.command import PREVIOUS, Command, configured, finish, start
from tests.support.sentences import says
from tests.support.servers import MERCHANTS

DAY = date(2026, 11, 20)
WORDS = ("--start", f"{DAY}", "--end", f"{DAY}")
FIRST, SECOND = MERCHANTS
CARD = "400000123456123"


@pytest.fixture
def filled(command: Command) -> Command:
    """1,205 purchases of the first merchant, two of them copies, three without log."""
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
    result = filled.run(*WORDS)
    assert result.code == main.DONE
    assert result.out.splitlines() == [
        f"Estabelecimento: Loja Exemplo ({FIRST})",
        "Período: 20/11/2026 a 20/11/2026",
        "Transações: 1.205 = 1.200 consolidadas + 3 sem log + 2 duplicadas removidas",
        "Logs: 9 = 7 conciliados + 2 divergentes",
        f"Arquivo: {filled.target}",
        "Casos: 3 novos, 0 resolvidos sozinhos, 3 em aberto",
        run.WRITTEN.format(name="resultado_transacoes.xlsx"),
    ]


def test_standard_error_is_the_warnings_and_a_plain_line_a_stage(filled: Command) -> None:
    first, *stages = filled.run(*WORDS).err.splitlines()
    assert first == f"Atenção: {BAD_DIGITS.format(cnpj=FIRST)}"
    lines = [re.sub(r"[\d,]+ s$", "S s", line) for line in stages if not line.startswith("Atenção")]
    counts = {"transactions": "1.205", "auth_logs": "9", "matching": "1.214", "writing": "1.202"}
    assert sorted(lines) == sorted(
        f"{progress.STAGES[stage]}: {count} registros em S s" for stage, count in counts.items()
    )


@pytest.mark.parametrize("words", [("run",), ()])
def test_run_is_the_default_command(filled: Command, words: tuple[str, ...]) -> None:
    file = configured(filled.folder, filled.databases.values)
    result = filled.say(*words, "--config", str(file), "--output", str(filled.target), *WORDS)
    assert result.out.splitlines()[-1] == run.WRITTEN.format(name="resultado_transacoes.xlsx")


def test_arguments_override_the_configuration(filled: Command) -> None:
    keys: dict[str, Any] = {"match_rule": "card_time", "tolerance_minutes": 1, "window_days": 3}
    filled.run("--merchant", SECOND, "--rule", "card", *WORDS, **keys)
    properties = verification.verify(filled.target).properties
    assert properties["estabelecimento"] == f"{SECOND} (Café do Porto)"
    assert properties["regra"] == "card"
    filled.run("--tolerance-minutes", "0", *WORDS, **keys)
    properties = verification.verify(filled.target).properties
    assert (properties["regra"], properties["tolerância"]) == ("card_time", "0 min")


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


def test_the_environment_overrides_the_file_and_the_demo(
    filled: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The start of the demonstration has its own tests; only its values matter here.
    monkeypatch.setattr(servers, "start", lambda: filled.databases.values)
    monkeypatch.setenv("AGGREGATOR__MATCH_RULE", "card_time")
    # The demonstration keeps its history in the project, where its past would be this run's.
    monkeypatch.setenv("AGGREGATOR__HISTORY__PATH", str(filled.folder / "history.sqlite"))
    for words in (
        ("--demo",),
        ("--config", str(configured(filled.folder, filled.databases.values))),
    ):
        assert filled.say(*words, "--output", str(filled.target), *WORDS).code == main.DONE
        assert verification.verify(filled.target).properties["regra"] == "card_time"


def usage(template: str, **values: str) -> str:
    return main.SEE_HELP.format(sentence=template.format(**values))


SIMILAR = {"similar": "--days"}
BAD_DAYS = usage(main.BAD_VALUE, parameter="--days")
BAD_START = main.BAD_DATE.format(option="--start")
UNKNOWN_COMMAND = usage(main.UNKNOWN_COMMAND)
USAGE = [
    (("--dias", "3"), usage(main.SIMILAR_OPTION, option="--dias", **SIMILAR)),
    (("--day", "3"), usage(main.SIMILAR_OPTION, option="--day", **SIMILAR)),
    (("--xyzzy",), usage(main.UNKNOWN_OPTION, option="--xyzzy")),
    (("--start",), usage(main.UNKNOWN_OPTION, option="--start")),
    (("--days", "dez"), BAD_DAYS),
    (("--days", "-1"), BAD_DAYS),
    (("--days", "1.5"), BAD_DAYS),
    (("--tolerance-minutes", "-5"), usage(main.BAD_VALUE, parameter="--tolerance-minutes")),
    (("verify",), usage(main.BAD_VALUE, parameter="file")),
    (("verify", "a", "b"), UNKNOWN_COMMAND),
    (("verifica",), UNKNOWN_COMMAND),
    (("--start", "20261101", "--end", "20261102", "--demo"), BAD_START),
    (("--start", "2026-W47-1", "--end", "2026-11-20", "--demo"), BAD_START),
    (("--demo", "--config", "x.toml"), main.CONFIG_OR_DEMO),
    (("audit",), usage(main.NO_SUBCOMMAND, group="audit", commands="verify")),
    (("audit", "x"), UNKNOWN_COMMAND),
    (("--demo", "--output", ""), main.BAD_OUTPUT),
    (("--demo", "--dry-run", "--output="), main.BAD_OUTPUT),
    (("run", "extra"), UNKNOWN_COMMAND),
]


@pytest.mark.parametrize(("words", "sentence"), USAGE)
def test_wrong_usage_is_one_sentence_and_exit_2(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(list(words)) == main.FAILED
    result = capsys.readouterr()
    assert (result.out, result.err) == ("", sentence + "\n")


@pytest.mark.parametrize("word", ["run", "verify", "check", ""])
def test_every_command_has_help_and_it_is_english(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*filter(None, [word]), "--help"]) == main.DONE
    result = capsys.readouterr()
    assert result.err == ""
    assert f"Usage: aggregator.py {word}".strip() in result.out
    assert not re.search(r"[ãçéíóú]", result.out)
    options = re.findall(r"^  (--\S+)(.*)$", result.out, re.MULTILINE)
    assert all(text.strip() for _, text in options)


def test_verify_re_reads_a_report_and_agrees(filled: Command) -> None:
    filled.run(*WORDS)
    result = filled.say("verify", str(filled.target))
    assert (result.code, result.err) == (main.DONE, "")
    assert result.out.splitlines() == [
        "Aba 'Divergentes': 2 linhas",
        "Aba 'Transacoes Consolidadas': 1.200 linhas",
        "Datas das transações: 20/11/2026 a 20/11/2026",
        "Total consolidado: 1800,00",
        "Transações repetidas: 0",
    ]


def test_verify_of_what_is_no_report_is_one_sentence(command: Command) -> None:
    result = command.say("verify", str(command.target))
    assert (result.code, result.out) == (main.FAILED, "")
    assert result.err == verification.DAMAGED.format(path=command.target) + "\n"


def test_check_names_both_sides_and_writes_no_report(filled: Command) -> None:
    file = configured(filled.folder, filled.databases.values)
    result = filled.say("check", "--config", str(file))
    assert result.code == main.DONE
    for side in ("transactions", "auth_logs"):
        assert f"{side}: PostgreSQL " in result.out
    assert filled.target.read_bytes() == PREVIOUS


def test_check_fails_as_a_run_would(command: Command) -> None:
    command.databases.execute("auth_logs", "DROP TABLE authentication.transaction_logs")
    file = configured(command.folder, command.databases.values)
    result = command.say("check", "--config", str(file))
    table = "authentication.transaction_logs"
    assert result.code == main.FAILED
    assert result.sentence == BY_STATE["42P01"].format(side="auth_logs", name=table)
    [found] = result.out.splitlines()
    assert found.startswith("transactions: PostgreSQL "), "the side in order is told too"


def test_the_entry_point_passes_on_arguments_exit_code_and_both_streams(filled: Command) -> None:
    file = str(configured(filled.folder, filled.databases.values))
    done = finish(start("--config", file, "--output", "a.xlsx", *WORDS, cwd=filled.folder))
    assert done.code == main.DONE
    assert done.out.splitlines()[-1] == run.WRITTEN.format(name="a.xlsx")
    assert verification.verify(filled.folder / "a.xlsx").problems == ()
    failed = finish(start("--config", file, "--days", "dez", cwd=filled.folder))
    assert (failed.code, failed.out) == (main.FAILED, "")
    assert failed.err == f"{BAD_DAYS}\n"


@pytest.mark.parametrize(
    ("streams", "code"),
    [("2>&-", main.DONE), (">&- 2>&-", main.DONE), (">/dev/full", main.FAILED)],
)
def test_a_report_is_written_even_if_its_output_cannot_be(
    filled: Command, streams: str, code: int
) -> None:
    file = str(configured(filled.folder, filled.databases.values))
    shell = ("sh", "-c", f'exec "$@" {streams}', "sh")
    words = ("--config", file, "--output", "a.xlsx", *WORDS)
    result = finish(start(*words, cwd=filled.folder, prefix=shell))
    assert result.code == code
    assert "Traceback" not in result.err
    assert verification.verify(filled.folder / "a.xlsx").problems == ()


def test_an_empty_merchant_is_not_a_configured_one(filled: Command) -> None:
    assert says(filled.refused("--merchant", "", *WORDS), loader.NOT_CONFIGURED)


def test_an_output_that_is_no_workbook_is_refused_before_anything_is_read(filled: Command) -> None:
    file = configured(filled.folder, filled.databases.values)
    words = ("--config", str(file), *WORDS, "--output")
    before = file.read_bytes()
    sentence = filled.kept(filled.say(*words, str(file)))
    assert sentence == report_file.WRONG_SUFFIX.format(target=file)
    sentence = filled.kept(filled.say(*words, str(filled.folder)))
    assert sentence == report_file.NOT_A_FILE.format(target=filled.folder)
    assert file.read_bytes() == before


def test_an_unexpected_error_is_not_turned_into_a_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("lib.analysis.books.books", broken)
    with pytest.raises(ZeroDivisionError) as caught:
        command.run(*WORDS)
    assert not isinstance(caught.value, AggregatorError)
    assert command.target.read_bytes() == PREVIOUS
