"""Notices on their way: servers that take, refuse or delay them, and what none may learn."""

from __future__ import annotations

import logging
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main
from lib.delivery import events, notice_sending, notice_text
from lib.delivery.notice_body import Message
from tests.support import command as commands
from tests.support.certificates import Authority
from tests.support.command import Command, configured
from tests.support.faults import PERIOD
from tests.support.notices import PANEL, SLACK, asked, broken, dispatches
from tests.support.ports import free_port
from tests.support.receivers import SECRET, hook, mail_server, silent

pytestmark = pytest.mark.usefixtures("five_purchases", "library")


@pytest.mark.parametrize("answer", ["250 OK", "554 no"])
def test_mail_is_sent_by_a_real_server_or_noted(command: Command, answer: str) -> None:
    with mail_server(answer) as server:
        values = asked(command, server.url)
        command.refused(*PERIOD, values=broken(values))
        [(event, target, problem)] = dispatches(command)
    assert (event, target) == (events.FAILED, "mailto://127.0.0.1")
    if answer.startswith("250"):
        assert problem is None
        [mail] = server.received
        assert mail["Subject"] == "Falhou: Loja Exemplo, 20/11/2026"
        assert (mail["To"], mail["From"]) == ("equipe@example.com", "robo@example.com")
        body = mail.get_body(("plain",))
        assert body is not None
        assert "não foi gerado" in body.get_content()
    else:
        assert problem is not None
        assert server.received == []


def test_servers_that_hang_refuse_or_redirect_never_delay_a_report(command: Command) -> None:
    before = time.monotonic()
    command.reported(*PERIOD, values=asked(command))
    plain = time.monotonic() - before
    with hook() as elsewhere, silent() as hanging:
        away = f"http://127.0.0.1:{elsewhere.port}/{SECRET}"
        with (
            hook(answer=lambda: 302, location=away) as redirecting,
            hook(answer=lambda: 500) as failing,
        ):
            urls = [
                f"json://127.0.0.1:{hanging}/{SECRET}?rto=60",
                f"mailto://127.0.0.1:{hanging}?from=a@example.com&to=b@example.com",
                f"json://127.0.0.1:{free_port()}/{SECRET}",
                redirecting.url,
                failing.url,
                f"bogus://{SECRET}@host",
            ]
            before = time.monotonic()
            result = command.run(*PERIOD, values=asked(command, *urls, on=["ready"]))
            took = time.monotonic() - before
            assert elsewhere.received == []
    assert result.code == main.DONE
    assert result.out.splitlines()[-1].endswith("gerada com sucesso.")
    assert took < plain + 10 + 2  # and what a busy machine adds to the run itself
    answered = notice_sending.ANSWERED
    assert [problem for _, _, problem in dispatches(command)] == [
        notice_sending.NO_ANSWER,
        notice_sending.NO_ANSWER,
        notice_sending.NOT_REACHED,
        answered.format(status=302),
        answered.format(status=500),
        notice_sending.UNKNOWN,
    ]
    warnings = [line for line in result.err.splitlines() if "não foi enviado" in line]
    assert len(warnings) == len(urls)


