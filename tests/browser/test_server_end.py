"""The temporary files of a server that is terminated."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.ui import export
from tests.browser.conftest import Opened
from tests.support.driving import Server

pytestmark = pytest.mark.browser


def test_a_terminated_server_leaves_no_workbook(
    visit: Opened, configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    server = Server(tmp_path, configuration)
    try:
        seen = visit("/overview", at=server)
        with seen.page.expect_download():
            seen.button(export.START).click()
        assert len(list(temporary.rglob("*.xlsx"))) == 1
        seen.page.context.close()
    finally:
        server.stop()
    assert list(temporary.glob("agregador-*")) == []
