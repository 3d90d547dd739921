"""Notices: what is told, to whom, once, and never in the way of a report."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from lib.cli import main, notify
from lib.config import loader
from lib.config.delivery_settings import NO_ADDRESS
from lib.config.file_permissions import NO_FILE
from lib.delivery import events, history, notice_sending, notice_text, notices, run_record
from lib.delivery.history import History
from lib.delivery.notices import Notices
from tests.support.command import Command, configured
from tests.support.faults import MERCHANT, PERIOD
from tests.support.notices import PANEL, SLACK, asked, broken, dispatches, report
from tests.support.receivers import SECRET, hook
from tests.support.servers import MERCHANTS

pytestmark = pytest.mark.usefixtures("five_purchases", "library")

OTHER = list(MERCHANTS)[1]


def test_a_failure_is_told_once_with_its_sentence_and_a_link_and_so_is_its_end(
    command: Command,
) -> None:
    with hook() as receiver:
        values = asked(command, receiver.url, dashboard_url=PANEL)
        sentence = command.refused(*PERIOD, values=broken(values))
        [(path, body)] = receiver.received
        assert path == f"/{SECRET}"
        assert body["type"] == "failure"
        assert body["title"] == "Falhou: Loja Exemplo, 20/11/2026"
        assert sentence in body["message"]
        place = f"estabelecimento={MERCHANT}&periodo=2026-11-20&periodo=2026-11-20"
        assert body["message"].endswith(f"Painel: https://painel.example.com/x/runs?{place}")
        assert dispatches(command) == [(events.FAILED, receiver.target, None)]
        for expected in ([events.OVER], []):
            receiver.received.clear()
            command.reported(*PERIOD, values=values)
            assert len(receiver.received) == len(expected)
            assert [event for event, _, _ in dispatches(command)] == expected
            for text in receiver.texts:
                assert "Transações: 5 = 5 consolidadas + 0 sem log" in text
                assert f"Painel: https://painel.example.com/x?{place}" in text


def test_what_is_told_is_configured(command: Command) -> None:
    with hook() as receiver:
        values = asked(command, receiver.url, on=["ready"])
        command.refused(*PERIOD, values=broken(values))
        assert receiver.received == []
        command.reported(*PERIOD, values=values)
        assert receiver.titles == ["Pronto: Loja Exemplo, 20/11/2026"]
        command.run(*PERIOD, "--dry-run", values=values)
        assert len(receiver.received) == 1


def test_each_event_of_a_run_is_a_message_of_its_own(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = run_record.RunRecord.end

    def noted(record: Any, outcome: str, **fields: Any) -> None:
        record.add_event(events.LATE, "Faltam as transações de ontem.")
        record.add_event(events.UNUSUAL, "Os logs estão longe do comum.")
        end(record, outcome, **fields)

    monkeypatch.setattr(run_record.RunRecord, "end", noted)
    with hook() as receiver:
        command.reported(*PERIOD, values=asked(command, receiver.url))
        by_title = dict(zip(receiver.titles, receiver.texts, strict=True))
    assert set(by_title) == {
        "Incompleto: Loja Exemplo, 20/11/2026",
        "Fora do padrão: Loja Exemplo, 20/11/2026",
    }
    assert "ontem" in by_title["Incompleto: Loja Exemplo, 20/11/2026"]
    assert "ontem" not in by_title["Fora do padrão: Loja Exemplo, 20/11/2026"]
    told = [event for event, _, problem in dispatches(command) if problem is None]
    assert told == [events.LATE, events.UNUSUAL]
    [run] = History(command.folder / "history.sqlite").runs()
    assert run.note == "Faltam as transações de ontem.\nOs logs estão longe do comum."


def test_a_run_that_fails_tells_its_failure_alone(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = run_record.RunRecord.begin

    def noted(record: Any, *arguments: Any, **fields: Any) -> None:
        begin(record, *arguments, **fields)
        record.add_event(events.LATE, "Faltam as transações de ontem.")

    monkeypatch.setattr(run_record.RunRecord, "begin", noted)
    with hook() as receiver:
        command.refused(*PERIOD, values=broken(asked(command, receiver.url)))
        assert receiver.titles == ["Falhou: Loja Exemplo, 20/11/2026"]
    [run] = History(command.folder / "history.sqlite").runs()
    assert "Faltam as transações de ontem." in (run.note or "")


def test_all_merchants_are_one_digest(command: Command) -> None:
    output = str(command.folder / "r_{merchant}.xlsx")
    (command.folder / f"r_{MERCHANT}.xlsx").mkdir()
    with hook() as receiver:
        values = {**asked(command, receiver.url, on=["failed", "ready"]), "output_path": output}
        file = configured(command.folder, values)
        words = ("--config", str(file), "--all-merchants", *PERIOD)
        assert command.say(*words).code == main.FAILED
        assert receiver.titles == ["Relatórios: 1 falhou, 1 pronto"]
        [text] = receiver.texts
        assert text.startswith("Prontos: 1 de 2.\n\n")
        assert all(cnpj in text for cnpj in (MERCHANT, OTHER))
        runs = History(command.folder / "history.sqlite").runs()
        told = {run.merchant: [one.event for one in run.dispatches] for run in runs}
        assert told == {MERCHANT: [events.FAILED], OTHER: [events.READY]}
        (command.folder / f"r_{MERCHANT}.xlsx").rmdir()
        receiver.received.clear()
        values["notify"]["on"] = ["failed"]
        configured(command.folder, values)
        assert command.say(*words).code == main.DONE
        assert receiver.titles == ["Relatórios: 1 voltou ao normal"]
        receiver.received.clear()
        assert command.say(*words).code == main.DONE
        assert receiver.received == []


def test_a_run_that_meets_another_one_tells_nothing_and_an_interrupted_one_does(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib.delivery import delivery
    from lib.reports.file_lock import exclusive_lock

    with hook() as receiver:
        values = asked(command, receiver.url)
        with exclusive_lock(command.target):
            command.refused(*PERIOD, values=values)
        assert receiver.received == []

        def interrupted(*_: Any, **__: Any) -> None:
            signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(delivery, "_produce", interrupted)
        assert command.run(*PERIOD, values=values).code == main.INTERRUPTED
        [text] = receiver.texts
        assert text.endswith(f"não foi gerado: {history.INTERRUPTED}.")


def test_a_bug_or_a_missing_or_emptied_file_of_addresses_fails_no_run(
    command: Command, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = command.folder / "urls"
    file.write_text("json://127.0.0.1", encoding="utf-8")
    file.chmod(0o600)
    values = {**asked(command), "notify": {"urls_file": str(file), "on": ["ready"]}}
    settings = loader.from_values(values, "teste", {})
    told = Notices(settings, digest=False)
    told.add(report(events.READY))
    emptied = NO_ADDRESS.format(file=file).rstrip(".")
    for strike, problem in ((file.unlink, NO_FILE), (lambda: file.touch(0o600), emptied)):
        strike()
        told.send()
        assert "não foi enviado" in caplog.text
        assert problem in caplog.text
        caplog.clear()

    def explode(*_: Any) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(notices, "_send", explode)
    told.send()
    assert notices.NOTHING_TOLD.format(kind="RuntimeError") in caplog.text
    assert SECRET not in caplog.text


def test_the_test_notice_says_what_came_of_each_target(command: Command) -> None:
    with hook() as receiver, hook(answer=lambda: 404) as failing:
        values = asked(command, receiver.url, failing.url, SLACK.replace("T1JJ", "?"))
        file = configured(command.folder, values)
        result = command.say("notify", "test", "--config", str(file))
        assert result.code == main.FAILED
        assert result.out.splitlines() == [notify.SENT.format(target=receiver.target)]
        assert result.err.splitlines()[-3:] == [
            notify.NOT_SENT.format(target=failing.target, problem="a resposta foi 404"),
            notify.NOT_SENT.format(target="slack://", problem=notice_sending.UNKNOWN),
            notify.NOT_ALL.format(failed=2, total=3),
        ]
        assert receiver.titles == [notice_text.TEST_TITLE]
        configured(command.folder, asked(command, receiver.url))
        assert command.say("notify", "test", "--config", str(file)).code == main.DONE
    configured(command.folder, asked(command))
    result = command.say("notify", "test", "--config", str(file))
    assert (result.code, result.sentence) == (main.FAILED, notices.NO_TARGETS)
