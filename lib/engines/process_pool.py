"""Worker processes that may die: what a dead one was doing is done again by a new one.

Every task can be repeated: it leaves nothing under a final name before it is complete. A worker
ends by itself when its driver does. Knows neither databases nor rules.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import wait as wait_for
from typing import Any, Final, TypeVar

from lib.domain import memory
from lib.domain.errors import AggregatorError
from lib.security import redaction

DEATHS: Final = 3
_LOOK_SECONDS: Final = 5.0
_RESERVE_KIB: Final = "65536"
_FIRST_TASK: Final = 320 << 20
"""What a worker's libraries take with its first task, most of it for threads; then they have it."""
_FORKS: Final = "forkserver" in multiprocessing.get_all_start_methods()
_NEEDED: Final = (
    "lib.engines.partition_reader",
    "lib.engines.partition",
    "lib.engines.partition_rows",
)

_Job = TypeVar("_Job")
_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def prepare() -> None:
    """Have what workers need loaded, once for all of them; returns at once.

    By a process that has no threads and no connections, and that the workers are copies of.
    """
    if _FORKS:
        import resource
        from multiprocessing import forkserver

        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            # Arrow's allocator otherwise takes a GiB of it at once, and leaves too little for code.
            os.environ.setdefault("MIMALLOC_ARENA_RESERVE", _RESERVE_KIB)
        forkserver.set_forkserver_preload(list(_NEEDED))
        forkserver.ensure_running()


class WorkerError(AggregatorError):
    """Workers died again and again, which mostly means that memory ran out."""


class Workers:
    """So many processes, started at once, so that they are ready when there is work."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._deaths = 0
        self._pool = self._made()

    def each(
        self, job: _Job, work: Callable[[_Job, _Task], _Result], tasks: Iterable[_Task]
    ) -> Iterator[tuple[_Task, _Result]]:
        """Do all the tasks of a job, in any order; gives (task, result) as each is done.

        Raises what a task raises, WorkerError when workers keep dying, or MemoryError.
        """
        waiting = list(reversed(list(tasks)))
        running: dict[Future[Any], _Task] = {}
        while waiting or running:
            try:
                # No more than run: each task should find the memory of the one before it free.
                while waiting and len(running) < self._count:
                    future = self._pool.submit(_with_room, work, job, waiting[-1])
                    running[future] = waiting.pop()
                done, _ = wait(running, _LOOK_SECONDS, return_when=FIRST_COMPLETED)
                self._require_thread(running)
                for future in done:
                    result = future.result()
                    yield running.pop(future), result
            except BrokenProcessPool:
                waiting += running.values()
                running.clear()
                self._replace()

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        _kill(self._pool)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _require_thread(self, running: Iterable[Future[Any]]) -> None:
        """Raise MemoryError where the pool's thread died, and nothing would ever be done."""
        thread: Any = self._pool._executor_manager_thread
        if not (thread and thread.is_alive()) and not any(future.done() for future in running):
            raise MemoryError

    def _replace(self) -> None:
        self._deaths += 1
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._deaths > DEATHS:
            raise WorkerError(
                "Os processos de trabalho morreram {deaths} vezes seguidas; confira se falta "
                "memória e diminua workers ou aumente memory_limit em [aggregator.engine].",
                deaths=self._deaths,
            )
        self._pool = self._made()

    def _made(self) -> ProcessPoolExecutor:
        prepare()
        context = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
        pool = ProcessPoolExecutor(self._count, mp_context=context, initializer=_begin)
        try:
            for _ in range(self._count):
                pool.submit(os.getpid)
        except BaseException as problem:
            # Of a pool that did not get its thread nobody else ends the processes.
            for process in _kill(pool):
                process.join()
            pool.shutdown(wait=False)
            if isinstance(problem, (EOFError, ConnectionError)):
                # The process that the workers are copies of did not get as far as to answer.
                raise MemoryError from problem
            raise
        return pool


@contextmanager
def started(count: int) -> Iterator[Workers]:
    """Workers that end with the block."""
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
    import pyarrow as pa

    redaction.install()
    # Otherwise every worker has as many threads as the machine has processors.
    pa.set_cpu_count(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _with_room(work: Callable[[_Job, _Task], _Result], job: _Job, task: _Task) -> _Result:
    """Do the task, or raise MemoryError where libraries would end or hang for want of memory."""
    _require_room()
    return work(job, task)


@cache
def _require_room() -> None:
    memory.check(_FIRST_TASK)


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
