"""Notices: what is told, to whom, once, and never in the way of a report."""

from __future__ import annotations

import logging
import signal
import ssl
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lib.cli import main, notify
from lib.config import loader
from lib.delivery import events, history, notice_sending, notice_text, notices, run_record
from lib.delivery.history import History
from lib.delivery.notice_body import Message, RunReport
from lib.delivery.notices import Notices
from tests.support import command as commands
from tests.support.certificates import Authority
from tests.support.command import Command, configured, with_source
from tests.support.faults import MERCHANT, PERIOD
from tests.support.receivers import SECRET, closed, hook, mail_server, silent
from tests.support.servers import MERCHANTS

pytestmark = pytest.mark.usefixtures("five_purchases")

OTHER = list(MERCHANTS)[1]
PANEL = "https://painel.example.com/x/"
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#avisos"


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Load Apprise, which takes most of the time limit on a busy machine, before the tests."""
    notice_sending._Library.load()


def asked(command: Command, *urls: str, **notify: Any) -> dict[str, Any]:
    """`[aggregator]` values that send to these addresses and keep the history beside the report."""
    path = {"path": str(command.folder / "history.sqlite")}
    return {**command.databases.values, "history": path, "notify": {"urls": list(urls), **notify}}


def broken(values: dict[str, Any]) -> dict[str, Any]:
    """The values with a side that refuses every connection at once."""
    return with_source(values, "auth_logs", database="gone")


def dispatches(command: Command) -> list[tuple[str | None, str, str | None]]:
    """What the last run told: event, target, problem."""
    [run, *_] = History(command.folder / "history.sqlite").runs()
    sent = [one for one in run.dispatches if one.kind == history.NOTICE]
    return [(one.event, one.target, one.problem) for one in sent]


def report(*happened: str, **fields: Any) -> RunReport:
    start = date.fromisoformat(PERIOD[1])
    sentences = {event: (f"Frase de {event}.",) for event in happened}
    return RunReport(7, MERCHANT, "Loja Exemplo", (start, start), sentences, **fields)


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
                f"json://127.0.0.1:{closed()}/{SECRET}",
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
                f"json://user:{SECRET}@127.0.0.1:{closed()}/{SECRET}?+X-Token={SECRET}",
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


def test_no_record_card_or_cpf_is_told_and_no_link_with_what_could_be_a_card_number() -> None:
    looks_like_a_card = "40000000000002"
    told = notice_text.single(
        RunReport(
            1,
            looks_like_a_card,
            "Loja\nDois",
            report().period,
            {events.FAILED: ("Cartão 4000001234567899 e CPF 529.982.247-25.",)},
            failure="senha=segredo e 4000 0012 3456 7899.",
        ),
        events.FAILED,
        PANEL,
    )
    text = f"{told.title}\n{told.text}"
    for secret in ("4000001234567899", "529.982", "segredo", "7899", looks_like_a_card):
        assert secret not in text
    assert told.title == "Falhou: Loja Dois, 20/11/2026"
    assert told.text.endswith("/runs?periodo=2026-11-20&periodo=2026-11-20")


def test_a_digest_counts_every_event_and_tells_only_of_the_configured_ones() -> None:
    reports = [report(events.UNUSUAL, events.READY), report(events.LATE, events.READY)]
    told = notice_text.digest(reports, {events.FAILED, events.LATE}, None)
    assert told is not None
    assert (told.event, told.title) == (events.LATE, "Relatórios: 1 incompleto")
    assert told.text.startswith("Prontos: 2 de 2.")
    assert "Frase de unusual." not in told.text
    assert told.covers == ((7, events.LATE),)
    assert notice_text.digest(reports, {events.FAILED}, None) is None


def test_a_service_of_short_messages_gets_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    import apprise

    monkeypatch.setattr(apprise.plugins.custom_json.NotifyJSON, "body_maxlen", 300)
    long = Message(events.READY, (), "Título", "linha\n" * 500)
    with hook() as receiver:
        [sent] = notice_sending.send([receiver.url], [long])
    assert sent.problem is None
    assert len(receiver.received) == 1


def test_a_bug_or_an_unreadable_file_of_addresses_fails_no_run(
    command: Command, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = command.folder / "urls"
    file.write_text("json://127.0.0.1", encoding="utf-8")
    file.chmod(0o600)
    values = {**asked(command), "notify": {"urls_file": str(file), "on": ["ready"]}}
    settings = loader.from_values(values, "teste", {})
    file.unlink()
    told = Notices(settings, digest=False)
    told.add(report(events.READY))
    told.send()
    assert "não foi enviado" in caplog.text

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
