"""The page of stored results: figures, charts and pages of rows, read from the files."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lib import pipeline
from lib.analysis import time_series
from lib.cli import main
from lib.config import loader
from lib.config.settings import ROOT
from lib.domain import columns as c
from lib.domain.errors import ReportError
from lib.engines import parquet_result as results
from lib.reports import row_file
from lib.ui import app_state, tables
from lib.ui import results as screen
from tests.pages import test_row_downloads_page as row_downloads
from tests.support import engine_data, scenario
from tests.support.dashboard import Dashboard, frames, texts, unescaped
from tests.support.sentences import pattern
from tests.support.servers import MERCHANTS

OTHER = next(cnpj for cnpj in MERCHANTS if cnpj != engine_data.MERCHANT)
PERIOD = ("--start", f"{engine_data.START}", "--end", f"{engine_data.END}")


@pytest.fixture
def produced(dashboard: Dashboard, tmp_path: Path) -> Dashboard:
    """A dashboard whose configuration has an engine's result."""
    engine_data.fill(dashboard.databases, 2_000)
    produce(dashboard, tmp_path)
    return dashboard


def produce(dashboard: Dashboard, folder: Path, *words: str, **keys: Any) -> results.Result:
    engine = {"kind": "chunked", "workers": 1, "memory_limit": "200 MB"}
    engine |= {"staging_dir": str(folder / "staging"), "result_dir": str(folder / "{merchant}")}
    site_settings = {"engine": engine, "output_path": str(folder / "saida.xlsx"), **keys}
    site_settings |= {"audit": {"path": str(folder / "audit.jsonl")}}
    file = scenario.site(folder, dashboard.databases.values, **site_settings)
    app_state.forget()
    assert main.main(["--config", str(file), *PERIOD, *words]) == main.DONE
    return results.open_result(folder / engine_data.MERCHANT)


def opened(folder: Path) -> results.Result:
    return results.open_result(folder / engine_data.MERCHANT)


def offered(at: AppTest) -> bool:
    return "resultado" in at.session_state


def test_without_a_result_the_page_says_so(dashboard: Dashboard) -> None:
    at = dashboard.open("results")
    assert not at.exception
    assert screen.NO_RESULT in texts(at)


def test_a_link_to_a_result_that_is_gone_says_so_and_shows_the_latest(produced: Dashboard) -> None:
    at = produced.open("results", resultado="0" * 32)
    assert [unescaped(warning.value) for warning in at.warning].count(screen.BAD_RESULT) == 1
    assert at.metric
    assert screen.BAD_RESULT not in texts(produced.open("results", **at.query_params))


