"""No output and no file of a masked run contains a card number or a CPF."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lib import pipeline
from lib.cli import main
from lib.config import defaults, loader
from lib.config.settings import ROOT
from lib.database import column_types, copy_reader
from lib.database.error_translation import BY_STATE
from lib.demo import servers
from tests.support.command import Completed, configured, finish, start, with_query
from tests.support.sentences import says
from tests.support.servers import Databases, new_folder

WORDS = ("--days", "30")
# Every clear card number, virtual ones without their prefix, and every CPF.
NUMBERS = {
    "transactions": "SELECT card_number FROM customer_cards UNION SELECT card_number"
    " FROM transactions UNION SELECT customer_cpf FROM customer_cards UNION SELECT right("
    "virtual_card_number, 16) FROM transactions",
    "auth_logs": "SELECT card_number FROM authentication.transaction_logs",
}


@dataclass(frozen=True)
class Planted:
    """A demonstration's databases, and the numbers that must never appear outside them."""

    databases: Databases
    secrets: frozenset[str]

    def found_in(self, text: str) -> set[str]:
        """The secrets that the text contains, also as part of a longer run of digits."""
        pieces = {
            run[at : at + size]
            for run in re.findall(r"\d{11,}", text)
            for size in {len(secret) for secret in self.secrets}
            for at in range(len(run) - size + 1)
        }
        return pieces & self.secrets


@pytest.fixture(scope="module")
def planted() -> Iterator[Planted]:
    root = new_folder()
    values = servers.start(root, rows=1_500)
    databases = Databases(values)
    numbers = {n for side, query in NUMBERS.items() for (n,) in databases.execute(side, query) if n}
    # Shorter numbers can occur in a hash or an instant by chance.
    secrets = frozenset(number for number in numbers if len(number) >= 11)
    assert len(secrets) > 500
    yield Planted(databases, secrets)
    servers.stop(root)


def run(planted: Planted, folder: Path, *words: str, **keys: Any) -> Completed:
    """A run whose files are all below the folder."""
    folder.mkdir(exist_ok=True)
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    audit = {"path": str(folder / "audit.jsonl")}
    file = configured(folder, planted.databases.values, audit=audit, **keys)
    output = ("--output", str(folder / "a.xlsx"), "--log-file", str(folder / "run.log"))
    environment = {"TMPDIR": str(temporary), "XDG_STATE_HOME": str(folder / "state")}
    result = finish(start("--config", str(file), *output, *WORDS, *words, env=environment))
    assert result.code == main.DONE, result.err
    return result


def everything_in(folder: Path) -> dict[str, str]:
    """Every file of the folder, and every part of every workbook, as text."""
    texts = {}
    for path in folder.rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_bytes().decode("utf-8", "replace")
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    for name in archive.namelist():
                        texts[f"{path}/{name}"] = archive.read(name).decode("utf-8", "replace")
    return texts


@pytest.mark.parametrize("rule", ["card", "card_time"])
def test_a_masked_run_prints_writes_and_leaves_nothing_clear(
    planted: Planted, tmp_path: Path, rule: str
) -> None:
    result = run(planted, tmp_path, "--rule", rule)
    files = everything_in(tmp_path)
    assert {Path(name).suffix for name in files} >= {".log", ".xlsx", ".jsonl", ".xml"}
    for name, text in {**files, "output": result.out, "errors": result.err}.items():
        assert planted.found_in(text) == set(), name
    assert "******" in "".join(files.values())


def test_a_clear_run_shows_card_numbers_in_the_workbook_and_nowhere_else(
    planted: Planted, tmp_path: Path
) -> None:
    result = run(planted, tmp_path, privacy={"report": "clear"})
    files = everything_in(tmp_path)
    shown = {
        name
        for name, text in {**files, "": result.out + result.err}.items()
        if planted.found_in(text)
    }
    assert shown
    assert all("a.xlsx/xl/" in name for name in shown)
    sheets = "".join(text for name, text in files.items() if name in shown)
    assert len(planted.found_in(sheets)) > 300


def test_the_tables_of_a_masked_run_hold_masks_and_tokens_only(planted: Planted) -> None:
    settings = loader.from_values(planted.databases.values, "teste", {})
    request = defaults.request(settings, defaults.local_today(settings), days=30)
    masked = pipeline.run(settings, request).reconciliation
    for table in (masked.transactions, masked.auth_logs):
        assert planted.found_in(str(table.to_pylist())) == set()
    clear = pipeline.run(settings, request, clear=True).reconciliation
    assert planted.found_in(str(clear.transactions.to_pylist()))


def test_a_servers_complaint_about_a_value_is_not_quoted(
    databases: Databases, tmp_path: Path
) -> None:
    card, side = "4000001234561234", "auth_logs"
    names = column_types.required(side)
    nulls = ", ".join(f"NULL AS {name}" for name in names if name != "num_cartao")
    sql = f"SELECT {nulls}, ('{card}x' || random())::bigint::text AS num_cartao"
    values = with_query(databases.values, side, tmp_path, sql)
    file, log = configured(tmp_path, values), tmp_path / "run.log"
    words = ("--output", str(tmp_path / "a.xlsx"), "--log-file", str(log))
    result = finish(start("--config", str(file), *words))
    assert result.code == main.FAILED
    assert says(result.sentence, BY_STATE["22"])
    assert card not in result.out + result.err + log.read_text()


def test_each_process_makes_its_tokens_with_its_own_key() -> None:
    code = "from lib.database import copy_reader; print(copy_reader.KEY.hex())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert len(other.stdout.strip()) == len(copy_reader.KEY.hex()) == 64
    assert other.stdout.strip() != copy_reader.KEY.hex()
