"""Finds every Portuguese message in the sources: what the screens say, and what errors say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

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
        calls = [node for node in ast.walk(tree) if _is_error(node)]
        for call in calls:
            found |= {text for text in _texts(call.args[0]) if " " in text} if call.args else set()
        # Other sentences of such a module reach an error through a name or a table.
        if calls and file.name not in ("cli.py", "scheduled.py"):
            found |= {text for text in _texts(tree) if text.endswith(".") and " " in text}
    return found


_ERRORS = (
    "AggregatorError",
    "ConfigError",
    "ExtractionError",
    "ContractError",
    "BalanceError",
    "ReportError",
    "HistoryError",
    "TransientError",
)


def _is_error(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in _ERRORS


def _texts(node: ast.AST) -> Iterator[str]:
    """Every text below this node that is not documentation."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)
