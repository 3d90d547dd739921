"""The `init` command: from two logins to a configuration that has been tried.

Asks on a terminal, or takes every answer as an option. Nothing is written before all answers have
been tried; the files are readable by this account only. Ends with what `check` says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lib.cli import questions
from lib.cli.questions import ask, confirm, say
from lib.domain.errors import AggregatorError, ConfigError
from lib.domain.messages import counted

if TYPE_CHECKING:
    from lib.cli.init_source import Source
    from lib.config.settings import Settings

WELCOME: Final = (
    "Configuração dos dois bancos, em {file}. Enter aceita o que está entre colchetes; Ctrl-C "
    "desiste sem gravar nada."
)
ALREADY_THERE: Final = (
    "{file} já existe e fica como está; para trocá-lo, use --replace (a versão de agora fica em "
    "{previous})."
)
MERCHANTS: Final = "Estabelecimentos"
FOUND: Final = "Com transações nos últimos {days} dias:"
MERCHANT_FOUND: Final = "  {number}. {cnpj}, {transactions}"
NOT_FOUND: Final = "Nenhuma transação de um CNPJ nos últimos {days} dias."
NOT_COUNTED: Final = "A contagem dos estabelecimentos demorou demais; escreva o CNPJ."
WHICH: Final = "Quais (números da lista ou CNPJs, separados por vírgula; o primeiro é o padrão)"
WHICH_CNPJS: Final = "CNPJ, sem pontuação (vários separados por vírgula; o primeiro é o padrão)"
NAME_OF: Final = "Nome de {cnpj}"
NOT_A_CNPJ: Final = (
    "--merchant {answer}: não é um CNPJ (12 algarismos ou letras maiúsculas e 2 algarismos)."
)
BAD_MERCHANT: Final = (
    "{answer} não é um número da lista nem um CNPJ (12 algarismos ou letras maiúsculas e 2 "
    "algarismos)."
)
NO_MERCHANT: Final = "Escolha ao menos um estabelecimento."
WITHOUT_SIGN_IN: Final = "Abrir o painel sem login, só para o navegador deste computador?"
WRITTEN: Final = "Gravado: {files}."
CHECKING: Final = "Conferindo os dois bancos com a configuração gravada (check)…"
CHECK_FAILED: Final = (
    "A configuração está gravada, mas a conferência falhou: {problem} Corrija e rode {check}."
)
NEXT_HERE: Final = (
    "Próximo passo: {start} abre o painel com os seus dados; {report} faz a planilha."
)
NEXT_SIGN_IN: Final = (
    "Próximo passo: preencha [auth] e [aggregator.access] (docs/deployment.md) e rode {start}; "
    "{report} faz a planilha."
)

_DAYS: Final = 30

_HostA = Annotated[str | None, typer.Option("--transactions-host", help="Host of database A.")]
_HostB = Annotated[str | None, typer.Option("--auth-logs-host", help="Host of database B.")]
_PortA = Annotated[
    int | None, typer.Option("--transactions-port", min=1, max=65_535, help="Default: 5432.")
]
_PortB = Annotated[
    int | None, typer.Option("--auth-logs-port", min=1, max=65_535, help="Default: as A.")
]
_DatabaseA = Annotated[str | None, typer.Option("--transactions-database", help="Its name.")]
_DatabaseB = Annotated[str | None, typer.Option("--auth-logs-database", help="Its name.")]
_UserA = Annotated[str | None, typer.Option("--transactions-user", help="Login of database A.")]
_UserB = Annotated[
    str | None, typer.Option("--auth-logs-user", help="Login of database B; default: as A.")
]
_FROM_FILE: Final = (
    "File (0600) with the password, or use the environment: AGGREGATOR__{side}__PASSWORD."
)
_PasswordA = Annotated[
    Path | None,
    typer.Option("--transactions-password-file", help=_FROM_FILE.format(side="TRANSACTIONS")),
]
_PasswordB = Annotated[
    Path | None,
    typer.Option("--auth-logs-password-file", help=_FROM_FILE.format(side="AUTH_LOGS")),
]
_SSLMODE: Final = "Default: verify-full; prefer for a server on this machine."
_ModeA = Annotated[str | None, typer.Option("--transactions-sslmode", help=_SSLMODE)]
_ModeB = Annotated[str | None, typer.Option("--auth-logs-sslmode", help=_SSLMODE)]
_ROOTS: Final = 'File of the certificate authority, or "system".'
_RootsA = Annotated[str | None, typer.Option("--transactions-sslrootcert", help=_ROOTS)]
_RootsB = Annotated[str | None, typer.Option("--auth-logs-sslrootcert", help=_ROOTS)]
_QUERY: Final = "SQL file instead of the default query."
_QueryA = Annotated[Path | None, typer.Option("--transactions-query-file", help=_QUERY)]
_QueryB = Annotated[Path | None, typer.Option("--auth-logs-query-file", help=_QUERY)]


@dataclass(frozen=True)
class _Plan:
    """The options that belong to neither database."""

    file: Path
    replace: bool
    merchants: Sequence[str]
    without_sign_in: bool | None
    allow_insecure: bool


def command(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="File to write; default: .streamlit/secrets.toml."),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Ask anew for an existing file; what is not asked stays in it."
        ),
    ] = False,
    transactions_host: _HostA = None,
    transactions_port: _PortA = None,
    transactions_database: _DatabaseA = None,
    transactions_user: _UserA = None,
    transactions_password_file: _PasswordA = None,
    transactions_sslmode: _ModeA = None,
    transactions_sslrootcert: _RootsA = None,
    transactions_query_file: _QueryA = None,
    auth_logs_host: _HostB = None,
    auth_logs_port: _PortB = None,
    auth_logs_database: _DatabaseB = None,
    auth_logs_user: _UserB = None,
    auth_logs_password_file: _PasswordB = None,
    auth_logs_sslmode: _ModeB = None,
    auth_logs_sslrootcert: _RootsB = None,
    auth_logs_query_file: _QueryB = None,
    merchant: Annotated[
        list[str] | None,
        typer.Option("--merchant", help="CNPJ or CNPJ=NAME; repeat it; the first is the default."),
    ] = None,
    without_sign_in: Annotated[
        bool | None,
        typer.Option(
            "--without-sign-in/--sign-in",
            help="Serve browsers on this machine without sign-in (the default), or configure it.",
        ),
    ] = None,
    allow_insecure: Annotated[
        bool, typer.Option("--allow-insecure", help="Accept a server that cannot be verified.")
    ] = False,
) -> None:
    """Ask for both databases, try the answers, and write the configuration."""
    from lib.config import loader

    named = config or os.environ.get(loader.FILE_VARIABLE)
    file = Path(named).absolute() if named else loader.DEFAULT_FILE
    plan = _Plan(file, replace, merchant or (), without_sign_in, allow_insecure)
    given = {
        "transactions": {
            "host": transactions_host,
            "port": transactions_port,
            "database": transactions_database,
            "user": transactions_user,
            "password_file": _absolute(transactions_password_file),
            "sslmode": transactions_sslmode,
            "sslrootcert": _roots(transactions_sslrootcert),
            "query_file": _absolute(transactions_query_file),
        },
        "auth_logs": {
            "host": auth_logs_host,
            "port": auth_logs_port,
            "database": auth_logs_database,
            "user": auth_logs_user,
            "password_file": _absolute(auth_logs_password_file),
            "sslmode": auth_logs_sslmode,
            "sslrootcert": _roots(auth_logs_sslrootcert),
            "query_file": _absolute(auth_logs_query_file),
        },
    }
    _execute(plan, given)


def _absolute(path: Path | None) -> Path | None:
    return path and path.absolute()


def _roots(value: str | None) -> str | Path | None:
    return value if value in (None, "system") else Path(str(value)).absolute()


def _execute(plan: _Plan, given: Mapping[str, Mapping[str, Any]]) -> None:
    from lib.cli import init_files, init_source
    from lib.config import kept_keys, writer
    from lib.domain.requests import SIDES

    previous = init_files.previous(plan.file)
    if os.path.lexists(plan.file) and not plan.replace:
        raise ConfigError(ALREADY_THERE, file=plan.file, previous=previous.name)
    writer.require_writable(plan.file)
    kept = init_files.kept(plan.file, without_sign_in=plan.without_sign_in)
    if questions.interactive():
        say(WELCOME.format(file=plan.file))
    sources: list[Source] = []
    with _leaving_nothing(sources):
        for side in SIDES:
            suggested = sources[-1].values if sources else {}
            options = {**kept.sides[side], **given[side], "allow_insecure": plan.allow_insecure}
            sources.append(init_source.answered(side, options, suggested))
            init_source.connected(sources[-1])
            init_source.require_tables(sources[-1], plan.file.parent)
        merchants = _merchants(plan.merchants, sources[0])
        here = plan.without_sign_in
        signs_in = kept_keys.SIGN_IN in kept.others
        if here is None and not signs_in:
            say()
            here = confirm(WITHOUT_SIGN_IN, default=True)
        texts = init_files.texts(plan.file, sources, merchants, kept, without_sign_in=bool(here))
        writer.write(texts)
    typer.echo(WRITTEN.format(files=", ".join(map(str, texts))))
    _check(plan.file, ready=here or signs_in)


@contextmanager
def _leaving_nothing(sources: Sequence[Source]) -> Iterator[None]:
    """Remove the query files that were written and not touched since, unless all went well."""
    from lib.cli import init_files

    try:
        yield
    except BaseException:
        for file, text in [item for source in sources for item in source.written.items()]:
            if init_files.holds(file, text):
                with suppress(OSError):
                    file.unlink()
        raise


def _merchants(given: Sequence[str], source: Source) -> dict[str, str]:
    """The merchants of the options, else those chosen from the database: CNPJ = name."""
    if given:
        named = {}
        for word, _, name in (text.partition("=") for text in given):
            cnpj = _cnpj(word, ())
            if cnpj is None:
                raise ConfigError(NOT_A_CNPJ, answer=word)
            named[cnpj] = name or cnpj
        return named
    say()
    say(MERCHANTS)
    found = _found(source)
    for number, (cnpj, transactions) in enumerate(found.items(), 1):
        shown = counted(transactions, "transação", "transações")
        say(MERCHANT_FOUND.format(number=number, cnpj=cnpj, transactions=shown))
    known = list(found)

    def problem(answer: str) -> str | None:
        words = _words(answer)
        wrong = [word for word in words if _cnpj(word, known) is None]
        return BAD_MERCHANT.format(answer=wrong[0]) if wrong else None if words else NO_MERCHANT

    question, default = (WHICH, "1") if known else (WHICH_CNPJS, None)
    if not questions.interactive():
        default = None  # whose data are read is nobody's default
    answer = ask(question, "--merchant", default, problem)
    chosen = dict.fromkeys(str(_cnpj(word, known)) for word in _words(answer))
    return {cnpj: ask(NAME_OF.format(cnpj=cnpj), "--merchant", cnpj) for cnpj in chosen}


def _found(source: Source) -> dict[str, int]:
    from lib.config import defaults
    from lib.database import introspection

    if "query_file" in source.values or not questions.interactive():
        return {}
    settings = source.settings()
    since = defaults.local_today(settings) - timedelta(days=_DAYS)
    found = introspection.merchants(settings, since)
    if found is None:
        say(NOT_COUNTED)
        return {}
    valid = {cnpj: number for cnpj, number in found.items() if cnpj and _is_cnpj(cnpj)}
    say((FOUND if valid else NOT_FOUND).format(days=_DAYS))
    return valid


def _words(answer: str) -> list[str]:
    return [word for word in answer.replace(",", " ").split() if word]


def _cnpj(word: str, known: Sequence[str]) -> str | None:
    """The CNPJ that a number of the list, or a CNPJ with or without punctuation, stands for."""
    if word.isascii() and word.isdigit() and 1 <= int(word) <= len(known):
        return known[int(word) - 1]
    bare = word.translate(str.maketrans("", "", "./-")).upper()
    return bare if _is_cnpj(bare) else None


def _is_cnpj(text: str) -> bool:
    from lib.config.settings import is_cnpj

    return is_cnpj(text)


def _check(file: Path, *, ready: bool) -> None:
    """Run `check` with the file, as the next run will read it, and say the next step.

    ``ready`` is false where sign-in is still to be configured.
    """
    from lib.config import defaults, loader
    from lib.config.settings import ROOT
    from lib.delivery import diagnosis

    option = "" if file == loader.DEFAULT_FILE else f" --config {file}"
    program = f"{_relative(Path(sys.executable))} {_relative(ROOT / 'aggregator.py')}"
    say(CHECKING)
    try:
        settings: Settings = loader.load(file)
        request = defaults.request(settings, defaults.local_today(settings))
        for notice in chain(settings.warnings(), diagnosis.check(settings, request)):
            typer.echo(f"Atenção: {notice}" if notice.serious else str(notice))
    except AggregatorError as problem:
        check = f"{program} check{option}"
        raise ConfigError(CHECK_FAILED, problem=str(problem), check=check) from problem
    next_step = NEXT_HERE if ready else NEXT_SIGN_IN
    start = f"{program} dashboard{option}" if option or os.name == "nt" else "make run"
    typer.echo(next_step.format(start=start, report=f"{program}{option}"))


def _relative(path: Path) -> Path:
    """The path from the working directory, where it stands below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
