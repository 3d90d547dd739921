"""Keeps the developer's own configuration out of the tests."""

from pathlib import Path

import pytest

from lib.config import loader


@pytest.fixture(autouse=True)
def default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A default file in the test's folder, because the developer may have a configuration."""
    monkeypatch.setattr(loader, "DEFAULT_FILE", tmp_path / "secrets.toml")
    return tmp_path / "secrets.toml"
