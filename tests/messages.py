"""Finds every Portuguese message in the sources: what the screens say, and what errors say."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from babel.messages.extract import extract_from_file

from lib.settings import ROOT

_KEYWORDS = {"t": None, "n": (1, 2)}


def on_screen() -> set[tuple[str, ...]]:
    """What goes through `t` and `n`: (message,) or (one, many)."""
    found: set[tuple[str, ...]] = set()
    for file in [*ROOT.glob("pages/*.py"), *ROOT.glob("lib/**/*.py")]:
        for _, message, _, _ in extract_from_file("python", file, keywords=_KEYWORDS):
            found.add((message,) if isinstance(message, str) else tuple(message))
    return found


def of_errors() -> set[str]:
    """The sentences that AggregatorErrors are made with, in the modules below the screens."""
    found: set[str] = set()
    for file in ROOT.glob("lib/*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if any(_raises_ours(node) for node in ast.walk(tree)):
            found |= set(_sentences(tree))
    return found


def _raises_ours(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) in _ERRORS


_ERRORS = {
    "AggregatorError",
    "ConfigError",
    "ExtractionError",
    "ContractError",
    "BalanceError",
    "ReportError",
}


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _sentences(tree: ast.Module) -> Iterator[str]:
    """First arguments of our errors, and module constants that read like a sentence."""
    for node in ast.walk(tree):
        if _raises_ours(node) and isinstance(node, ast.Call) and node.args:
            yield from _texts(node.args[0])
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            for text in _texts(statement.value):
                if text.endswith(".") and " " in text:
                    yield text


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _texts(value)
    elif isinstance(node, ast.Tuple | ast.List):
        for value in node.elts:
            yield from _texts(value)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)


