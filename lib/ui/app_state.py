"""Where the dashboard's data come from: the configuration, or the demonstration without one.

The data sets belong to it, so that none is ever shown for another configuration's.
Read once a process and file; a failure is told and tried again at the next question.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import date
from typing import ClassVar

from lib.config import defaults, loader
from lib.config.settings import Settings
from lib.dashboard.dataset_store import Store
from lib.database import row_level_security
from lib.delivery.history import history_of_demo
from lib.demo import servers
from lib.ui import session_user


@dataclass(frozen=True)
class Site:
    """The settings in use, whether they are the demonstration's, whose data end at ``day``, and
    the data sets read by them."""

    settings: Settings
    demo: bool
    day: date
    store: Store = field(default_factory=Store)
    stamp: object = field(default_factory=loader.stamp)

    @property
    def today(self) -> date:
        """Today's date where the merchants are."""
        return defaults.local_today(self.settings)


class _Kept:
    """The one site of this process, once it is read."""

    lock: ClassVar = threading.Lock()
    site: ClassVar[Site | None] = None


def find() -> Site | None:
    """The site where it is ready; None where `prepare` has yet to run, the demo's day is over or
    the configuration's file has changed: a role that was taken away is gone at once."""
    site = _Kept.site
    if site is None or (site.demo and site.day != site.today) or site.stamp != loader.stamp():
        return None
    return site


def prepare() -> Site:
    """Read the configuration or start the demonstration. Raises AggregatorError."""
    with _Kept.lock:
        site = find() or _read()
        _Kept.site = site
        return site


def forget() -> None:
    """Read the configuration anew at the next question."""
    with _Kept.lock:
        _Kept.site = None


def _read() -> Site:
    session_user.require_private_secrets()
    stamp = loader.stamp()
    without = not loader.exists()
    settings = (
        loader.from_values(servers.start() | history_of_demo(), "demonstração")
        if without
        else loader.load()
    )
    row_level_security.prove(settings, defaults.window(settings))
    store = Store(budget_bytes=settings.dashboard.memory_budget)
    return Site(settings, without, defaults.local_today(settings), store, stamp)
