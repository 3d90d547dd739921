"""The start of the server, before anybody has opened a page."""

from __future__ import annotations

import subprocess
import sys

from lib.config.settings import ROOT

STARTED = """
import asyncio
import logging
import threading

from lib.ui import server_lifecycle

def fail():
    raise ValueError("password=hunter2")

async def start():
    async with server_lifecycle.lifespan(None):
        logging.error("card 4539578763621486")
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

asyncio.run(start())
"""


def test_logs_are_redacted_before_the_first_page() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARTED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "card ******" in done.stderr
    assert "password=******" in done.stderr
    assert "hunter2" not in done.stderr
