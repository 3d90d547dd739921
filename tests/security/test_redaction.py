"""Redaction of log lines and tracebacks: what is masked, and what stays readable."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.analysis import table_query
from lib.config.settings import ROOT
from lib.engines import process_pool
from lib.security import redaction

MASKED = {
    "Key (card_number)=(4539578763621486) already exists.": "Key (card_number)=(******) already "
    "exists.",
    "cartão 4000001234561234 sem dígito certo": "cartão ****** sem dígito certo",
    "4539 5787 6362 1486 e 4539-5787-6362-1486": "****** e ******",
    "3782 822463 10005": "******",
    "VC00014539578763621486": "VC******",
    "0200453957876362148600300000000012345": "******",
    "4222222222222 tem 13": "****** tem 13",
    "CPF 52998224725 e 529.982.247-25": "CPF ****** e ******",
    "4000/0012/3456/7899, 4539_5787_6362_1486": "******, ******",
    "45395787 63621486 e 453957:8763621486": "****** e ******",
    "529982247/25 e 529\u00a0982\u00a0247\u00a025": "****** e ******",
    "3782|822463|1000": "******",
    "４５３９５７８７６３６２１４８６": "******",
    "password=hunter2 host=x": "password=****** host=x",
    "password='a b\\'c' host=x": "password=****** host=x",
    '{"password": "s3nh@", "user": "u"}': '{"password": ******, "user": "u"}',
    "PGPASSWORD=abc": "PGPASSWORD=******",
    "senha: segredo": "senha: ******",
    "pwd=abc x": "pwd=****** x",
    "password=a;b&c,d)e]f}g host=x": "password=****** host=x",
    "password=b'a b' host=x": "password=****** host=x",
    "postgresql://user:p@ss:w/rd@db.example.com/x": "postgresql://user:******@db.example.com/x",
    "X-Vault-Token: hvs.CAESIJ0aaaaaaaa": "X-Vault-Token: ******",
    "Authorization: Bearer abc.def": "Authorization: ******",
    "client_secret = 'x'": "client_secret = ******",
}
UNCHANGED = [
    "12345678000190 tem 14 algarismos e nenhum dígito de cartão",
    "NSU 1234567890 e 12345678901",
    "20.000 transações em 22/11/2026 10:30:05",
    "transactions: o servidor recusou o usuário ou a senha; confira user e password.",
    "o cartão de 12/2026",
    "https://login.example.com/.well-known",
]

SPELLED = [
    "4000/0012/3456/7899",
    "4000 0012  3456 7899",
    "4000,0012,3456,7899",
    "4000:0012|3456_7899",
    "529982247/25",
    "529 982 247 25",
    "529.982.247-25",
    "52998224725",
    "4539578763621486529982",
    "4539\u00a05787\t6362\n1486",
    "４５３９ ５７８７ ６３６２ １４８６",
    "3782-822463-1000",
    "4000\u200b001234567899",
]
KEPT = [
    "28/11/2026 10:30:05",
    "de 2026-11-28 a 2026-12-01",
    "28.11.2026 às 23:59",
    "R$ 1.234,56",
    "pedido 1234567890",
    "401234******7899",
    "***.982.247-**",
    "chamado 12/2026, item 3",
]


@pytest.mark.parametrize(("text", "clean"), MASKED.items())
def test_sensitive_values_are_masked(text: str, clean: str) -> None:
    assert redaction.scrub(text) == clean


@pytest.mark.parametrize("text", UNCHANGED)
def test_other_numbers_and_words_are_unchanged(text: str) -> None:
    assert redaction.scrub(text) == text


@pytest.mark.parametrize("number", SPELLED)
def test_a_person_types_no_number_into_the_record_however_it_is_spelled(number: str) -> None:
    assert redaction.scrub_typed(f"pedido 77 de {number} ok") == "pedido 77 de ****** ok"
    kept = re.sub(r"[.-]", "", table_query.clean_search(number))
    assert "***" in kept
    assert max(map(len, re.findall(r"\d+", kept)), default=0) <= 6


@pytest.mark.parametrize("text", KEPT)
def test_dates_times_and_amounts_stay_in_what_a_person_types(text: str) -> None:
    assert redaction.scrub_typed(text) == text
    assert table_query.clean_search(text) == text


@given(st.integers(12, 18), st.data(), st.sampled_from([" ", "(", "'", "=", "\n", "x", "é"]))
def test_no_card_number_gets_through_whatever_surrounds_it(
    length: int, data: st.DataObject, around: str
) -> None:
    body = data.draw(st.text("0123456789", min_size=length, max_size=length))
    card = next(body + d for d in "0123456789" if redaction.luhn(body + d))
    assert card not in redaction.scrub(f"antes{around}{card}{around}depois")


@pytest.mark.parametrize("part", ["a", "a_", "1", "://", "://a:", "password='", "senha ", "\\'"])
def test_the_cost_of_a_long_text_grows_with_its_length_and_not_with_its_square(part: str) -> None:
    def seconds(length: int) -> float:
        text = part * (length // len(part))
        begun = time.process_time()
        redaction.scrub(text)
        return time.process_time() - begun

    short, long = (min(seconds(length) for _ in range(3)) for length in (25_000, 200_000))
    assert long < 30 * short  # eight times the length; the square would be sixty-four times


def test_a_log_line_is_clean_in_its_message_arguments_and_traceback(
    scrubbed: None, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("lib.anything")
    try:
        raise ValueError("Key (card)=(4539578763621486)")
    except ValueError:
        log.exception("cartão %s, CPF %s", "4539578763621486", 52998224725)
    assert "4539578763621486" not in caplog.text
    assert "52998224725" not in caplog.text
    assert "ValueError: Key (card)=(******)" in caplog.text


def test_a_log_line_with_the_wrong_arguments_is_still_logged(
    scrubbed: None, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TypeError):
        logging.getLogger("lib.anything").warning("%s %s", "one")


@pytest.mark.parametrize(
    "raising",
    ["boom()", "import threading; t = threading.Thread(target=boom); t.start(); t.join()"],
)
def test_a_traceback_that_ends_a_process_is_clean(raising: str) -> None:
    code = (
        "from lib.security import redaction; redaction.install()\n"
        "def boom(): raise ValueError('password=abc (' + '45395787' + '63621486)')\n" + raising
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "ValueError: password=****** (******)" in process.stderr
    assert "4539578763621486" not in process.stderr


def _logged(_: None, text: str) -> str:
    logger = logging.getLogger("worker")
    return logger.makeRecord("worker", logging.WARNING, "f", 1, text, (), None).getMessage()


def test_a_log_line_of_a_worker_is_clean() -> None:
    with process_pool.started(1) as pool:
        [(_, line)] = pool.each(None, _logged, ["cartão 4539578763621486"])
    assert line.startswith("cartão ")
    assert "4539578763621486" not in line
