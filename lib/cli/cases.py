"""The `cases` command: the stored cases of a merchant, as lines or as JSON objects.

Reads the state file only: no database is asked and no run is judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from lib.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from lib.config.settings import Settings
    from lib.delivery.case_filters import Filter
    from lib.delivery.case_queries import Case

ONE_CHOICE: Final = "Use só uma opção: --new, --open ou --all."
STATES: Final = {"new": "novo", "open": "aberto", "matched": "conciliado", "missing": "sumiu"}
KINDS: Final = {"log": "log", "transaction": "transação"}
NOTHING: Final = "Nenhum caso."

NewOption = Annotated[bool, typer.Option("--new", help="Opened by the latest judging run.")]
OpenOption = Annotated[bool, typer.Option("--open", help="New and open ones (the default).")]
AllOption = Annotated[bool, typer.Option("--all", help="Matched and missing ones too.")]


def lines(
    settings: Settings, merchant: str | None, *, new: bool, all_states: bool, as_json: bool
) -> Iterator[str]:
    """Yield one line for each case, by date, time and key. Raises AggregatorError."""
    from lib.config import loader
    from lib.delivery import case_queries, state_file

    cnpj = loader.checked_merchant(settings, merchant or settings.default_merchant)
    stored = case_queries.each(state_file.path_of(settings), cnpj, _filter(new, all_states))
    found = False
    for case in stored:
        found = True
        yield case.as_json() if as_json else _line(case, settings.zone)
    if not found and not as_json:
        yield NOTHING


def require_one(*choices: bool) -> None:
    """Raise ConfigError if more than one of the options is given."""
    if sum(choices) > 1:
        raise ConfigError(ONE_CHOICE)


def _filter(new: bool, all_states: bool) -> Filter:
    from lib.delivery.case_filters import Filter
    from lib.domain import cases

    if new:
        return Filter(states=(cases.NEW,))
    return Filter(states=cases.STATES) if all_states else Filter()


def _line(case: Case, zone: ZoneInfo) -> str:
    """One case in columns: key, state, since when, kind, record, reason and marks."""
    marks = ", ".join(filter(None, (case.status, case.owner)))
    record = " ".join(value for value in case.values.values() if value)
    return "  ".join(
        (
            case.key,
            f"{STATES[case.state]:10}",
            f"desde {case.first_seen.astimezone(zone):%d/%m/%Y}",
            f"{KINDS[case.kind]:9}",
            record,
            *filter(None, (case.motivo, marks)),
        )
    )
