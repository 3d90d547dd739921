"""The command `notify test`: sends a notice to each target, and says what came of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import typer

from lib.domain.errors import ConfigError

if TYPE_CHECKING:
    from lib.config.settings import Settings

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, help="Notices by Apprise.", no_args_is_help=True
)


SENT: Final = "{target}: o aviso de teste foi enviado."
NOT_SENT: Final = "{target}: o aviso de teste não foi enviado: {problem}."
NOT_ALL: Final = "Avisos de teste não enviados: {failed} de {total}; confira [aggregator.notify]."


@app.callback()
def notify() -> None:
    """Notices by Apprise of what came of the scheduled runs."""


def send_test(settings: Settings) -> None:
    """Print a sentence a target. Raises ConfigError if one was not reached."""
    from lib.delivery import notices

    sent = notices.send_test(settings)
    failed = [one for one in sent if one.problem is not None]
    for one in sent:
        if one.problem is None:
            typer.echo(SENT.format(target=one.target))
        else:
            sys.stderr.write(NOT_SENT.format(target=one.target, problem=one.problem) + "\n")
    if failed:
        raise ConfigError(NOT_ALL, failed=len(failed), total=len(sent))
