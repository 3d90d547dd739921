"""Render what may be told of runs as messages: title and plain text.

Every text is redacted, the link included. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from lib.delivery import events, run_lines
from lib.delivery.notice_body import Message
from lib.domain.messages import counted, thousands
from lib.security import redaction

if TYPE_CHECKING:
    from datetime import date

    from lib.delivery.notice_body import RunReport

TITLES: Final = {
    events.FAILED: "Falhou: {name}, {period}",
    events.LATE: "Incompleto: {name}, {period}",
    events.UNUSUAL: "Fora do padrão: {name}, {period}",
    events.OVER: "Voltou ao normal: {name}, {period}",
    events.READY: "Pronto: {name}, {period}",
}
NOT_MADE: Final = "O relatório de {name} ({merchant}), de {period}, não foi gerado: {failure}."
OPENINGS: Final = {
    events.FAILED: "O relatório de {name} ({merchant}), de {period}, está pronto, mas algo falhou.",
    events.LATE: "O relatório de {name} ({merchant}), de {period}, saiu com dados incompletos.",
    events.UNUSUAL: "O relatório de {name} ({merchant}), de {period}, tem números fora do padrão.",
    events.OVER: "O relatório de {name} ({merchant}), de {period}, está pronto; a execução "
    "anterior deste estabelecimento não terminou bem.",
    events.READY: "O relatório de {name} ({merchant}), de {period}, está pronto.",
}
DIGEST: Final = "Relatórios: {counts}"
READY_OF_ALL: Final = "Prontos: {ready} de {total}."
LINK: Final = "Painel: {link}"
TEST_TITLE: Final = "Aviso de teste"
TEST: Final = "Este é um aviso de teste: os avisos dos relatórios chegam aqui."

_COUNTED: Final = {
    events.FAILED: ("falhou", "falharam"),
    events.LATE: ("incompleto", "incompletos"),
    events.UNUSUAL: ("fora do padrão", "fora do padrão"),
    events.OVER: ("voltou ao normal", "voltaram ao normal"),
    events.READY: ("pronto", "prontos"),
}


def single(report: RunReport, event: str, dashboard_url: str | None) -> Message:
    """The notice of one event of one run."""
    title = TITLES[event].format(name=report.name, period=_period(report))
    lines = _lines(report, [event], dashboard_url)
    return _message(event, ((report.number, event),), title, "\n".join(lines))


def digest(
    reports: Sequence[RunReport], on: Collection[str], dashboard_url: str | None
) -> Message | None:
    """One notice of the events of several runs; None where no event is of those in ``on``."""
    told = {
        number: [event for event in events.EVENTS if event in on and event in report.events]
        for number, report in enumerate(reports)
    }
    covered = [
        (reports[number].number, event) for number, happened in told.items() for event in happened
    ]
    if not covered:
        return None
    happened = [event for _, event in covered]
    counts = ", ".join(
        counted(happened.count(event), *_COUNTED[event])
        for event in events.EVENTS
        if event in happened
    )
    ready = sum(events.READY in report.events for report in reports)
    head = READY_OF_ALL.format(ready=thousands(ready), total=thousands(len(reports)))
    parts = [
        "\n".join(_lines(report, told[number], dashboard_url))
        for number, report in enumerate(reports)
        if told[number]
    ]
    worst = min(happened, key=events.EVENTS.index)
    title = DIGEST.format(counts=counts)
    return _message(worst, tuple(covered), title, "\n\n".join([head, *parts]))


def test(dashboard_url: str | None) -> Message:
    """The notice of `notify test`."""
    text = "\n".join([TEST, *_link(dashboard_url, "", {})])
    return _message(events.READY, (), TEST_TITLE, text)


def _message(
    event: str, covers: tuple[tuple[int | None, str], ...], title: str, text: str
) -> Message:
    one_line = " ".join(redaction.scrub(title).split())
    return Message(event, covers, one_line, redaction.scrub(text))


def _lines(report: RunReport, happened: Sequence[str], dashboard_url: str | None) -> Iterator[str]:
    values = {"name": report.name, "merchant": report.merchant, "period": _period(report)}
    for event in happened:
        if event == events.FAILED and report.failure is not None:
            yield NOT_MADE.format(**values, failure=report.failure.rstrip("."))
        else:
            yield OPENINGS[event].format(**values)
        yield from report.events[event]
    if report.books is not None:
        yield from run_lines.books_lines(report.books)
    if report.cases is not None:
        yield run_lines.cases_line(report.cases)
    page = "/runs" if events.FAILED in happened else ""
    start, end = report.period
    place = {"estabelecimento": report.merchant, "periodo": [start.isoformat(), end.isoformat()]}
    yield from _link(dashboard_url, page, place)


def _link(dashboard_url: str | None, page: str, place: Mapping[str, object]) -> list[str]:
    if dashboard_url is None:
        return []
    query = urlencode(place, doseq=True)
    if redaction.scrub(query) != query:  # a CNPJ that could be a card number
        query = urlencode({k: v for k, v in place.items() if k != "estabelecimento"}, doseq=True)
    address = dashboard_url.rstrip("/") + page
    return [LINK.format(link=f"{address}?{query}" if query else address)]


def _period(report: RunReport) -> str:
    day: Callable[[date], str] = "{:%d/%m/%Y}".format
    return " a ".join(dict.fromkeys(map(day, report.period)))
