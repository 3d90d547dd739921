"""The command line: parses, calls the pipeline, prints, and owns the exit codes.

0 done, 2 expected failure or wrong usage (one sentence on standard error), 130 interrupted.
Standard output is data, standard error is talk. Loads neither streamlit nor plotly.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.exceptions import TyperException

from lib.cli import audit
from lib.domain.errors import AggregatorError, ConfigError, ReportError

if TYPE_CHECKING:
    from lib.config.settings import Settings

DONE: Final = 0
FAILED: Final = 2
INTERRUPTED: Final = 130

_NOBODY_LISTENS: Final = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)
# How typer calls a group's name that no command follows; it has no public class for it.
_NOTHING_ASKED: Final = "NoArgsIsHelpError"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Put a merchant's card transactions together with their authentication logs.",
)
app.add_typer(audit.app, name="audit")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file with an [aggregator] table.")
]
MerchantOption = Annotated[
    str | None, typer.Option("--merchant", help="CNPJ of one of the configured merchants.")
]
DemoOption = Annotated[bool, typer.Option("--demo", help="Use the built-in demo databases.")]


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    unexpected = sys.excepthook
    _open_closed_streams()
    try:
        with _stoppable():
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
        if problem.filename is not None or problem.errno not in _NOBODY_LISTENS:
            raise
        # What a run says last, it says over the finished report.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail("Não foi possível escrever na saída padrão; o que foi gravado continua lá.")
    finally:
        sys.excepthook = unexpected  # typer's own would show a driver's message as it is
    if code == INTERRUPTED:  # typer makes this of an interruption
        _fail("Interrompido; a planilha anterior continua intacta.")
        return INTERRUPTED
    return DONE


@app.command()
def run(
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
        raise ConfigError("--rule deve ser card ou card_time.")
    if output is not None and not output.name:
        raise ConfigError("--output deve ser o caminho de um arquivo.")
    if all_merchants and merchant is not None:
        raise ConfigError("Use --merchant ou --all-merchants, mas não os dois.")
    with run_log.kept(log_file, as_json=json_log):
        settings = _settings(config, demo)
        if settings.engine.kind == "chunked":
            from lib.engines import process_pool

            process_pool.prepare()  # beside what this process loads now
        elif settings.engine.kind == "spark" and config is not None:
            from lib.config.loader import FILE_VARIABLE

            # On this machine its workers, which load the configuration by themselves, find it.
            os.environ[FILE_VARIABLE] = str(config.absolute())
        from lib.cli import run as scheduled

        scheduled.run(
            settings,
            scheduled.Job(
                merchants=tuple(settings.merchants) if all_merchants else (merchant,),
                period={"days": days, "start": _day("--start", start), "end": _day("--end", end)},
                rule={"rule": rule, "tolerance_minutes": tolerance_minutes},
                output=output.absolute() if output else settings.output_path,
                dry_run=dry_run,
                silent=json_log and log_file is None,
            ),
        )


@app.command()
def history(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many runs, the latest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    demo: DemoOption = False,
) -> None:
    """Show the recorded runs, scheduled and from the page."""
    from lib.cli import history_format
    from lib.delivery import history as records

    settings = _settings(config, demo)
    for run in records.of(settings).runs(limit):
        lines = (
            [history_format.as_json(run)] if as_json else history_format.lines(run, settings.zone)
        )
        for line in lines:
            typer.echo(line)


@app.command()
def verify(file: Annotated[Path, typer.Argument(help="A written workbook.")]) -> None:
    """Re-read a report and hold its cells against its own figures."""
    from lib.reports import verification

    found = verification.verify(file)
    for line in found.lines():
        typer.echo(line)
    if found.problems:
        raise ReportError("{file}: {problem}", file=file, problem=found.problems[0])


@app.command()
def check(
    config: ConfigOption = None, merchant: MerchantOption = None, demo: DemoOption = False
) -> None:
    """Connect to both databases and check columns, permissions and clocks."""
    from lib.config import defaults
    from lib.delivery import diagnosis

    settings = _settings(config, demo)
    asked = defaults.request(settings, defaults.local_today(settings), merchant=merchant)
    for notice in diagnosis.check(settings, asked):
        typer.echo(f"Atenção: {notice}" if notice.serious else str(notice))


def _settings(path: Path | None, demo: bool) -> Settings:
    from lib.config import loader

    if demo and path:
        raise ConfigError("Use --config ou --demo, mas não os dois.")
    if demo:
        from lib.delivery.history import history_of_demo
        from lib.demo import servers as embedded

        return loader.from_values(embedded.start() | history_of_demo(), "demonstração")
    settings = loader.load(path)
    for warning in settings.warnings():
        typer.echo(f"Atenção: {warning}", err=True)
    return settings


def _day(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            "{option} deve ser uma data como 2026-01-31 (ano-mês-dia).", option=option
        ) from None


def _with_default_command(arguments: list[str]) -> list[str]:
    """`run` is what is meant where no command is named."""
    named = arguments and (arguments[0] == "--help" or not arguments[0].startswith("-"))
    return arguments if named else ["run", *arguments]


def _usage_sentence(problem: TyperException) -> str:
    """What is wrong with the command's words; typer's own sentences are English."""
    option = getattr(problem, "option_name", None)
    parameter = getattr(problem, "param", None)
    near = getattr(problem, "possibilities", None)
    group: Any = getattr(problem, "cmd", None)
    if type(problem).__name__ == _NOTHING_ASKED:
        said = f"Falta dizer o que {group.name} deve fazer: {', '.join(group.commands)}"
    elif near:
        said = f"A opção {option} não existe; a mais parecida é {near[0]}"
    elif option:
        said = f"A opção {option} não existe ou está incompleta"
    elif parameter is not None:
        said = f"Falta {max(parameter.opts, key=len)}, ou o seu valor não é válido"
    else:
        said = "O comando pedido não existe ou tem argumentos demais"
    return f"{said}; veja python aggregator.py --help."


def _open_closed_streams() -> None:
    """A scheduler may start a program without any."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 kept open


@contextmanager
def _stoppable() -> Iterator[None]:
    """A service that is told to stop ends like one that is interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _fail(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return FAILED
