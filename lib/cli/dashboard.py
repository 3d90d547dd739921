"""The `dashboard` command: start the dashboard's server for this machine, on a free port.

Loads no screen itself: it becomes the server's process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from lib.domain.errors import AggregatorError, ConfigError

TAKEN: Final = "A porta {port} já está em uso; escolha outra, como {other}."
NO_ADDRESS: Final = (
    "Não é possível abrir a porta {port} em {address}; confira STREAMLIT_SERVER_ADDRESS e a porta."
)
STARTING: Final = "Painel em {address} (pronto em instantes; Ctrl-C encerra)."

_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104
_PORT: Final = 8501
_TRIES: Final = 100


def command(
    port: Annotated[
        int,
        typer.Option(min=1, max=65_535, envvar="STREAMLIT_SERVER_PORT", help="Port to listen on."),
    ] = _PORT,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file with an [aggregator] table.")
    ] = None,
) -> None:
    """Start the dashboard for browsers on this machine."""
    from lib.config import loader
    from lib.config.settings import ROOT

    if config or os.environ.get(loader.FILE_VARIABLE):
        named = config or Path(os.environ[loader.FILE_VARIABLE])
        os.environ[loader.FILE_VARIABLE] = str(named.absolute())
    address = os.environ.get("STREAMLIT_SERVER_ADDRESS") or _LOOPBACK
    if _is_without_sign_in():
        address = _LOOPBACK  # the only one at which the pages serve anyone
    _require_free(address, port)
    shown = _LOOPBACK if address in _EVERYWHERE else address
    host = f"[{shown}]" if ":" in shown else shown
    typer.echo(STARTING.format(address=f"http://{host}:{port}"), err=True)
    words = [
        *(sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app.py")),
        *("--server.address", address, "--server.port", str(port)),
        *("--logger.hideWelcomeMessage", "true"),
    ]
    os.chdir(ROOT)  # where the server finds .streamlit/config.toml
    if os.name == "posix":
        os.execv(sys.executable, words)  # noqa: S606 no shell
    raise typer.Exit(subprocess.call(words))  # noqa: S603 Windows has no exec


def _is_without_sign_in() -> bool:
    """True if the configuration serves this machine's browser without sign-in.

    A faulty configuration is the pages' to explain: they read it again once it is corrected.
    """
    from lib.config import loader

    try:
        return loader.exists() and loader.load().access.without_sign_in
    except AggregatorError:
        return False


def _require_free(address: str, port: int) -> None:
    if _is_free(address, port):
        return
    others = range(port + 1, min(port + _TRIES, 65_536))
    free = next((other for other in others if _is_free(address, other)), None)
    if free is None:
        raise ConfigError(NO_ADDRESS, port=port, address=address)
    other = f"make run PORT={free}" if "MAKELEVEL" in os.environ else f"--port {free}"
    raise ConfigError(TAKEN, port=port, other=other)


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, port), family=family).close()
    except OSError:
        return False
    return True
