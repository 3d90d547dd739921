"""Texts of notices: what they tell, and what they never hold."""

from __future__ import annotations

from lib.delivery import events, notice_text
from lib.delivery.notice_body import RunReport
from tests.support.notices import PANEL, report


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
