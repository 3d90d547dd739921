"""The command `dashboard`: a taken port is one sentence, the address that it prints answers."""

from __future__ import annotations

import re
import signal
import socket
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from lib.cli import dashboard, main
from tests.support import command
from tests.support.command import configured
from tests.support.ports import free_port
from tests.support.sentences import pattern, says

SOURCE = {"host": "/nowhere", "database": "d", "user": "u"}
VALUES = {"merchants": {"12345678000195": "Loja"}, "transactions": SOURCE, "auth_logs": SOURCE}


@pytest.mark.parametrize(
    ("environment", "option"), [({}, "--port "), ({"MAKELEVEL": "1"}, "make run PORT=")]
)
def test_a_taken_port_is_one_sentence_with_a_free_one_for_the_way_it_was_started(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], option: str
) -> None:
    monkeypatch.delenv("MAKELEVEL", raising=False)  # `make test` sets it
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = command.finish(command.start("dashboard", "--port", str(port), env=environment))
    assert result.code == main.FAILED
    assert re.fullmatch(pattern(dashboard.TAKEN), result.sentence)
    assert result.err.count("\n") == 1
    free = int(re.search(rf"{option}(\d+)", result.sentence)[1])  # type: ignore[index]
    assert free > port


@pytest.mark.parametrize("port", ["abc", "0", "65536"])
def test_a_port_of_the_environment_that_is_none_is_one_sentence(port: str) -> None:
    result = command.finish(command.start("dashboard", env={"STREAMLIT_SERVER_PORT": port}))
    assert result.code == main.FAILED
    assert says(result.sentence, main.BAD_VALUE)
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("everywhere", [False, True])
def test_without_sign_in_the_address_that_is_printed_answers_and_is_this_machines(
    tmp_path: Path, everywhere: bool
) -> None:
    file = configured(tmp_path, VALUES, access={"without_sign_in": True})
    port = free_port()
    environment = {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"} if everywhere else {}  # noqa: S104
    process = command.start(
        "dashboard", "--config", str(file), "--port", str(port), env=environment
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert says(line, dashboard.STARTING)
        address = re.search(r"http://\S+", line)[0]  # type: ignore[index]
        assert address == f"http://127.0.0.1:{port}"
        assert answers(f"{address}/healthz")
        with socket.socket() as other:  # nothing listens at the machine's other addresses
            assert other.connect_ex(("127.0.0.2", port)) != 0
    finally:
        process.send_signal(signal.SIGTERM)
        command.finish(process)


def answers(url: str) -> bool:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(url) as answer:  # noqa: S310
            return bool(answer.status == 200)
        time.sleep(0.1)
    return False
