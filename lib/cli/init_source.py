"""The part of `init` for one database: ask, open the session of a run, examine the query.

What fails is asked again, with the earlier answers as defaults. Without a terminal, a failure ends
the command.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lib.cli import questions
from lib.cli.questions import ask, confirm, say
from lib.config import defaults, loader, writer
from lib.config.secret_references import SERVICE, VAULT
from lib.database import error_translation as errors
from lib.database import introspection, query_template, tls_probe
from lib.domain import file_system
from lib.domain.errors import AggregatorError, ConfigError
from lib.domain.requests import SIDES

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.database.introspection import Connection
    from lib.domain.requests import Side

HEADINGS: Final = {
    "transactions": "Banco A (transações)",
    "auth_logs": "Banco B (logs de autenticação)",
}
QUESTIONS: Final = {
    "host": "Servidor",
    "port": "Porta",
    "database": "Banco de dados",
    "user": "Usuário",
}
ROOTS: Final = "Arquivo da autoridade (CA), em PEM; vazio se não o tem"
HIDDEN: Final = "Senha (não aparece; vazia se o servidor não pede)"
DATABASES: Final = {"transactions": "transactions_db", "auth_logs": "auth_logs_db"}
BAD_PORT: Final = "A porta é um número de 1 a 65535."
NO_FILE: Final = "O arquivo {file} não existe."
CONNECTING: Final = "Conectando…"
CONNECTED: Final = "Conectado: PostgreSQL {version}, {encryption}."
VERIFIED: Final = "{tls} com a identidade do servidor conferida"
NOT_VERIFIED: Final = "{tls} sem conferir a identidade do servidor"
LOCAL: Final = "neste computador, sem TLS"
OPEN: Final = "sem TLS: dados e senha passam abertos pela rede"
SYSTEM_ROOTS: Final = (
    "O certificado do servidor é de uma autoridade que este computador conhece "
    '(sslrootcert = "system").'
)
SUPERUSER: Final = (
    "Atenção: este usuário é superusuário do servidor; basta um que só possa ler as tabelas."
)
NO_TLS: Final = (
    "O servidor {host} não oferece TLS: peça ao administrador que o ligue (ssl = on). Sem ele, "
    "dados e senha passam abertos pela rede."
)
MISSING_AUTHORITY: Final = (
    "O servidor {host} oferece TLS com um certificado assinado por {issuer}, que este computador "
    "não conhece: peça ao administrador o arquivo dessa autoridade (CA)."
)
OTHER_HOSTS: Final = "O certificado do servidor vale para: {hosts}."
EXPIRED: Final = "O certificado do servidor venceu em {until:%d/%m/%Y}; o administrador o renova."
INSECURE_OPTION: Final = (
    "{side}: não é possível conferir a identidade do servidor; dê --{option}-sslrootcert ou, "
    "sabendo do risco, --allow-insecure."
)
GO_ON_INSECURE: Final = "Seguir assim mesmo (allow_insecure = true)?"
QUERY_WORKS: Final = "Tabelas, colunas, tipos e permissões em ordem."
WRITE_QUERY: Final = "Escrever um arquivo de consulta, para preencher com as suas tabelas?"
QUERY_WRITTEN: Final = "Escrito {file}: preencha nele cada ??? com as suas tabelas e colunas."
QUERY_FOUND: Final = "Há uma consulta em {file}; usá-la?"
QUERY_READY: Final = "Tecle Enter quando o arquivo estiver pronto"
NOT_FILLED_IN: Final = "Ainda há ??? por preencher em {file}."
GRANTED: Final = "Tecle Enter quando a permissão estiver dada"

_ANY_MERCHANT: Final = "00000000000000"
_ADDRESS: Final = ("host", "port")
_LOGIN: Final = ("user", "password")
_ALL: Final = (*_ADDRESS, "database", *_LOGIN)
_AT_FAULT: Final[Mapping[str, tuple[str, ...]]] = {
    errors.NOT_CONNECTED: _ADDRESS,
    errors.NOT_POSTGRESQL: _ADDRESS,
    errors.WRONG_HOST: ("host",),
    errors.BY_STATE["28"]: _LOGIN,
    errors.LOGIN_INCOMPLETE: ("password",),
    errors.BY_STATE["3D"]: ("database",),
    errors.BY_STATE["55000"]: ("database",),
    errors.NO_CONNECT: ("database", *_LOGIN),
}
_TLS: Final = frozenset({errors.UNTRUSTED, errors.TLS_REFUSED, errors.NO_TLS})


@dataclass
class Source:
    """The answers for one side: its configuration keys, and its password."""

    side: Side
    values: dict[str, Any]
    password: str = ""
    allow_insecure: bool = False
    written: dict[Path, str] = field(default_factory=dict)
    """Query files written for the reader to fill in, with their first text."""

    @property
    def is_reference(self) -> bool:
        """True if the password is the name of one in a vault or a service file."""
        return self.password.startswith((VAULT, SERVICE))

    def settings(self) -> Settings:
        """Settings that open this side's sessions. Raises ConfigError."""
        table = self.values | ({"password": self.password} if self.password else {})
        table = {
            key: str(value) if isinstance(value, Path) else value for key, value in table.items()
        }
        sources = dict.fromkeys(SIDES, table)
        values = {"merchants": {_ANY_MERCHANT: "-"}, "allow_insecure": self.allow_insecure}
        return loader.from_values(values | sources, "init", {})


