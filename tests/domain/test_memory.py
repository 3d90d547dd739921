"""Memory of a process: the arenas that its threads share."""

from __future__ import annotations

import subprocess
import sys

import pytest

_COUNT = """
import ctypes, sys, threading
from lib.domain import memory

c = ctypes.CDLL(None)
if sys.argv[1] == "limited":
    memory.limit_arenas()
together = threading.Barrier(8)

def work():
    c.malloc.restype = ctypes.c_void_p
    c.malloc(5000)
    together.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
c.fdopen.restype = ctypes.c_void_p
c.malloc_info(0, ctypes.c_void_p(c.fdopen(1, b"w")))
c.fflush(None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's arenas")
def test_eight_threads_share_two_arenas() -> None:
    def arenas(limited: str) -> int:
        command = [sys.executable, "-c", _COUNT, limited]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert arenas("limited") == 2
    assert arenas("as they come") > 2
