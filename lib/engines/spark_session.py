"""Open and close a session on a Spark master, and translate its failures into one sentence.

Knows nothing of the jobs in it.
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

from lib.domain import errors, pandas_lookup
from lib.domain.errors import AggregatorError, ConfigError, ExtractionError

_OPTIONS: Final = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
    "spark.sql.session.timeZone": "UTC",
    "spark.speculation": "false",  # a second reader of a share would open one more connection
    "spark.ui.enabled": "false",  # anyone on the network could read the session's settings
    "spark.ui.showConsoleProgress": "false",
}
_ANSWER_SECONDS: Final = 5.0
_WORKERS_SECONDS: Final = 60.0
_END_SECONDS: Final = 20.0

NOT_INSTALLED: Final = (
    "O motor spark precisa de pyspark e de Java 17; instale requirements-spark.txt."
)
NO_MASTER: Final = (
    "O Spark em {master} não atendeu; confira master em [aggregator.engine] e se o cluster está "
    "no ar."
)
NO_WORKERS: Final = (
    "O Spark em {master} não deu nenhum processo de trabalho em {seconds} segundos; confira se "
    "há máquinas no cluster e se não estão todas ocupadas."
)
NO_PROJECT: Final = (
    "Uma máquina do cluster não tem este projeto em PYTHONPATH, ou não o pode ler; nada foi "
    "publicado."
)
LOST: Final = (
    "O Spark em {master} não concluiu o trabalho e nada foi publicado; confira os registros das "
    "máquinas do cluster e a memória dos executores."
)
_SENTENCE: Final = re.compile(r"^lib\.domain\.errors\.(\w+): (.+)$", re.MULTILINE)
_STANDALONE: Final = "spark://"

_log: Final = logging.getLogger(__name__)


@contextmanager
def opened(master: str, folder: Path) -> Iterator[Any]:
    """Open a session for the block; Spark spills this machine's files into ``folder``.

    Raises ConfigError where Spark is missing or does not answer, the AggregatorError of a failed
    worker, and ExtractionError when the cluster fails.
    """
    pandas_lookup.enable()  # pyspark requires it for functions over Arrow tables too
    try:
        from py4j.protocol import Py4JError
        from pyspark import SparkConf
    except ImportError as exc:
        raise ConfigError(NOT_INSTALLED) from exc
    _require_answer(master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = SparkConf().setMaster(master).setAppName("conciliacao").setAll(_OPTIONS.items())
    conf.set("spark.local.dir", str(folder))
    with warnings.catch_warnings(), _quiet_root(), _java_machine(conf):
        # The session gets Arrow tables only.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        spark = _started(conf, master)
        try:
            with failures(master):
                _require_workers(spark, master)
                yield spark
        finally:
            with suppress(Py4JError, OSError):  # its Java machine may have died
                spark.stop()


@contextmanager
def failures(master: str) -> Iterator[None]:
    """Raise a failure of the session's worker or cluster as `opened` does, already here."""
    from py4j.protocol import Py4JError
    from pyspark.errors.exceptions.captured import CapturedException

    try:
        yield
    except (CapturedException, Py4JError, ConnectionError) as error:
        text = _text(error)
        _log.info("spark: %s", text)  # the log redacts numbers
        # An unexpected error keeps its text: the Java machine that knows it ends with `opened`.
        raise _translated(text, master) or RuntimeError(text) from None


@contextmanager
def _java_machine(conf: Any) -> Iterator[None]:
    """Start a Java virtual machine for this session alone; its end frees memory and folder.

    Its standard error, mostly stack traces, is dropped. Raises ConfigError.
    """
    from py4j.protocol import Py4JError
    from pyspark import SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    before = psutil.Process().children()
    try:
        gateway = launch_gateway(conf, {"stderr": subprocess.DEVNULL})
    except PySparkRuntimeError as exc:
        raise ConfigError(NOT_INSTALLED) from exc
    except BaseException:  # an interruption, which the Java machine would survive
        for child in psutil.Process().children():
            if child not in before:
                child.kill()
        raise
    try:
        SparkContext._ensure_initialized(gateway=gateway)
        yield
    finally:
        SparkContext._gateway = SparkContext._jvm = None
        with suppress(Py4JError, OSError):
            gateway.shutdown()
        gateway.proc.stdin.close()  # ends the Java machine
        try:
            gateway.proc.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            gateway.proc.kill()


@contextmanager
def _quiet_root() -> Iterator[None]:
    """Give the root logger a handler, so that py4j logs no interruption to standard error."""
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
            # Spark replaces the handler and never restores it.
            signal.signal(signal.SIGINT, interrupt)
        # Its default prints a traceback when the Java machine dies.
        spark.sparkContext._accumulatorServer.handle_error = lambda *_: None
        return spark
    except Py4JError as exc:
        if SparkContext._active_spark_context is not None:
            # Otherwise the next session of this process would get the stopped context.
            with suppress(Py4JError, OSError):  # its Java machine may have died
                SparkContext._active_spark_context.stop()
            SparkContext._active_spark_context = None
        raise ConfigError(NO_MASTER, master=master) from exc


def _require_answer(master: str) -> None:
    """Refuse a standalone master that does not listen; Spark itself would retry for a minute."""
    if not master.startswith(_STANDALONE):
        return
    for address in master.removeprefix(_STANDALONE).split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS):
                return
        except (OSError, ValueError, OverflowError):
            continue
    raise ConfigError(NO_MASTER, master=master)


def _require_workers(spark: Any, master: str) -> None:
    """Wait for the first executor of a cluster; a job would wait forever and without a message."""
    if master.startswith("local"):
        return
    context = spark.sparkContext._jsc.sc()
    until = time.monotonic() + _WORKERS_SECONDS
    while context.getExecutorMemoryStatus().size() < 2:  # one is the driver
        if time.monotonic() > until:
            raise ConfigError(NO_WORKERS, master=master, seconds=int(_WORKERS_SECONDS))
        time.sleep(0.2)


def _text(error: Exception) -> str:
    """The error's text, which the Java machine provides, or its type if that has ended."""
    from py4j.protocol import Py4JError

    try:
        return str(error)
    except (Py4JError, OSError):
        return type(error).__name__


def _translated(text: str, master: str) -> AggregatorError | None:
    """The AggregatorError of a failed worker or cluster; None if the failure is unexpected."""
    sentences = _SENTENCE.findall(text)
    if sentences:
        name, sentence = sentences[-1]
        kind: type[AggregatorError] = getattr(errors, name)
        return kind("{sentence}", sentence=sentence)
    if "No module named 'lib'" in text:
        return ConfigError(NO_PROJECT)
    if "Traceback (most recent call last)" in text:
        return None
    return ExtractionError(LOST, master=master)