def test_no_address_is_ever_in_a_log_the_history_the_audit_or_an_error(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import apprise

    def explode(self: Any, *_: Any, **__: Any) -> None:
        raise RuntimeError(f"cannot send to {self.url()} {SECRET}")

    monkeypatch.setattr(apprise.plugins.custom_xml.NotifyXML, "send", explode)
    log, trail = command.folder / "runs.log", command.folder / "audit.jsonl"
    root = logging.getLogger()
    seen: list[str] = []

    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(f"{record.name} {record.getMessage()}")

    everything, level = Everything(), root.level
    root.addHandler(everything)
    root.setLevel(logging.DEBUG)
    try:
        with hook(answer=lambda: 500, bad_headers=True) as failing:
            urls = (
                failing.url,
                f"xml://user:{SECRET}@127.0.0.1/{SECRET}",
                f"slack://{SECRET}/{SECRET}/{SECRET}",
                f"json://user:{SECRET}@127.0.0.1:{free_port()}/{SECRET}?+X-Token={SECRET}",
                f"vault:{SECRET}",
            )
            values = {**asked(command, *urls), "audit": {"path": str(trail)}}
            words = (*PERIOD, "--log-file", str(log), "--json-log")
            result = command.run(*words, values=broken(values))
    finally:
        root.removeHandler(everything)
        root.setLevel(level)
    assert result.code == main.FAILED
    assert len(dispatches(command)) == len(urls)
    assert all(problem for _, _, problem in dispatches(command))
    state = [path.read_bytes() for path in command.folder.glob("history.sqlite*")]
    written = b"".join([*state, log.read_bytes(), trail.read_bytes()]).decode(errors="replace")
    assert "não foi enviado" in written
    for text in (written, result.out, result.err, *seen):
        assert SECRET not in text


def test_slack_and_teams_get_payloads_of_their_own_form(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import apprise

    authority = Authority(tmp_path, "authority")
    pair = authority.issue("hooks", "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.root))
    with hook(tls) as receiver:
        place = f"https://127.0.0.1:{receiver.port}/services"
        monkeypatch.setattr(apprise.plugins.slack.NotifySlack, "webhook_url", place)
        teams = f"workflows://127.0.0.1:{receiver.port}/fluxo/{SECRET}"
        command.refused(*PERIOD, values=broken(asked(command, SLACK, teams, dashboard_url=PANEL)))
        payloads = {path.split("?")[0]: body for path, body in receiver.received}
        assert dispatches(command) == [
            (events.FAILED, "slack://", None),
            (events.FAILED, "workflows://127.0.0.1", None),
        ]
    slack = payloads["/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
    [attachment] = slack["attachments"]
    assert slack["channel"] == "#avisos"
    assert attachment["title"] == "Falhou: Loja Exemplo, 20/11/2026"
    assert "não foi gerado" in attachment["text"]
    [(_, card)] = [item for item in payloads.items() if "workflows" in item[0]]
    [adaptive] = card["attachments"]
    texts = [block.get("text", "") for block in adaptive["content"]["body"]]
    assert "Falhou: Loja Exemplo, 20/11/2026" in texts
    assert any("não foi gerado" in text for text in texts)
    assert "github.com" not in str(payloads)


def test_a_service_of_short_messages_gets_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    import apprise

    monkeypatch.setattr(apprise.plugins.custom_json.NotifyJSON, "body_maxlen", 300)
    long = Message(events.READY, (), "Título", "linha\n" * 500)
    with hook() as receiver:
        [sent] = notice_sending.send([receiver.url], [long])
    assert sent.problem is None
    assert len(receiver.received) == 1


def test_a_busy_machine_that_loads_apprise_slowly_can_still_send_the_test_notice(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = notice_sending._Library.load
    loaded: list[object] = []

    def slowly() -> Any:
        if not loaded:
            time.sleep(3)
            loaded.append(load())
        return loaded[0]

    monkeypatch.setattr(notice_sending, "LIMIT_SECONDS", 2.0)
    monkeypatch.setattr(notice_sending._Library, "load", slowly)
    with hook() as receiver:
        file = configured(command.folder, command.databases.values, notify={"urls": [receiver.url]})
        result = command.say("notify", "test", "--config", str(file))
    assert (result.code, receiver.titles) == (main.DONE, [notice_text.TEST_TITLE]), result.err


@pytest.mark.fault
def test_a_hanging_server_keeps_no_process(command: Command) -> None:
    with silent() as port:
        url = f"json://127.0.0.1:{port}/{SECRET}?rto=600"
        file = configured(command.folder, asked(command, url, on=["ready"]))
        words = ("--config", str(file), "--output", str(command.target), *PERIOD)
        before = time.monotonic()
        result = commands.finish(commands.start(*words))
        took = time.monotonic() - before
        assert result.code == main.DONE, result
        [(_, _, problem)] = dispatches(command)
        assert problem == notice_sending.NO_ANSWER
        configured(command.folder, asked(command))
        before = time.monotonic()
        assert commands.finish(commands.start(*words)).code == main.DONE
        assert took < (time.monotonic() - before) + 10 + 3  # and what a busy machine adds
