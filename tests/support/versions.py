"""Check every supported Python: the locks, the types, and the tests where the interpreter is here.

`make versions` runs it. The locks must have a wheel of every package for each system; the types are
those of each version's standard library, so that a call that it lacks is an error; warnings of what
it will drop fail the tests. An interpreter is `python3.N` on the path; pyenv's stand there with
`PYENV_VERSION=3.12.1:3.13.0`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Final

from tests.support.requirements import ROOT

VERSIONS: Final = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS: Final = (
    *("x86_64-manylinux_2_28", "aarch64-manylinux_2_28"),
    *("aarch64-apple-darwin", "x86_64-pc-windows-msvc"),
)
LOCKS: Final = ("requirements.lock", "requirements-remote.lock", "requirements-dev.lock")


def main(uv: str) -> None:
    """Print a line a check. Raises SystemExit if one fails."""
    passed = [
        *(_wheels(uv, version, system) for version in VERSIONS for system in SYSTEMS),
        *(_types(version) for version in VERSIONS),
        *(_tests(version) for version in VERSIONS),
    ]
    sys.exit(not all(passed))


def _wheels(uv: str, version: str, system: str) -> bool:
    plan = [
        *(uv, "pip", "install", "--quiet", "--dry-run", "--no-deps", "--require-hashes"),
        *("--only-binary=:all:", "--target=.venv/none"),
        *(f"--python-version={version}", f"--python-platform={system}"),
    ]
    commands = [[*plan, "-r", lock] for lock in LOCKS]
    return _say(f"{version}: wheels for {system}", all(map(_succeeds, commands)))


def _types(version: str) -> bool:
    command = [sys.executable, "-m", "mypy", "--python-version", version]
    return _say(f"{version}: types", _succeeds(command))


def _tests(version: str) -> bool:
    python = _interpreter(version)
    if python is None:
        print(f"{version}: no interpreter here, tests not run", flush=True)
        return True
    command = ["make", f"VENV=.venv/python{version}", f"PYTHON={python}", "test"]
    return _say(f"{version}: make test with {python}", _succeeds(command))


def _interpreter(version: str) -> str | None:
    path = shutil.which(f"python{version}")
    # pyenv has one of each that fails where it is not chosen.
    return path if path and _run([path, "-c", ""]).returncode == 0 else None


def _succeeds(command: list[str]) -> bool:
    result = _run(command)
    if result.returncode:
        print(result.stdout[-3000:], result.stderr[-3000:], flush=True)
    return result.returncode == 0


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def _say(check: str, passed: bool) -> bool:
    print(f"{check}: {'ok' if passed else 'FAILED'}", flush=True)
    return passed


if __name__ == "__main__":
    main(*sys.argv[1:])
