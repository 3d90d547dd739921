"""A pool of worker processes that replaces dead workers and repeats their tasks.

Every task can be repeated, because it writes nothing under a final name before it is complete. A
worker exits when its parent exits. Knows neither databases nor rules.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import wait as wait_for
from typing import Any, Final, Literal, TypeVar

from lib.config.settings import ROOT
from lib.domain import memory, pandas_lookup
from lib.domain.errors import AggregatorError
from lib.security import redaction

DEATHS: Final = 3
DIED: Final = (
    "Os processos de trabalho foram encerrados inesperadamente {deaths} vezes seguidas; "
    "confira se falta memória e diminua workers ou aumente memory_limit em [aggregator.engine]."
)
_WAIT_SECONDS: Final = 5.0
_RESERVE_KIB: Final = "65536"
_FIRST_TASK: Final = 320 << 20
"""Memory that a worker's libraries reserve with its first task, most of it for threads."""
_PRELOADED: Final = ["lib.engines.preload"]

_Job = TypeVar("_Job")
_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def start_method() -> Literal["forkserver", "spawn"]:
    """The way to start a worker on this system.

    macOS can fork, but its libraries do not work in a process forked after they were loaded.
    """
    return "forkserver" if platform.system() == "Linux" else "spawn"


def prepare() -> None:
    """Start loading the workers' modules and return at once.

    A process without threads and connections loads them; the workers are forked from it.
    """
    if start_method() == "forkserver":
        import resource
        from multiprocessing import forkserver

        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            # Arrow's allocator otherwise reserves a GiB at once and leaves too little for code.
            os.environ.setdefault("MIMALLOC_ARENA_RESERVE", _RESERVE_KIB)
        forkserver.set_forkserver_preload(_PRELOADED)
        with _importing_from_project():
            forkserver.ensure_running()


@contextmanager
def _importing_from_project() -> Iterator[None]:
    """Let a Python process that starts here import this project, from any working directory.

    It would search that directory first, whose `lib` may be another one: `/lib`, for example.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    changed = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class WorkerError(AggregatorError):
    """Workers died repeatedly, usually because memory ran out."""


class Workers:
    """A fixed number of processes, started at once so that they are ready for the first task."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._deaths = 0
        self._pool = self._started()

    def each(
        self, job: _Job, work: Callable[[_Job, _Task], _Result], tasks: Iterable[_Task]
    ) -> Iterator[tuple[_Task, _Result]]:
        """Run all tasks of a job in any order and yield (task, result) as each completes.

        Raises the error of a task, WorkerError if workers keep dying, or MemoryError.
        """
        waiting = list(reversed(list(tasks)))
        running: dict[Future[Any], _Task] = {}
        while waiting or running:
            try:
                # Submit no more than can run, so that a task starts after the previous one has
                # freed its memory.
                while waiting and len(running) < self._count:
                    future = self._pool.submit(_checked, work, job, waiting[-1])
                    running[future] = waiting.pop()
                done, _ = wait(running, _WAIT_SECONDS, return_when=FIRST_COMPLETED)
                self._require_thread(running)
                for future in done:
                    result = future.result()
                    yield running.pop(future), result
            except BrokenProcessPool:
                waiting += running.values()
                running.clear()
                self._replace()

    def restart(self) -> None:
        """Kill the processes with whatever they do, and start new ones."""
        self.close()
        self._pool = self._started()

    def close(self) -> None:
        """Kill the processes."""
        _kill(self._pool)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _require_thread(self, running: Iterable[Future[Any]]) -> None:
        """Raise MemoryError if the pool's thread has died: no task would ever complete."""
        thread: Any = self._pool._executor_manager_thread
        if not (thread and thread.is_alive()) and not any(future.done() for future in running):
            raise MemoryError

    def _replace(self) -> None:
        self._deaths += 1
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._deaths > DEATHS:
            raise WorkerError(DIED, deaths=self._deaths)
        self._pool = self._started()

    def _started(self) -> ProcessPoolExecutor:
        memory.require(self._count * memory.LEAST_BYTES)
        prepare()
        context = multiprocessing.get_context(start_method())
        pool = ProcessPoolExecutor(self._count, mp_context=context, initializer=_begin)
        try:
            for _ in range(self._count):
                pool.submit(os.getpid)
        except BaseException as error:
            # A pool that did not get its thread does not end its processes.
            for process in _kill(pool):
                process.join()
            pool.shutdown(wait=False)
            if isinstance(error, (EOFError, ConnectionError)):
                # The process that the workers are forked from ended before it could answer.
                raise MemoryError from error
            raise
        return pool


@contextmanager
def started(count: int) -> Iterator[Workers]:
    """Start workers, which end with the block."""
    workers = Workers(count)
    try:
        yield workers
    finally:
        workers.close()


def _kill(pool: ProcessPoolExecutor) -> list[Any]:
    processes = list((pool._processes or {}).values())
    for process in processes:
        process.kill()
    return processes


def _begin() -> None:
    """Set up a worker process."""
    import pyarrow as pa

    redaction.install()
    pandas_lookup.disable()
    memory.limit_arenas()
    # Otherwise every worker starts a thread per processor of the machine.
    pa.set_cpu_count(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()


def _checked(work: Callable[[_Job, _Task], _Result], job: _Job, task: _Task) -> _Result:
    """Run the task, or raise MemoryError before libraries crash or hang for lack of memory."""
    _require_memory()
    return work(job, task)


@cache  # once per process
def _require_memory() -> None:
    memory.check(_FIRST_TASK)


def _exit_with(sentinel: int) -> None:
    """Exit when the parent exits."""
    wait_for([sentinel])
    os._exit(1)
