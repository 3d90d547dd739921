"""The demonstration's data in two servers that ask for passwords, as those of the containers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from lib.demo import fill, servers
from tests.support.servers import new_folder

pytestmark = pytest.mark.slow

PASSWORDS = {"postgres": "uma senha", servers.USER: "outra senha"}
ASK = "local all all scram-sha-256"


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[dict[str, Any]]]:
    parent = new_folder()
    folders = [parent / side.name for side in servers.SIDES]
    started = []
    for folder in folders:
        server = servers.start_server(folder)
        with closing(servers.connect(server)) as connection, connection.cursor() as cursor:
            cursor.execute("ALTER ROLE postgres PASSWORD %s", (PASSWORDS["postgres"],))
            hba = folder / "pg_hba.conf"
            hba.write_text(f"{ASK}\n{hba.read_text()}")
            cursor.execute("SELECT pg_reload_conf()")
            connection.commit()
        started.append(server)
    yield started
    for folder in folders:
        servers.get_server(folder, start=False).cleanup()
    shutil.rmtree(parent)


@pytest.fixture
def options(tmp_path: Path, hosts: list[dict[str, Any]]) -> list[str]:
    for login, password in PASSWORDS.items():
        (tmp_path / login).touch(mode=0o600)
        (tmp_path / login).write_text(f"{password}\n")
    return [
        *("--admin-password-file", str(tmp_path / "postgres")),
        *("--password-file", str(tmp_path / servers.USER)),
        *("--port", str(hosts[0]["port"]), "--wait", "0"),
        *(host["host"] for host in hosts),
    ]


def purchases(host: dict[str, Any], password: str) -> list[tuple[int, str]]:
    server = {**host, "passwords": {servers.USER: password}}
    query = "SELECT count(*), min(xmin::text) FROM transactions"
    with (
        closing(servers.connect(server, servers.USER, "transactions_db")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(query)
        return cursor.fetchall()


def test_both_servers_are_filled_once_and_read_with_the_given_password(
    options: list[str], hosts: list[dict[str, Any]]
) -> None:
    fill.main(options)
    filled = purchases(hosts[0], PASSWORDS[servers.USER])
    assert filled[0][0] == fill.ROWS
    fill.main(options)
    assert purchases(hosts[0], PASSWORDS[servers.USER]) == filled
    with pytest.raises(psycopg2.OperationalError):
        purchases(hosts[0], "errada")


def test_a_server_that_does_not_answer_is_a_sentence(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        fill.main([*options[:-1], str(tmp_path)])
    assert str(tmp_path) in str(ended.value)


def test_a_password_file_that_others_can_read_is_refused(options: list[str]) -> None:
    Path(options[1]).chmod(0o644)
    with pytest.raises(SystemExit) as ended:
        fill.main(options)
    assert options[1] in str(ended.value)
