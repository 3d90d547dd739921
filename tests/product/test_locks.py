"""pyproject.toml, the requirements files and the locks agree; every locked file has a hash."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from tests.support.requirements import PROJECT, ROOT, files

NAMES = ("requirements", "requirements-dev", "requirements-remote", "requirements-spark")
ENTRY = re.compile(r"([a-z0-9-]+)==(\S+)( ;[^-]+)?(\s+--hash=sha256:[0-9a-f]{64})+")


def locked(name: str) -> set[tuple[str, str]]:
    """Name and version of every package of a lock, which must have a hash."""
    text = (ROOT / f"{name}.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [(ENTRY.fullmatch(line), line) for line in filter(None, text.splitlines())]
    assert not [line for entry, line in entries if not entry]
    return {(entry[1], entry[2]) for entry, _ in entries if entry}


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
def test_the_requirements_are_those_of_the_project(name: str) -> None:
    path = ROOT / f"{name}.txt"
    assert path.read_text(encoding="utf-8") == files()[path.name]


def test_the_document_says_what_each_required_package_is_for() -> None:
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    _, _, table = text.partition("| package | purpose |")
    named = set(re.findall(r"[a-z0-9-]+", table))
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = sum(extras, PROJECT["project"]["dependencies"])
    assert not {Requirement(line).name for line in lines} - named


def test_the_tests_are_installed_with_every_extra_but_spark() -> None:
    everything = {str(requirement) for requirement in required("requirements-dev")}
    extras = PROJECT["project"]["optional-dependencies"]
    assert {str(Requirement(line)) for line in extras["remote"]} <= everything
    assert set(extras) == {"remote", "spark"}


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_locked_at_a_version_that_it_accepts(name: str) -> None:
    versions = locked(name)
    for requirement in required(name):
        found = [v for package, v in versions if package == requirement.name.lower()]
        assert found, requirement
        assert all(map(requirement.specifier.contains, found)), requirement


@pytest.mark.parametrize("name", NAMES[1:])
def test_all_locks_agree_with_that_of_the_product(name: str) -> None:
    assert locked("requirements") <= locked(name)


def test_the_lock_has_what_only_windows_needs() -> None:
    assert {"colorama", "tzdata"} <= {package for package, _ in locked("requirements")}
