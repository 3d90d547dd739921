"""The dashboard's configuration (without one, the demonstration's), and its data sets.

Data sets belong to one configuration and are never shown under another. The configuration is read
once for each version of its file; after a failure, the next request reads it again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import date
from typing import ClassVar

from lib.config import defaults, loader
from lib.config.settings import Settings
from lib.dashboard import demo_past
from lib.dashboard.dataset_store import Store
from lib.database import row_level_security
from lib.delivery.history import history_of_demo
from lib.demo import servers
from lib.ui import session_user


@dataclass(frozen=True)
class Site:
    """The settings in use with their data sets; the data of the demonstration end at ``day``."""

    settings: Settings
    demo: bool
    day: date
    store: Store = field(default_factory=Store)
    stamp: object = field(default_factory=loader.stamp)
    query_stamp: object = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "query_stamp", loader.query_stamp(self.settings))

    @property
    def is_current(self) -> bool:
        """True while the configuration and its query files are as they were read."""
        stamps = loader.stamp(), loader.query_stamp(self.settings)
        return stamps == (self.stamp, self.query_stamp)

    @property
    def today(self) -> date:
        """Today's date in the configured time zone."""
        return defaults.local_today(self.settings)


class _Current:
    """Holds the site of this process, once it is read."""

    lock: ClassVar = threading.Lock()
    site: ClassVar[Site | None] = None


def find() -> Site | None:
    """The current site; None before `prepare`, after the demonstration's day, and once the
    configuration's file has changed, so that a revoked role ends at once."""
    site = _Current.site
    if site is None or (site.demo and site.day != site.today) or not site.is_current:
        return None
    return site


def prepare() -> Site:
    """Read the configuration or start the demonstration. Raises AggregatorError."""
    with _Current.lock:
        site = find() or _read()
        _Current.site = site
        return site


def forget() -> None:
    """Read the configuration again at the next request."""
    with _Current.lock:
        _Current.site = None


def _read() -> Site:
    session_user.require_private_secrets()
    stamp = loader.stamp()
    demo = not loader.exists()
    settings = (
        loader.from_values(servers.start() | history_of_demo(), "demonstração")
        if demo
        else loader.load()
    )
    row_level_security.prove(settings, defaults.window(settings))
    if demo:
        demo_past.prepare(settings, defaults.local_today(settings))
    store = Store(budget_bytes=settings.dashboard.memory_budget)
    return Site(settings, demo, defaults.local_today(settings), store, stamp)
