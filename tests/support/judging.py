"""Judging runs over the databases of a dashboard, and the cases that they leave."""

from __future__ import annotations

from pathlib import Path

from lib.config import defaults, loader
from lib.config.settings import Settings
from lib.delivery import case_queries, delivery, state_file
from lib.delivery.case_filters import Filter
from lib.delivery.case_queries import Case
from lib.domain import cases


def judge(folder: Path, merchant: str | None = None) -> Settings:
    """Deliver a report into this folder as the command line does; return the settings."""
    settings = loader.load()
    today = defaults.local_today(settings)
    request = defaults.request(settings, today, merchant=merchant)
    delivery.deliver(settings, request, folder / "judged_{merchant}.xlsx")
    return settings


def stored(settings: Settings, merchant: str | None = None) -> dict[str, Case]:
    """Every stored case of a merchant by the last four digits of its card."""
    path = state_file.path_of(settings)
    wanted = Filter(states=cases.STATES)
    found = case_queries.each(path, merchant or settings.default_merchant, wanted)
    return {str(case.values["num_cartao"])[-4:]: case for case in found}