def answered(side: Side, given: Mapping[str, Any], suggested: Mapping[str, Any]) -> Source:
    """Start from the options; ``suggested`` are the other side's answers."""
    values = {key: value for key, value in given.items() if value is not None}
    insecure = bool(values.pop("allow_insecure", False))
    name = f"{loader.PREFIX}{side.upper()}__"
    password, file = "", values.get("password_file")
    if file is None:
        password = os.environ.get(f"{name}PASSWORD", "")
        file = os.environ.get(f"{name}PASSWORD_FILE")
        if file and not password:
            values["password_file"] = Path(file).absolute()
    source = Source(side, values, password, insecure)
    say()
    say(HEADINGS[side])
    for key in _ALL:
        if key not in values and not (
            key == "password" and (password or "password_file" in values)
        ):
            _ask(source, key, suggested)
    return source


def connected(source: Source) -> None:
    """Open a session, asking again for what is wrong. Raises AggregatorError without a terminal."""
    while True:
        say(CONNECTING)
        try:
            connection = introspection.connect(source.settings(), source.side)
        except AggregatorError as problem:
            if problem.template in _TLS and _mend_tls(source, problem):
                continue
            if problem.template == loader.INSECURE and questions.interactive():
                say(problem)
                _go_on_insecure(source, source.values["sslmode"])
                continue
            if not questions.interactive():
                raise
            say(problem)
            for key in _AT_FAULT.get(problem.template, _ALL):
                _ask(source, key, source.values)
            continue
        say(
            CONNECTED.format(version=connection.version, encryption=_encryption(source, connection))
        )
        if connection.superuser:
            say(SUPERUSER)
        return


def require_tables(source: Source, folder: Path) -> None:
    """Examine the query, and offer a query file in this folder where the tables are others.

    Raises AggregatorError without a terminal.
    """
    while True:
        try:
            settings = source.settings()
            window = replace(defaults.window(settings), merchant=_ANY_MERCHANT)
            introspection.require_query(settings, source.side, window)
        except AggregatorError as problem:
            if not questions.interactive():
                raise
            say(problem)
            _mend_query(source, problem, folder)
            continue
        say(QUERY_WORKS)
        return


def _ask(source: Source, key: str, suggested: Mapping[str, Any]) -> None:
    """Ask for one key; the default is the earlier answer, else the suggested one, else ours."""
    if key == "password":
        source.password = questions.secret(HIDDEN)
        source.values.pop("password_file", None)
        return
    ours = {
        **{"host": "localhost", "port": "5432", "user": "aggregator"},
        "database": DATABASES[source.side],
    }
    own = source.values.get(key)
    if own is None and key != "database":
        own = suggested.get(key)
    default = own or (ours.get(key) if questions.interactive() or key == "port" else None)
    option = f"--{_words(source.side)}-{key}"
    check = _port_problem if key == "port" else _no_problem
    answer = ask(QUESTIONS[key], option, None if default is None else str(default), check)
    source.values[key] = int(answer) if key == "port" else answer


def _words(side: Side) -> str:
    return side.replace("_", "-")


def _no_problem(_: str) -> None:
    return None


def _port_problem(answer: str) -> str | None:
    valid = answer.isascii() and answer.isdigit() and 1 <= int(answer) <= 65_535
    return None if valid else BAD_PORT


