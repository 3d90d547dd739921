"""Marks of cases: their timeline, the audit, other readers, and what is refused."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lib.config.settings import Settings
from lib.delivery import case_marks, case_queries
from lib.delivery.case_marks import Mark
from lib.domain import cases
from lib.domain.errors import AccessError, AuditError, ConfigError
from lib.security import audit_events
from tests.support.sentences import pattern
from tests.support.stored_cases import ANA, MERCHANT, RUI, everything, judge, mark


def records(settings: Settings) -> list[dict[str, Any]]:
    assert settings.audit.path is not None
    lines = map(json.loads, settings.audit.path.read_text().splitlines())
    return [line for line in lines if line["kind"] == "mark"]


def test_a_mark_is_in_the_case_its_timeline_and_the_audit(settings: Settings, path: Path) -> None:
    judge(path, 1, [1, 2])
    case = everything(path)["1"]
    change = Mark(
        status=cases.ACCEPTED,
        reason="Teste da loja com o cartão 4000 0012 3456 1234",
        owner=ANA.name,
        note="Ligar para 123.456.789-09",
    )
    assert mark(settings, ANA, change, case).applied == (case.key,)
    marked = everything(path)["1"]
    assert (marked.status, marked.owner) == (cases.ACCEPTED, ANA.name)
    events = case_queries.timeline(path, case.key)
    assert [(event.kind, event.who) for event in events] == [
        ("opened", ""),
        *((kind, ANA.name) for kind in ("status", "owner", "note")),
    ]
    [record] = records(settings)
    assert (record["who"], record["from"], record["keys"]) == (ANA.name, ANA.origin, [case.key])
    assert record["status"] == cases.ACCEPTED
    for text in (*(str(event.text) for event in events), *map(str, record.values())):
        assert "1234 5678" not in text
        assert "0012" not in text
        assert "456.789" not in text
    counts = case_queries.counts(path, MERCHANT, date(2026, 11, 24), ZoneInfo("UTC"))
    assert (counts.open, counts.by_age, counts.by_owner) == (1, (0, 0, 1, 0, 0), {None: 1})
    assert counts.by_status == {None: 1, cases.ACCEPTED: 1}


def test_what_somebody_else_changed_meanwhile_is_shown_and_not_overwritten(
    settings: Settings, path: Path
) -> None:
    judge(path, 1, [1, 2])
    seen = everything(path)
    mark(settings, RUI, Mark(owner=RUI.name), seen["1"])
    marked = mark(settings, ANA, Mark(owner=ANA.name), *seen.values())
    assert marked.applied == (seen["2"].key,)
    assert [(case.key, case.owner) for case in marked.conflicts] == [(seen["1"].key, RUI.name)]
    # A note is only added, and a second look allows the change.
    assert mark(settings, ANA, Mark(note="vi"), seen["1"]).conflicts == ()
    assert mark(settings, ANA, Mark(owner=ANA.name), *marked.conflicts).conflicts == ()
    assert everything(path)["1"].owner == ANA.name


def test_accepted_stays_and_resolved_is_unmarked_when_a_case_comes_back(
    settings: Settings, path: Path
) -> None:
    judge(path, 1, [1, 2, 3])
    seen = everything(path)
    mark(settings, ANA, Mark(status=cases.ACCEPTED, reason="ok", owner="a"), seen["1"])
    mark(settings, ANA, Mark(status=cases.RESOLVED, owner="b"), seen["2"])
    assert judge(path, 2, [1, 2, 3]).open == 1
    assert {case.state for case in everything(path).values()} == {cases.OPEN}
    assert everything(path)["2"].status == cases.RESOLVED
    change = judge(path, 3, [])
    assert (change.resolved, change.open) == (1, 0)
    change = judge(path, 4, [1, 2, 3])
    assert (change.new, change.open) == (2, 2)
    again = everything(path)
    assert {case.state for case in again.values()} == {cases.NEW}
    assert (again["1"].status, again["1"].owner) == (cases.ACCEPTED, "a")
    assert (again["2"].status, again["2"].owner) == (None, None)
    kinds = [event.kind for event in case_queries.timeline(path, again["2"].key)]
    assert kinds == ["opened", "status", "owner", "missing", "reopened"]


@pytest.mark.parametrize(
    ("analyst", "change", "error", "sentence"),
    [
        ([], Mark(note="x"), AccessError, case_marks.NOT_ALLOWED),
        (["99999999000199"], Mark(note="x"), AccessError, case_marks.NOT_ALLOWED),
        ([MERCHANT], Mark(status=cases.ACCEPTED), ConfigError, case_marks.NO_REASON),
        ([MERCHANT], Mark(status="feito"), ConfigError, case_marks.UNKNOWN_STATUS),
        ([MERCHANT], Mark(note="  "), ConfigError, case_marks.NO_MARK),
    ],
)
def test_a_mark_without_the_role_or_the_words_is_refused(
    settings: Settings,
    path: Path,
    analyst: list[str],
    change: Mark,
    error: type[Exception],
    sentence: str,
) -> None:
    judge(path, 1, [1])
    case = everything(path)["1"]
    with pytest.raises(error, match=pattern(sentence)):
        case_marks.mark(settings, analyst, ANA, MERCHANT, {case.key: 0}, change)
    assert everything(path)["1"] == case


def test_a_mark_that_the_audit_cannot_record_is_not_set(
    settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(path, 1, [1])
    case = everything(path)["1"]

    def refuse(*_: object, **__: object) -> None:
        raise AuditError("não")

    monkeypatch.setattr(audit_events, "record", refuse)
    with pytest.raises(AuditError):
        mark(settings, ANA, Mark(owner="x"), case)
    assert everything(path)["1"] == case
