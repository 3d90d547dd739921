"""What `check` says of two databases that answer, but not as they should."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date

import pytest

from lib.config import defaults, loader
from lib.config.settings import Settings
from lib.database import source_checks
from lib.database.source_checks import Survey
from lib.delivery import diagnosis
from lib.domain import requests
from lib.domain.messages import Notice
from lib.domain.requests import Window
from lib.ui import formatting
from tests.support.servers import MERCHANTS, Databases

DAY = date(2026, 11, 20)
MERCHANT, OTHER = MERCHANTS
CARD = "4000001234561234"


def asked(databases: Databases) -> list[Notice]:
    settings = loader.from_values(databases.values, "teste", {})
    return diagnosis.check_sources(settings, defaults.request(settings, DAY, days=0))


def serious(found: list[Notice]) -> list[str]:
    return [str(notice) for notice in found if notice.serious]


def test_databases_in_order_are_told_of_and_nothing_else(databases: Databases) -> None:
    databases.fill(
        [(CARD, DAY, "10:00", MERCHANT, None, "1.00")],
        auth_logs=[(CARD, DAY, "10:00", "00", "", "0" + MERCHANT)],
    )
    found = asked(databases)
    assert [str(notice).split(":")[0] for notice in found] == list(requests.SIDES)
    assert all("; registros no período: 1;" in str(notice) for notice in found)
    assert serious(found) == []


def test_times_that_are_the_end_of_a_day_are_told_of(databases: Databases) -> None:
    databases.fill(
        [(CARD, DAY, "10:00", MERCHANT, None, "1.00")],
        auth_logs=[(CARD, DAY, at, "00", "", "0" + MERCHANT) for at in ("24:00", "00:00", None)],
    )
    [sentence] = serious(asked(databases))
    assert sentence.startswith("auth_logs: horários 24:00:00, que o relatório mostra")
    assert sentence.endswith(": 1 de 3.")


@pytest.mark.parametrize(("seconds", "told"), [(59, False), (61, True), (-7200, True)])
def test_clocks_that_are_apart_by_more_than_a_minute_are_told_of(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, seconds: int, told: bool
) -> None:
    # Both servers have this machine's clock, so one of their answers is moved.
    look = source_checks.survey

    def moved(settings: Settings, side: requests.Side, window: Window) -> Survey:
        found = look(settings, side, window)
        return replace(found, server_time=found.server_time + seconds * (side == "auth_logs"))

    monkeypatch.setattr(source_checks, "survey", moved)
    sentences = serious(asked(databases))
    assert any(s.startswith("Os relógios dos dois servidores diferem") for s in sentences) == told


def test_a_clock_that_is_a_little_behind_is_not_behind_by_nothing(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = source_checks.survey

    def moved(settings: Settings, side: requests.Side, window: Window) -> Survey:
        return replace(look(settings, side, window), server_time=time.time() - 0.2)

    monkeypatch.setattr(source_checks, "survey", moved)
    assert ["relógio +0 s" in str(notice) for notice in asked(databases)[:2]] == [True, True]


def test_numbers_in_a_notice_are_written_as_the_reader_writes_them() -> None:
    assert formatting.sentence(Notice("{rows} registros", {"rows": 4943})) == r"4\.943 registros"


def test_lines_that_never_hold_the_merchant_are_told_of(databases: Databases) -> None:
    databases.fill(auth_logs=[(CARD, DAY, "10:00", "00", "", "0" + OTHER)])
    [sentence] = serious(asked(databases))
    assert f"nenhuma linha recebida contém o CNPJ {MERCHANT}" in sentence
