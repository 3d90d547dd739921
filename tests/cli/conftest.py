"""The databases that `init` reads, and the file that it writes."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path

import pytest

from tests.support.init_terminal import MERCHANT, SMALLER
from tests.support.servers import Databases

CARD = "4000001234561234"


@pytest.fixture
def filled(databases: Databases) -> Databases:
    """Three purchases of two merchants and their logs, today."""
    today, noon = date.today(), time(12)  # noqa: DTZ011 the same on server and client
    databases.fill(
        transactions=[
            (CARD, today, noon, MERCHANT, None, "10.00"),
            (CARD, today, time(13), MERCHANT, None, "11.00"),
            (CARD, today, noon, SMALLER, None, "12.00"),
        ],
        customer_cards=[("12345678901", CARD)],
        auth_logs=[(CARD, today, noon, "00", "ok", f"x{MERCHANT:0>15}x")],
    )
    return databases


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file to write, alone in its folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder / "aggregator.toml"
