"""Start the image, ask its health, make and verify the demonstration's report in it, and stop it.

`python -m tests.support.image BUILDER IMAGE`, as `make image` does. Podman and docker start it with
the limits of `compose.yaml`; buildah starts it in a chroot, without them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.support.ports import free_port

LIMITS: Final = (
    *("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--tmpfs=/tmp"),
    *("--init", "--network=host"),
)
REPORT: Final = "/reports/resultado_transacoes.xlsx"
COMMAND: Final = "{{range .OCIv1.Config.Cmd}}{{.}} {{end}}"
# buildah kills what it runs when it is itself told to stop; this ends the server as others would.
STOP: Final = """
import os, psutil
for process in psutil.process_iter():
    if process.pid != os.getpid() and process.username() == "aggregator":
        if process.cmdline()[1:4] == ["-m", "streamlit", "run"]:
            if process.environ()["STREAMLIT_SERVER_PORT"] == os.environ["STREAMLIT_SERVER_PORT"]:
                process.terminate()
"""
START_SECONDS: Final = 60
STOP_SECONDS: Final = 10


def main(builder: str, image: str) -> None:
    """Print size and seconds. Raises an error if the image does not do all of it."""
    print("size:", output(builder, "images", "--format", "{{.Size}}", image))
    port = free_port()
    name = f"image-test-{port}"
    # The command of the image itself serves, on a port that is free here.
    setting = f"--env=STREAMLIT_SERVER_PORT={port}"
    if Path(builder).name == "buildah":
        output(builder, "from", "--name", name, image)
        inside = [builder, "run", "--isolation=chroot", setting, name, "--"]
        start = [*inside, *output(builder, "inspect", "--format", COMMAND, name).split()]
        remove = [builder, "rm", name]
    else:
        inside = [builder, "exec", name]
        start = [builder, "run", "--name", name, *LIMITS, setting, image]
        remove = [builder, "rm", "--force", "--volumes", name]
    begin = time.monotonic()
    server = subprocess.Popen(start)
    try:
        wait_until_healthy(server, port)
        print(f"healthy after {time.monotonic() - begin:.1f} s")
        run(*inside, *health_check(builder, name))
        run(*inside, "python", "aggregator.py", "--demo", "--output", REPORT)
        run(*inside, "python", "aggregator.py", "verify", REPORT)
        begin = time.monotonic()
        if inside[1] == "exec":
            run(*inside, "sh", "-c", "! touch /app/written 2>/dev/null && test $(id -u) != 0")
            begin = time.monotonic()
            server.terminate()
        else:
            run(*inside, "python", "-c", STOP)
        status = server.wait(STOP_SECONDS)
        print(f"stopped after {time.monotonic() - begin:.1f} s with status {status}")
    finally:
        server.kill()
        run(*remove)


def wait_until_healthy(server: subprocess.Popen[bytes], port: int) -> None:
    """Ask until the dashboard says that it is healthy. Raises SystemExit once it cannot be."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz"):
            return
        time.sleep(0.2)
    sys.exit("the dashboard did not start")


def health_check(builder: str, name: str) -> list[str]:
    """The command of the image's own health check."""
    found = json.loads(output(builder, "inspect", name))
    config = found[0]["Config"] if isinstance(found, list) else found["Docker"]["config"]
    words: list[str] = config["Healthcheck"]["Test"]
    return words[1:]  # after "CMD"


def run(*command: str) -> None:
    """Run a command, which must succeed."""
    subprocess.run(command, check=True)


def output(*command: str) -> str:
    """Run a command, which must succeed, and return what it prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
