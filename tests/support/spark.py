"""The Spark engine in tests: the environment of its machines, and a published result."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lib.config.settings import ROOT
from lib.database import copy_reader
from lib.engines import parquet_result
from lib.engines.spark_tasks import KEY_VARIABLE
from tests.support import engine_data

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.requests import Progress

SECRET = "segredo-do-cluster"
DEFAULTS = f"""
spark.authenticate true
spark.authenticate.secret {SECRET}
spark.network.crypto.enabled true
spark.master.rest.enabled false
"""


def environment(config_path: Path) -> dict[str, str]:
    """The environment of the driver and of every machine of a cluster."""
    return {
        "AGGREGATOR_CONFIG": str(config_path),
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # halves the start
        "SPARK_CONF_DIR": str(config_path.parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        KEY_VARIABLE: copy_reader.KEY.hex(),
    }


def run(
    settings: Settings,
    folder: Path,
    rule: str = "card",
    progress: Progress = lambda stage, rows: None,
) -> parquet_result.Result:
    """Publish a result of the whole period by Spark."""
    request = engine_data.request(settings, rule)
    return engine_data.run(settings, request, folder / "resultado", "spark", progress=progress)
