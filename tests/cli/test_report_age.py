"""`check --max-age`: the age of each merchant's last good report, by the history alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main, report_age
from lib.delivery import events, history, run_lines
from lib.delivery.history import Dispatch, History
from tests.support.command import Completed, configured
from tests.support.sentences import says

FIRST, SECOND = "12345678000195", "12ABC34501DE35"
NOWHERE = {"host": "/nowhere", "database": "d", "user": "u"}  # no database is asked
FIELDS: dict[str, Any] = {
    "merchant_name": "Loja",
    "period_start": date(2026, 11, 13),
    "period_end": date(2026, 11, 23),
    "rule": "card",
    "tolerance_seconds": 300,
    "clear": False,
}


@pytest.fixture
def record(tmp_path: Path) -> History:
    return History(tmp_path / "history.sqlite")


def ran(record: History, hours: float, outcome: str = history.DONE, **fields: Any) -> int:
    begun = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours)
    values = {"origin": history.SCHEDULED, "merchant": FIRST, **FIELDS, **fields}
    number = record.begin(began_at=begun, **values)
    record.end(number, outcome)
    return number


def check(record: History, capsys: pytest.CaptureFixture[str], *words: str) -> Completed:
    values = {
        "merchants": {FIRST: "Loja", SECOND: "Outra"},
        "transactions": NOWHERE,
        "auth_logs": NOWHERE,
        "history": {"path": str(record.path)},
    }
    file = configured(record.path.parent, values)
    capsys.readouterr()
    code = main.main(["check", "--config", str(file), *words])
    output = capsys.readouterr()
    return Completed(code, output.out, output.err)


def test_a_recent_good_run_passes_and_an_older_one_is_a_sentence(
    record: History, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(record, 25.5)
    passed = check(record, capsys, "--max-age", "26h")
    assert (passed.code, passed.err) == (main.DONE, "")
    assert says(passed.out.strip(), report_age.GOOD)
    assert "25 h" in passed.out
    for limit in ("25h", "1500m", "1d"):
        refused = check(record, capsys, "--max-age", limit)
        assert (refused.code, refused.out) == (main.FAILED, "")
        assert says(refused.sentence, report_age.TOO_OLD)
    assert check(record, capsys, "--max-age", "2d").code == main.DONE


def test_runs_that_failed_lack_a_copy_or_came_from_the_page_do_not_count(
    record: History, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(record, 1, history.FAILED)
    ran(record, 1, history.INTERRUPTED)
    ran(record, 1, origin=history.PAGE)
    number = ran(record, 1)
    copy = Dispatch(history.COPY, "sftp://arquivo", datetime.now(UTC), problem="sem espaço")
    record.add_dispatches(number, [copy])
    refused = check(record, capsys, "--max-age", "2h")
    assert (refused.code, says(refused.sentence, report_age.NEVER)) == (main.FAILED, True)
    ran(record, 1.5)
    assert check(record, capsys, "--max-age", "2h").code == main.DONE


def test_a_good_run_behind_many_bad_ones_is_found(record: History) -> None:
    number = ran(record, 30)
    for _ in range(60):
        ran(record, 1, history.FAILED)
    found = record.last_good(FIRST)
    assert found is not None
    assert found.id == number
    assert record.last_good(SECOND) is None


def test_each_merchant_has_a_sentence_and_one_old_report_is_enough(
    record: History, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(record, 1)
    both = check(record, capsys, "--max-age", "26h", "--all-merchants")
    assert both.code == main.FAILED
    assert says(both.out.strip(), report_age.GOOD)
    assert says(both.sentence, report_age.NEVER)
    assert check(record, capsys, "--max-age", "26h", "--merchant", FIRST).code == main.DONE
    assert check(record, capsys, "--max-age", "26h", "--merchant", SECOND).code == main.FAILED
    ran(record, 2, merchant=SECOND)
    both = check(record, capsys, "--max-age", "26h", "--all-merchants")
    assert (both.code, len(both.out.splitlines())) == (main.DONE, 2)


@pytest.mark.parametrize("age", ["", "26", "h", "0h", "-1h", "1.5h", "26 h", "1w", "9999999h"])
def test_a_wrong_age_is_refused(
    record: History, capsys: pytest.CaptureFixture[str], age: str
) -> None:
    refused = check(record, capsys, "--max-age", age)
    assert (refused.code, refused.sentence) == (main.FAILED, report_age.BAD_AGE)


def test_all_merchants_without_an_age_and_with_a_merchant_is_refused(
    record: History, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(record, capsys, "--all-merchants").sentence == main.ALL_NEEDS_AGE
    words = ("--all-merchants", "--merchant", FIRST, "--max-age", "1h")
    assert check(record, capsys, *words).sentence == main.MERCHANT_OR_ALL


def test_without_any_history_there_is_no_good_report_and_no_file_is_made(
    record: History, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = check(record, capsys, "--max-age", "26h")
    assert says(refused.sentence, report_age.NEVER)
    assert not record.path.exists()


def test_the_history_says_what_a_run_sent(
    record: History, capsys: pytest.CaptureFixture[str]
) -> None:
    number = ran(record, 1)
    moment = datetime.now(UTC)
    sent = [
        Dispatch(history.NOTICE, "json://h", moment, events.OVER),
        Dispatch(history.NOTICE, "slack://", moment, events.OVER, "a conexão falhou"),
        Dispatch(history.COPY, "sftp://arquivo", moment),
    ]
    record.add_dispatches(number, sent)
    check(record, capsys, "--max-age", "1h")
    file = record.path.with_name("aggregator.toml")
    assert main.main(["history", "--config", str(file)]) == main.DONE
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()[1:]]
    event = run_lines.EVENTS[events.OVER]
    assert lines == [
        run_lines.TOLD.format(event=event, target="json://h"),
        run_lines.UNTOLD.format(event=event, target="slack://", problem="a conexão falhou"),
        run_lines.COPIED.format(target="sftp://arquivo"),
    ]
