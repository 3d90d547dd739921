"""The command line: parses arguments, calls the product, prints, and owns the exit codes.

0 done, 2 expected failure or wrong usage (one sentence on standard error), 130 interrupted.
Standard output is data, standard error messages. Loads neither streamlit nor plotly; the imports
inside the commands keep `--help` quick.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.exceptions import TyperException

from lib.cli import audit, cases, console, dashboard, init, notify, report_age
from lib.domain import stop_signals
from lib.domain.errors import AggregatorError, ConfigError, ReportError

if TYPE_CHECKING:
    from lib.config.settings import Settings

DONE: Final = 0
FAILED: Final = 2
INTERRUPTED: Final = 130

INTERRUPTED_SENTENCE: Final = "Interrompido; o que já estava gravado continua intacto."
OUTPUT_FAILED: Final = "Não foi possível escrever na saída padrão; o que foi gravado continua lá."
BAD_RULE: Final = "--rule deve ser card ou card_time."
BAD_OUTPUT: Final = "--output deve ser o caminho de um arquivo."
NO_CURRENT_FOLDER: Final = (
    "A pasta atual não existe mais ou está sem acesso: use caminhos absolutos, ou rode de outra "
    "pasta."
)
BAD_DATE: Final = "{option} deve ser uma data como 2026-01-31 (ano-mês-dia)."
MERCHANT_OR_ALL: Final = "Use --merchant ou --all-merchants, mas não os dois."
ALL_NEEDS_AGE: Final = "--all-merchants só vale com --max-age, ou num run."
CONFIG_OR_DEMO: Final = "Use --config ou --demo, mas não os dois."
NO_SUBCOMMAND: Final = "Falta dizer o que {group} deve fazer: {commands}"
SIMILAR_OPTION: Final = "A opção {option} não existe; a mais parecida é {similar}"
UNKNOWN_OPTION: Final = "A opção {option} não existe ou está incompleta"
BAD_VALUE: Final = "Falta {parameter}, ou o seu valor não é válido"
UNKNOWN_COMMAND: Final = "O comando pedido não existe ou tem argumentos demais"
SEE_HELP: Final = "{sentence}; veja python aggregator.py --help."

_OUTPUT_ERRORS: Final = (
    *(errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EAGAIN),
    errno.EINVAL,  # Windows: the reader of a pipe has ended
)
# Typer's error for a group without a subcommand has no public class.
_NO_SUBCOMMAND_ERROR: Final = "NoArgsIsHelpError"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Put a merchant's card transactions together with their authentication logs.",
)
app.add_typer(audit.app, name="audit")
app.add_typer(notify.app, name="notify")
app.command("init")(init.command)
app.command("dashboard")(dashboard.command)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file with an [aggregator] table.")
]
MerchantOption = Annotated[
    str | None, typer.Option("--merchant", help="CNPJ of one of the configured merchants.")
]
DemoOption = Annotated[bool, typer.Option("--demo", help="Use the built-in demo databases.")]


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    hook = sys.excepthook
    console.prepare()
    try:
        # SIGTERM, and the end of the terminal, are like Ctrl-C.
        with stop_signals.handled(stop_signals.OTHERS, _interrupt):
            code = app(
                _with_default_command(arguments), standalone_mode=False, prog_name="aggregator.py"
            )
    except AggregatorError as problem:
        return _fail(str(problem))
    except TyperException as problem:
        return _fail(_usage_sentence(problem))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except OSError as problem:
        if not _has_current_folder():
            return _fail(NO_CURRENT_FOLDER)
        if problem.filename is not None or problem.errno not in _OUTPUT_ERRORS:
            raise
        # The report is already in place: a run prints only after writing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(OUTPUT_FAILED)
    finally:
        sys.excepthook = hook  # typer's own would show a driver's message unscrubbed
    if code == INTERRUPTED:  # also what typer returns for a KeyboardInterrupt
        with suppress(OSError):  # the terminal may be gone
            _fail(INTERRUPTED_SENTENCE)
        return INTERRUPTED
    return DONE


@app.command("run")
def run_command(
    config: ConfigOption = None,
    merchant: MerchantOption = None,
    all_merchants: Annotated[
        bool, typer.Option("--all-merchants", help="One report for each configured merchant.")
    ] = False,
    days: Annotated[
        int | None, typer.Option(min=0, max=36_500, help="Period: today - N to today.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First day, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, YYYY-MM-DD.")] = None,
    rule: Annotated[str | None, typer.Option(help="Matching rule: card or card_time.")] = None,
    tolerance_minutes: Annotated[
        int | None,
        typer.Option(min=0, max=525_600, help="Largest time difference of rule card_time."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Where to write; may hold {date}, {start}, {end} and {merchant}."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read, match and print the counts; write nothing.")
    ] = False,
    log_file: Annotated[
        Path | None, typer.Option(help="Append a line a stage to this file, with rotation.")
    ] = None,
    json_log: Annotated[
        bool, typer.Option("--json-log", help="Log in JSON lines, to the file or standard error.")
    ] = False,
    demo: DemoOption = False,
) -> None:
    """Read both databases, match, and write the two-sheet workbook (the default command)."""
    from lib.cli import run_log

    if rule not in (None, "card", "card_time"):
        raise ConfigError(BAD_RULE)
    if output is not None and not output.name:
        raise ConfigError(BAD_OUTPUT)
    if all_merchants and merchant is not None:
        raise ConfigError(MERCHANT_OR_ALL)
    with run_log.attached(log_file, as_json=json_log):
        settings = _settings(config, demo)
        target = output.absolute() if output else settings.output_path
        if not _has_current_folder():
            os.chdir(os.path.sep)  # starting processes needs one
        if settings.engine.kind == "chunked":
            from lib.domain import memory
            from lib.engines import process_pool

            with suppress(MemoryError):  # the run will say so, if it is still short then
                memory.require(memory.FIRST_BYTES)
                process_pool.prepare()  # while this process loads its own modules
        elif settings.engine.kind == "spark" and config is not None:
            from lib.config.loader import FILE_VARIABLE

            # Local Spark workers load the configuration themselves.
            os.environ[FILE_VARIABLE] = str(config.absolute())
        from lib.cli import run

        run.execute(
            settings,
            run.Job(
                merchants=tuple(settings.merchants) if all_merchants else (merchant,),
                period={"days": days, "start": _day("--start", start), "end": _day("--end", end)},
                rule={"rule": rule, "tolerance_minutes": tolerance_minutes},
                output=target,
                dry_run=dry_run,
                silent=json_log and log_file is None,
            ),
        )


@app.command("history")
def history_command(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many runs, the latest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    demo: DemoOption = False,
) -> None:
    """Show the recorded runs, scheduled and from the page."""
    from lib.cli import history_format
    from lib.delivery import history

    settings = _settings(config, demo)
    for run in history.of(settings).runs(limit):
        if as_json:
            typer.echo(history_format.as_json(run))
        else:
            typer.echo("\n".join(history_format.lines(run, settings.zone)))


@notify.app.command("test")
def notify_test_command(config: ConfigOption = None, demo: DemoOption = False) -> None:
    """Send a notice to each configured target, and say what came of it."""
    notify.send_test(_settings(config, demo))


@app.command("cases")
def cases_command(
    config: ConfigOption = None,
    merchant: MerchantOption = None,
    new: cases.NewOption = False,
    still_open: cases.OpenOption = False,
    all_states: cases.AllOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    demo: DemoOption = False,
) -> None:
    """Show the cases: records that need somebody, as the judging runs left them."""
    cases.require_one(new, still_open, all_states)
    settings = _settings(config, demo)
    for line in cases.lines(settings, merchant, new=new, all_states=all_states, as_json=as_json):
        typer.echo(line)


@app.command()
def verify(file: Annotated[Path, typer.Argument(help="A written workbook.")]) -> None:
    """Re-read a report and check its cells against its own figures."""
    from lib.reports import verification

    result = verification.verify(file)
    for line in result.lines():
        typer.echo(line)
    if result.problems:
        raise ReportError("{file}: {problem}", file=file, problem=result.problems[0])


@app.command()
def check(
    config: ConfigOption = None,
    merchant: MerchantOption = None,
    max_age: Annotated[
        str | None,
        typer.Option(help="Only read the history: is the last good report older? Like 26h."),
    ] = None,
    all_merchants: Annotated[
        bool, typer.Option("--all-merchants", help="With --max-age: every configured merchant.")
    ] = False,
    demo: DemoOption = False,
) -> None:
    """Connect to both databases and check columns, permissions and clocks."""
    from lib.config import defaults
    from lib.delivery import diagnosis

    if all_merchants and max_age is None:
        raise ConfigError(ALL_NEEDS_AGE)
    if all_merchants and merchant is not None:
        raise ConfigError(MERCHANT_OR_ALL)
    if max_age is not None:
        limit = report_age.parse(max_age)
        settings = _settings(config, demo)
        report_age.check(settings, None if all_merchants else (merchant,), limit)
        return
    settings = _settings(config, demo)
    request = defaults.request(settings, defaults.local_today(settings), merchant=merchant)
    for notice in diagnosis.check(settings, request):
        typer.echo(f"Atenção: {notice}" if notice.serious else str(notice))


def _settings(path: Path | None, demo: bool) -> Settings:
    from lib.config import loader

    if demo and path:
        raise ConfigError(CONFIG_OR_DEMO)
    if demo:
        from lib.delivery.history import history_of_demo
        from lib.demo import servers

        return loader.from_values(servers.start() | history_of_demo(), "demonstração")
    settings = loader.load(path)
    for warning in settings.warnings():
        typer.echo(f"Atenção: {warning}", err=True)
    return settings


def _has_current_folder() -> bool:
    """False in a working directory that was removed: a relative path leads nowhere."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _day(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(BAD_DATE, option=option) from None


def _with_default_command(arguments: list[str]) -> list[str]:
    """Insert `run` before the arguments if they name no command."""
    named = arguments and (arguments[0] == "--help" or not arguments[0].startswith("-"))
    return arguments if named else ["run", *arguments]


def _usage_sentence(problem: TyperException) -> str:
    """Describe wrong usage in Portuguese; typer's own messages are English."""
    option = getattr(problem, "option_name", None)
    parameter = getattr(problem, "param", None)
    similar = getattr(problem, "possibilities", None)
    group: Any = getattr(problem, "cmd", None)
    if type(problem).__name__ == _NO_SUBCOMMAND_ERROR:
        sentence = NO_SUBCOMMAND.format(group=group.name, commands=", ".join(group.commands))
    elif similar:
        sentence = SIMILAR_OPTION.format(option=option, similar=similar[0])
    elif option:
        sentence = UNKNOWN_OPTION.format(option=option)
    elif parameter is not None:
        sentence = BAD_VALUE.format(parameter=max(parameter.opts, key=len))
    else:
        sentence = UNKNOWN_COMMAND
    return SEE_HELP.format(sentence=sentence)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _fail(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return FAILED
