"""One analyst's way through the dashboard in Chromium, from the figures to the workbook."""

from __future__ import annotations

import re
from pathlib import Path

from lib.cli import main
from lib.ui import export, tables
from lib.ui.navigation import titles
from tests.browser.conftest import Opened
from tests.support.command import sheets
from tests.support.scenario import BULK, UNKNOWN, masked


def test_an_analyst_reads_every_page_and_downloads_the_command_lines_workbook(
    visit: Opened, configuration: Path, tmp_path: Path
) -> None:
    seen = visit("/overview")
    assert seen.heading() == titles()["overview"]
    for name, rows in (("consolidated", BULK + 3), ("divergences", 2)):
        seen.link(name).click()
        seen.settle()
        assert seen.heading() == titles()[name]
        assert tables.ROWS[1].format(count=rows) in seen.text()
    assert masked(UNKNOWN) in seen.cells("num_cartao")
    for name in ("charts", "customers"):
        seen.link(name).click()
        seen.settle()
        assert seen.heading() == titles()[name]
        assert seen.page.locator(".js-plotly-plot").count() > 0

    with seen.page.expect_download() as first:
        seen.button(export.START).click()
    name = first.value.suggested_filename
    assert re.fullmatch(r"Loja Exemplo \d{4}-\d\d-\d\d a \d{4}-\d\d-\d\d\.xlsx", name)
    first.value.save_as(tmp_path / name)
    target = tmp_path / "command.xlsx"
    words = ["--config", str(configuration), "--output", str(target)]
    assert main.main(words) == main.DONE
    assert sheets(tmp_path / name) == sheets(target)
    # The second download is the same file, without another export.
    with seen.page.expect_download() as again:
        seen.button(export.REPEAT).click()
    again.value.save_as(tmp_path / "again.xlsx")
    assert (tmp_path / "again.xlsx").read_bytes() == (tmp_path / name).read_bytes()
