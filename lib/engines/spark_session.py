"""A session on a Spark master: how it begins, ends, and says what went wrong in one sentence.

Knows nothing of what is done in it.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]

from lib.domain import errors
from lib.domain.errors import AggregatorError, ConfigError, ExtractionError

_OPTIONS: Final = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
    "spark.sql.session.timeZone": "UTC",
    "spark.speculation": "false",  # a second reader of one share would be one connection more
    "spark.ui.enabled": "false",  # anybody on the network could read what the session is told
    "spark.ui.showConsoleProgress": "false",
}
_ANSWER_SECONDS: Final = 5.0
_WORKERS_SECONDS: Final = 60.0
_END_SECONDS: Final = 20.0

_NOT_HERE: Final = "O motor spark precisa de pyspark e de Java 17; instale requirements-spark.txt."
_NO_MASTER: Final = (
    "O Spark em {master} não atendeu; confira master em [aggregator.engine] e se o cluster está "
    "no ar."
)
_NO_WORKERS: Final = (
    "O Spark em {master} não deu nenhum processo de trabalho em {seconds} segundos; confira se "
    "há máquinas no cluster e se não estão todas ocupadas."
)
_NO_PROJECT: Final = (
    "Uma máquina do cluster não tem este projeto em PYTHONPATH, ou não o pode ler; nada foi "
    "publicado."
)
_LOST: Final = (
    "O Spark em {master} não concluiu o trabalho e nada foi publicado; confira os registros das "
    "máquinas do cluster e a memória dos executores."
)
_SENTENCE: Final = re.compile(r"^lib\.errors\.(\w+): (.+)$", re.MULTILINE)
_STANDALONE: Final = "spark://"

_log: Final = logging.getLogger(__name__)


@contextmanager
def opened(master: str, folder: Path) -> Iterator[Any]:
    """A session, ended with the block; what Spark raises in it is told in one sentence.

    What Spark spills on this machine lies in ``folder``. Raises ConfigError where there is no
    Spark, and the AggregatorError of a worker that failed.
    """
    try:
        from py4j.protocol import Py4JError
        from pyspark import SparkConf
        from pyspark.errors.exceptions.captured import CapturedException
    except ImportError as exc:
        raise ConfigError(_NOT_HERE) from exc
    _require_answer(master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = SparkConf().setMaster(master).setAppName("conciliacao").setAll(_OPTIONS.items())
    conf.set("spark.local.dir", str(folder))
    with warnings.catch_warnings(), _quiet_root(), _java_machine(conf):
        # It is handed Arrow tables only.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        spark = _started(conf, master)
        try:
            _require_workers(spark, master)
            yield spark
        except (CapturedException, Py4JError, ConnectionError) as problem:
            words = _words(problem)
            _log.info("spark: %s", words)  # the log takes numbers out of them
            told = _told(words, master)
            # Of what nobody foresaw, its words: later nobody is left who knows them.
            raise told or RuntimeError(words) from None
        finally:
            with suppress(Py4JError, OSError):  # its Java machine may have died
                spark.stop()


@contextmanager
def _java_machine(conf: Any) -> Iterator[None]:
    """A Java machine of the session's own: one that stayed would keep its memory and its folder.

    What it says to the screen, stack traces above all, is nobody's. Raises ConfigError.
    """
    from py4j.protocol import Py4JError
    from pyspark import SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    there = psutil.Process().children()
    try:
        gateway = launch_gateway(conf, {"stderr": subprocess.DEVNULL})
    except PySparkRuntimeError as exc:
        raise ConfigError(_NOT_HERE) from exc
    except BaseException:  # an interruption, which it would outlive
        for child in psutil.Process().children():
            if child not in there:
                child.kill()
        raise
    try:
        SparkContext._ensure_initialized(gateway=gateway)
        yield
    finally:
        SparkContext._gateway = SparkContext._jvm = None
        with suppress(Py4JError, OSError):
            gateway.shutdown()
        gateway.proc.stdin.close()  # by which it ends
        try:
            gateway.proc.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            gateway.proc.kill()


@contextmanager
def _quiet_root() -> Iterator[None]:
    """Keep what py4j logs of an interruption from the screen, where it would set up logging."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _started(conf: Any, master: str) -> Any:
    from py4j.protocol import Py4JError
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    interrupt = signal.getsignal(signal.SIGINT)
    try:
        spark = SparkSession.builder.config(conf=conf).getOrCreate()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, interrupt)  # which Spark takes and never gives back
        # It would print a trace when the Java machine dies.
        spark.sparkContext._accumulatorServer.handle_error = lambda *_: None
        return spark
    except Py4JError as exc:
        if SparkContext._active_spark_context is not None:
            # The next session of this process would be given it, stopped as it is.
            SparkContext._active_spark_context.stop()
        raise ConfigError(_NO_MASTER, master=master) from exc


def _require_answer(master: str) -> None:
    """Refuse a standalone cluster at whose addresses nobody listens; Spark tries for a minute."""
    if not master.startswith(_STANDALONE):
        return
    for address in master.removeprefix(_STANDALONE).split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS):
                return
        except (OSError, ValueError, OverflowError):
            continue
    raise ConfigError(_NO_MASTER, master=master)


def _require_workers(spark: Any, master: str) -> None:
    """Wait for the first executor of a cluster; a job would wait for it without end or word."""
    if master.startswith("local"):
        return
    context = spark.sparkContext._jsc.sc()
    until = time.monotonic() + _WORKERS_SECONDS
    while context.getExecutorMemoryStatus().size() < 2:  # the driver is one
        if time.monotonic() > until:
            raise ConfigError(_NO_WORKERS, master=master, seconds=int(_WORKERS_SECONDS))
        time.sleep(0.2)


def _words(problem: Exception) -> str:
    """What Spark says of it, which it asks its Java machine for, if that is still there."""
    from py4j.protocol import Py4JError

    try:
        return str(problem)
    except (Py4JError, OSError):
        return type(problem).__name__


def _told(text: str, master: str) -> AggregatorError | None:
    """The sentence with which a worker ended, or the cluster's; None for what nobody foresaw."""
    sentences = _SENTENCE.findall(text)
    if sentences:
        name, sentence = sentences[-1]
        kind: type[AggregatorError] = getattr(errors, name)
        return kind("{sentence}", sentence=sentence)
    if "No module named 'lib'" in text:
        return ConfigError(_NO_PROJECT)
    if "Traceback (most recent call last)" in text:
        return None
    return ExtractionError(_LOST, master=master)