def _encryption(source: Source, connection: Connection) -> str:
    side = source.settings().transactions
    if connection.tls:
        return (VERIFIED if side.sslmode == "verify-full" else NOT_VERIFIED).format(
            tls=connection.tls
        )
    return LOCAL if side.local else OPEN


def _mend_tls(source: Source, problem: AggregatorError) -> bool:
    """Find what the verification lacks, and take it or ask for it; False if nothing can be done."""
    if "sslrootcert" not in source.values and _is_known_to_the_system(source):
        say(SYSTEM_ROOTS)
        return True
    side = source.settings().transactions
    try:
        certificate = tls_probe.certificate(side.host, side.port, side.connect_timeout)
    except OSError:
        return False
    if certificate is None:
        say(NO_TLS.format(host=side.host))
        return _go_on_insecure(source, "prefer")
    if certificate.until < datetime.now(UTC):
        say(EXPIRED.format(until=certificate.until))
        return _go_on_insecure(source, "require")
    if questions.interactive() and "sslrootcert" in source.values:
        say(problem)
    say(MISSING_AUTHORITY.format(host=side.host, issuer=certificate.issuer))
    say(OTHER_HOSTS.format(hosts=", ".join(certificate.hosts) or certificate.issuer))
    answer = "" if source.allow_insecure else ask(ROOTS, "", "", _file_problem)
    if answer:
        source.values["sslrootcert"] = Path(answer).expanduser().absolute()
        return True
    return _go_on_insecure(source, "require")


def _is_known_to_the_system(source: Source) -> bool:
    """Try the operating system's authorities, and keep them if they verify the server."""
    trial = replace(source, values=source.values | {"sslrootcert": "system"})
    try:
        introspection.connect(trial.settings(), source.side)
    except AggregatorError as problem:
        # Any other failure comes after the authority was found.
        if problem.template in _TLS | {errors.NOT_CONNECTED, errors.STARTING}:
            return False
    source.values["sslrootcert"] = "system"
    return True


def _go_on_insecure(source: Source, sslmode: str) -> bool:
    """Connect without verification, if that is allowed; else ask for another server."""
    if source.allow_insecure and source.values.get("sslmode") == sslmode:
        return False  # tried already
    if not (source.allow_insecure or questions.interactive()):
        raise _insecure(source)
    if source.allow_insecure or confirm(GO_ON_INSECURE, default=False):
        source.values["sslmode"] = sslmode
        source.values.pop("sslrootcert", None)
        source.allow_insecure = True
    else:
        _ask(source, "host", source.values)
    return True


def _insecure(source: Source) -> ConfigError:
    return ConfigError(INSECURE_OPTION, side=source.side, option=_words(source.side))


def _file_problem(answer: str) -> str | None:
    file = Path(answer).expanduser()
    return None if not answer or file.is_file() else NO_FILE.format(file=file)


def _mend_query(source: Source, problem: AggregatorError, folder: Path) -> None:
    """Have the reader correct the query file or the permission, or ask for another database."""
    if problem.template == errors.BY_STATE["42501"]:
        ask(GRANTED, "", "")
    elif "query_file" in source.values:
        _wait_for(Path(source.values["query_file"]))
    elif confirm(WRITE_QUERY, default=True):
        _offer_query_file(source, folder / f"{source.side}.sql")
    else:
        _ask(source, "database", source.values)
        connected(source)


def _offer_query_file(source: Source, file: Path) -> None:
    if not file.exists():
        tables = introspection.tables(source.settings(), source.side)
        text = query_template.template(source.side, tables)
        writer.write({file: text})
        source.written[file] = text
        say(QUERY_WRITTEN.format(file=file))
        _wait_for(file)
    elif confirm(QUERY_FOUND.format(file=file), default=True):
        if not _is_filled_in(file):
            say(NOT_FILLED_IN.format(file=file))
            _wait_for(file)
    else:
        return
    source.values["query_file"] = file


def _wait_for(file: Path) -> None:
    def problem(_: str) -> str | None:
        return None if _is_filled_in(file) else NOT_FILLED_IN.format(file=file)

    ask(QUERY_READY, "", "", problem)


def _is_filled_in(file: Path) -> bool:
    try:
        lines = file_system.read_text(file).splitlines()
    except (OSError, ValueError):
        return True  # the examination reports the error
    code = (line.partition("--")[0] for line in lines)
    return not any(query_template.TO_FILL_IN in line for line in code)
