"""What a record of the audit holds, and when none is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lib.config import loader
from lib.config.settings import Settings
from lib.domain.errors import AuditError
from lib.security import audit_events
from lib.security.audit_events import Actor
from tests.support.sentences import pattern
from tests.support.trails import records

ANA = Actor("ana@example.com", "10.1.2.3")
CARD, CPF = "4539578763621486", "52998224725"
WHERE = {"host": "/nowhere", "database": "d", "user": "u", "password": "n3v3r-written"}


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def settings(trail: Path, **keys: Any) -> Settings:
    values = {
        "merchants": {"12345678000195": "Loja"},
        "transactions": WHERE,
        "auth_logs": WHERE,
        "audit": {"path": str(trail)},
    }
    return loader.from_values(values | keys, "teste", {})


def test_a_record_holds_person_origin_event_and_configuration(trail: Path) -> None:
    configuration = settings(trail)
    audit_events.record(configuration, "view", ANA, page="overview")
    audit_events.record(configuration, "refusal", ANA, message="papel")
    first, second, third = records(trail)
    assert first["kind"] == "configuration"
    assert first["settings"]["transactions"]["host"] == "/nowhere"
    assert "n3v3r-written" not in trail.read_text()
    assert {"kind": "view", "who": ANA.name, "from": ANA.origin, "page": "overview"}.items() <= (
        second.items()
    )
    assert third["kind"] == "refusal"
    assert {first["config"], second["config"], third["config"]} == {first["config"]}


def test_a_changed_configuration_is_a_record_of_its_own(trail: Path) -> None:
    audit_events.record(settings(trail), "view", ANA)
    audit_events.record(settings(trail, window_days=3), "view", ANA)
    audit_events.record(settings(trail, window_days=3), "view", ANA)
    assert [record["kind"] for record in records(trail)] == [
        "configuration",
        "view",
        "configuration",
        "view",
        "view",
    ]
    assert records(trail)[2]["settings"]["window_days"] == 3


def test_typed_text_is_scrubbed_and_bounded(trail: Path) -> None:
    typed = f"cliente {CPF}, cartão {CARD} " + "x" * 5_000
    audit_events.record(settings(trail), "export", ANA, reason=typed, search=CARD)
    text = trail.read_text()
    assert CARD not in text
    assert CPF not in text
    assert len(records(trail)[-1]["reason"]) == 1_000


def test_without_a_trail_nothing_is_recorded_and_nothing_clear_is_exported(tmp_path: Path) -> None:
    configuration = settings(Path(), audit={"path": ""})
    assert audit_events.record(configuration, "view", ANA) is None
    with pytest.raises(AuditError, match=pattern(audit_events.NO_AUDIT)):
        audit_events.record(configuration, "export", ANA, clear=True)
