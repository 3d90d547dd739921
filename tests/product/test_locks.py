"""The locks: an exact version and hashes for every package, in step with the requirements."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from lib.config.settings import ROOT

NAMES = ("requirements", "requirements-dev", "requirements-remote", "requirements-spark")


def locked(name: str) -> dict[str, str]:
    """The version of each package of a lock. Every entry must have a hash."""
    text = (ROOT / f"{name}.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    versions = {}
    for line in filter(None, text.splitlines()):
        entry = re.fullmatch(r"([a-z0-9-]+)==(\S+)( ;[^-]+)?(\s+--hash=sha256:[0-9a-f]{64})+", line)
        assert entry, line
        versions[entry[1]] = entry[2]
    return versions


def required(name: str) -> list[Requirement]:
    """The requirements of a file and of those that it includes."""
    requirements: list[Requirement] = []
    for line in (ROOT / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            requirements += required(line.removeprefix("-r ").removesuffix(".txt"))
        elif line and not line.startswith("#"):
            requirements.append(Requirement(line))
    return requirements


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_locked_at_a_version_that_it_accepts(name: str) -> None:
    versions = locked(name)
    for requirement in required(name):
        if requirement.marker is None or requirement.marker.evaluate():
            assert requirement.specifier.contains(versions[requirement.name.lower()])


@pytest.mark.parametrize("name", NAMES[1:])
def test_all_locks_agree_with_that_of_the_product(name: str) -> None:
    assert locked("requirements").items() <= locked(name).items()
