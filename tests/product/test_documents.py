"""Documents name only files and make targets that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "tests/**/*.md")
    for path in ROOT.glob(pattern)
)
SETTINGS = sorted(path.relative_to(ROOT) for path in ROOT.glob(".streamlit/config.toml"))
# A path of the repository in a sentence, in a link's target or in a block of code.
PATH = re.compile(r"(?<![\w./-])(?:lib|tests|pages|docs|benchmarks|\.streamlit)/[\w./-]*\w")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"(?:`|^)make ([a-z][\w-]*)", re.MULTILINE)
MODULE = re.compile(r"python3? -m ((?:benchmarks|tests)\.[\w.]*\w)")
# Copied or written by the reader, not part of the repository.
WRITTEN_BY_THE_READER = {".streamlit/secrets.toml"}


def text(document: Path) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    targets = [target for target in LINK.findall(text(document)) if "://" not in target]
    missing = [t for t in targets if not (ROOT / document.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("document", [*DOCUMENTS, *SETTINGS], ids=str)
def test_every_path_of_the_repository_exists(document: Path) -> None:
    words = set(PATH.findall(text(document))) - WRITTEN_BY_THE_READER
    assert not [word for word in sorted(words) if not (ROOT / word).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_make_target_exists(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert set(MAKE.findall(text(document))) <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_module_that_a_command_starts_exists(document: Path) -> None:
    names = MODULE.findall(text(document))
    assert not [n for n in names if not (ROOT / n.replace(".", "/")).with_suffix(".py").exists()]


def test_the_documents_that_name_the_most_are_read() -> None:
    """Guard the patterns above: a pattern that matches nothing would pass every document."""
    everything = "\n".join(map(text, DOCUMENTS))
    for pattern in (PATH, LINK, MAKE, MODULE):
        assert pattern.search(everything), pattern.pattern