@pytest.mark.parametrize(("locale", "title"), [("pt-BR", "Resultados"), ("en-US", "Results")])
def test_the_figures_are_those_of_the_run_and_nothing_is_read_from_a_database(
    produced: Dashboard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    locale: str,
    title: str,
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(pipeline, "run", refuse)
    monkeypatch.setattr("lib.database.sessions.session", refuse)

    at = produced.open("results", locale=locale)

    assert not at.exception
    assert at.title[0].value == title
    books = opened(tmp_path).books
    assert [metric.value.replace(",", ".") for metric in at.metric][:3] == [
        f"{number:,}".replace(",", ".")
        for number in (books.transactions, books.consolidated, books.divergences)
    ]
    assert len(at.get("plotly_chart")) == 5


def test_the_charts_show_the_days_of_the_answer_in_memory(
    produced: Dashboard, tmp_path: Path
) -> None:
    result = opened(tmp_path)

    drawn = screen._timeline(str(result.folder), result.version)

    request = engine_data.request(loader.load(), "card")
    whole = time_series.timeline(pipeline.run(loader.load(), request).reconciliation)
    assert set(drawn.columns) == set(whole.columns)
    for name in whole.columns:
        assert drawn[name].tolist() == whole[name].tolist(), name


def newest_first(result: results.Result, name: str, column: str) -> list[Any]:
    """A column of the whole table in the order of the page."""
    table = result.page(name, 0, result.rows(name))
    days = table[c.DATA if name == "divergences" else c.DATA_TRANSA].to_pylist()
    values = list(zip(days, table[column].to_pylist(), strict=True))
    dated = [value for day, value in values if day is not None]
    return dated[::-1] + [value for day, value in values if day is None]


@pytest.mark.parametrize("name", ["divergences", "consolidated", "without_log", "duplicates"])
def test_every_table_shows_its_newest_fifty_rows_those_without_a_date_last(
    produced: Dashboard, tmp_path: Path, name: str
) -> None:
    at = produced.open("results", parte=name)

    assert not at.exception
    result = opened(tmp_path)
    (shown,) = frames(at)
    rows = result.rows(name)
    assert rows > 0
    assert len(shown) == min(50, rows)
    cards = newest_first(result, name, c.NUM_CARTAO)[:50]
    assert shown[c.NUM_CARTAO].tolist() == [card or "" for card in cards]
    assert tables.ROWS[1].format(count=f"{rows:,}".replace(",", ".")) in texts(at)


def test_pages_follow_one_another_and_filters_select_rows(
    produced: Dashboard, tmp_path: Path
) -> None:
    result = opened(tmp_path)
    at = produced.open("results", parte="divergences")

    at.session_state["resultado_divergences_pagina"] = 2
    at.run()
    second = newest_first(result, "divergences", c.DES_LOG)[50:100]
    assert frames(at)[0][c.DES_LOG].tolist() == [text or "" for text in second]

    at.multiselect(key="resultado_divergences_motivo").set_value([c.NEGADA]).run()

    motivos = result.page("divergences", 0, result.rows("divergences"))[c.MOTIVO].to_pylist()
    assert not at.exception
    assert tables.ROWS[1].format(count=motivos.count(c.NEGADA)) in texts(at)
    assert set(frames(at)[0][c.MOTIVO]) == {c.NEGADA}

    at.multiselect(key="resultado_divergences_cod_resposta").set_value(["", "51"]).run()

    assert not at.exception
    codes = result.page("divergences", 0, result.rows("divergences"))[c.COD_RESPOSTA].to_pylist()
    both = [m == c.NEGADA and code in (None, "51") for m, code in zip(motivos, codes, strict=True)]
    assert tables.ROWS[1].format(count=sum(both)) in texts(at)


def test_views_of_a_result_are_in_the_audit(produced: Dashboard, tmp_path: Path) -> None:
    at = produced.open("results", parte="divergences")
    at.multiselect(key="resultado_divergences_motivo").set_value([c.NEGADA]).run()
    at.run()

    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    views = [line for line in lines if line.get("page") == "results"]
    assert [view["filters"] for view in views] == ["", f"motivo={c.NEGADA}"]
    assert views[-1]["merchant"] == engine_data.MERCHANT


def test_a_search_finds_rows_and_is_in_the_audit(produced: Dashboard, tmp_path: Path) -> None:
    at = produced.open("results", parte="consolidated")

    at.text_input(key="resultado_consolidated_busca").input("R$ 3,00").run()

    assert not at.exception
    assert set(frames(at)[0][c.VLR_TOTAL]) == {"R$\xa03,00"}
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert (lines[-1]["table"], lines[-1]["search"]) == ("consolidated", "R$ 3,00")


@pytest.mark.parametrize("kind", row_file.KINDS)
def test_the_rows_that_a_search_and_filters_find_can_be_downloaded(
    produced: Dashboard, tmp_path: Path, kind: str
) -> None:
    at = produced.open("results", parte="divergences")
    at.text_input(key="resultado_divergences_busca").input("14/02").run()
    at.multiselect(key="resultado_divergences_motivo").set_value([c.NEGADA]).run()

    file = row_downloads.downloaded(at, "resultado_divergences", kind)

    question, rows = row_downloads.rows_of(row_downloads.content(file))
    result = opened(tmp_path)
    whole = result.page("divergences", 0, result.rows("divergences")).to_pylist()
    logs = [
        row[c.DES_LOG]
        for row in whole
        if row[c.MOTIVO] == c.NEGADA and row[c.DATA] == date(2026, 2, 14)
    ]
    assert [row[c.DES_LOG] for row in rows] == logs[::-1]
    assert question["Busca"] == "14/02"
    assert question["Filtros"] == "Motivo = negada"
    assert question["Linhas"].startswith(f"{len(logs)} linhas, de ")
    last = (tmp_path / "audit.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["kind"] == "export"


def test_a_download_of_a_result_replaced_meanwhile_says_so(
    produced: Dashboard, tmp_path: Path
) -> None:
    parts = screen._parts(opened(tmp_path), "divergences", None)
    shutil.rmtree(opened(tmp_path).folder / opened(tmp_path).version)

    with pytest.raises(ReportError, match=pattern(screen.REPLACED)):
        list(parts)


def test_a_result_in_clear_is_not_shown(dashboard: Dashboard, tmp_path: Path) -> None:
    engine_data.fill(dashboard.databases, 200)
    assert produce(dashboard, tmp_path, privacy={"report": "clear"}).clear

    at = dashboard.open("results")

    assert not offered(at)
    assert screen.NO_RESULT in texts(at)


def test_the_result_of_a_merchant_that_is_not_the_readers_is_not_shown(
    produced: Dashboard, tmp_path: Path
) -> None:
    manifest = tmp_path / engine_data.MERCHANT / results.MANIFEST
    manifest.write_text(manifest.read_text().replace(engine_data.MERCHANT, "99999999999999"))

    assert screen.NO_RESULT in texts(produced.open("results"))


def test_a_result_is_not_shown_under_row_level_security(
    produced: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.database.row_level_security.prove", lambda settings, window: None)
    monkeypatch.setenv("AGGREGATOR__ROW_LEVEL_SECURITY", "true")
    app_state.forget()

    assert screen.NO_RESULT in texts(produced.open("results"))


def test_a_reader_without_access_sees_no_result(
    produced: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.ui.session_user.at_this_machine", lambda: False)

    at = produced.open("results")

    assert at.error
    assert not at.metric
    assert not offered(at)


def test_the_page_has_its_guard_where_the_entry_did_not_run(
    produced: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.ui.session_user.at_this_machine", lambda: False)

    at = AppTest.from_file(str(ROOT / "pages" / "results.py"), default_timeout=120).run()

    assert at.error
    assert not at.metric


@pytest.mark.parametrize("part", ["resumo", "divergences"])
def test_a_result_replaced_meanwhile_is_reported(
    produced: Dashboard, tmp_path: Path, part: str
) -> None:
    shutil.rmtree(opened(tmp_path).folder / opened(tmp_path).version)

    at = produced.open("results", parte=part)

    assert not at.exception
    assert screen.REPLACED in texts(at)


def test_an_unreadable_result_is_ignored(produced: Dashboard, tmp_path: Path) -> None:
    (tmp_path / engine_data.MERCHANT / results.MANIFEST).write_text("{")

    assert screen.NO_RESULT in texts(produced.open("results"))


def test_the_figures_of_another_version_are_never_kept_as_this_ones(
    produced: Dashboard, tmp_path: Path
) -> None:
    folder = str(opened(tmp_path).folder)

    with pytest.raises(FileNotFoundError):
        screen._timeline(folder, "0" * 16)
    with pytest.raises(FileNotFoundError):
        screen._counts(folder, "0" * 16, "divergences", "", ())


def test_files_without_permission_are_not_reported_as_replaced(
    produced: Dashboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise PermissionError

    monkeypatch.setattr(results.Result, "page", refuse)

    at = produced.open("results", parte="divergences")

    assert not at.exception
    assert [shown.value for shown in at.error] == [screen.UNREADABLE]
