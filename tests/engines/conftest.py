"""The configuration of Spark and of its machines, and a cluster of them.

What needs Spark is imported by the fixtures: tests of the other engines run without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.cluster import Cluster
    from tests.support.servers import Databases


@pytest.fixture(scope="module")
def config_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of the configuration that workers load, which each test writes anew.

    Beside it is the configuration of Spark, with the secret that its machines share.
    """
    from tests.support.spark import DEFAULTS

    folder = tmp_path_factory.mktemp("spark")
    (folder / "spark-defaults.conf").write_text(DEFAULTS)
    return folder / "aggregator.toml"


@pytest.fixture
def config_file(config_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of this test, in the environment."""
    from tests.support import engine_data
    from tests.support.spark import environment

    engine_data.write_config(databases, config_path)
    for name, value in environment(config_path).items():
        monkeypatch.setenv(name, value)
    return config_path


@pytest.fixture(scope="module")
def cluster(config_path: Path) -> Iterator[Cluster]:
    from tests.support import cluster as clusters
    from tests.support.spark import environment

    with clusters.running(config_path.parent / "cluster", environment(config_path)) as running:
        yield running
