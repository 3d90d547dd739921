"""Documents name only files, make targets, modules and functions that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from lib.config.settings import Settings
from tests.support import configuration_document

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
NAME = re.compile(r"`(lib(?:\.\w+)+)")
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_module_and_function_of_the_code_exists(document: Path) -> None:
    assert not [name for name in sorted(set(NAME.findall(text(document)))) if not exists(name)]


@pytest.mark.parametrize("pattern", [PATH, LINK, MAKE, MODULE, NAME], ids=lambda p: p.pattern)
def test_each_pattern_matches_something_in_the_documents(pattern: re.Pattern[str]) -> None:
    assert any(pattern.search(text(document)) for document in DOCUMENTS)


def test_the_keys_of_the_configuration_are_written_as_they_are_now() -> None:
    written = configuration_document.DOCUMENT.read_text(encoding="utf-8")
    assert written == configuration_document.document(), "run `make documents`"


def test_every_key_of_the_configuration_has_a_meaning() -> None:
    document = text(Path("docs/configuration.md"))
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \| (.*) \|$", document, re.MULTILINE)
    assert [key for key, meaning in rows if not meaning] == []
    tables = {*model_tables(Settings), Settings}
    keys = {key for table in tables for key in table.model_fields}
    headings = set(re.findall(r"`\[aggregator[.]([\w.]+)\]`", document))
    listed = {key for key, _ in rows} | {part for name in headings for part in name.split(".")}
    assert keys - listed == set()


def model_tables(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The tables of the configuration below this one."""
    below = {field.annotation for field in model.model_fields.values()}
    tables = {kind for kind in below if isinstance(kind, type) and issubclass(kind, BaseModel)}
    return tables.union(*(model_tables(table) for table in tables))


def exists(name: str) -> bool:
    """Follow a dotted name through folders, a module, and the classes in it."""
    path, parts = ROOT, name.split(".")
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    if not parts:
        return True
    path = path / f"{parts.pop(0)}.py"
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body if path.exists() else []
    for part in parts:
        node = next((node for node in body if part in defined(node)), None)
        if node is None:
            return False
        body = node.body if isinstance(node, ast.ClassDef) else []
    return path.exists()


def defined(node: ast.stmt) -> set[str]:
    """The names that a statement of a module or of a class defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize("document", ["docs/operations.md", ".streamlit/secrets.example.toml"])
def test_the_example_of_a_notice_sends_it_encrypted(document: str) -> None:
    assert re.findall(r'urls = \["(\w+)://', text(Path(document))) == ["mailtos"]
