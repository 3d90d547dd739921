"""The check of the history: how old each merchant's last good scheduled report is."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import typer

from lib.domain.errors import ConfigError, HistoryError
from lib.domain.messages import thousands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lib.config.settings import Settings

BAD_AGE: Final = "--max-age deve ser um número e uma unidade (m, h ou d), como 26h."
GOOD: Final = "{name} ({merchant}): o último relatório bom é de {moment}, há {age}."
TOO_OLD: Final = (
    "{name} ({merchant}): o último relatório bom é de {moment}, há {age}, mais que {limit}."
)
NEVER: Final = "{name} ({merchant}): o histórico não tem nenhum relatório bom."

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_AGE: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])")


def parse(text: str) -> timedelta:
    """Read an age such as 90m, 26h or 2d. Raises ConfigError."""
    found = _AGE.fullmatch(text)
    if found is None:
        raise ConfigError(BAD_AGE)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def check(settings: Settings, merchants: Sequence[str | None] | None, limit: timedelta) -> None:
    """Print a sentence for each merchant; None stands for all, one of None for the default.

    Raises HistoryError for the last one whose report is too old or missing.
    """
    from lib.config import loader
    from lib.delivery import history

    names = settings.merchants if merchants is None else merchants
    cnpjs = [loader.checked_merchant(settings, cnpj or settings.default_merchant) for cnpj in names]
    record, now = history.of(settings), datetime.now(UTC)
    problems = []
    for cnpj in cnpjs:
        run = record.last_good(cnpj)
        values: dict[str, object] = {"name": settings.merchants[cnpj], "merchant": cnpj}
        if run is None:
            problems.append(HistoryError(NEVER, **values))
            continue
        age = now - run.began_at
        values["moment"] = f"{run.began_at.astimezone(settings.zone):%d/%m/%Y %H:%M}"
        values["age"] = _words(age)
        if age > limit:
            problems.append(HistoryError(TOO_OLD, **values, limit=_words(limit)))
        else:
            typer.echo(GOOD.format(**values))
    for problem in problems[:-1]:
        sys.stderr.write(f"{problem}\n")
    if problems:
        raise problems[-1]


def _words(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds()) // 60)
    hours, days = minutes // 60, minutes // 1440
    if minutes < 120:
        return f"{minutes} min"
    return f"{hours} h" if hours < 72 else f"{thousands(days)} dias"
