"""Finds every Portuguese message in the sources: those of the screens and those of errors.

`python -m tests.support.messages` writes them to the golden file, one line a message.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeGuard

from babel.messages.extract import extract_from_file

from lib.config.settings import ROOT
from lib.domain import columns as c

GOLDEN: Final = Path(__file__).parents[1] / "product" / "sentences.txt"
_KEYWORDS = {"t": None, "n": (1, 2)}
_FORMS = " | "


def on_screen() -> set[tuple[str, ...]]:
    """What goes through `t` and `n`: (message,) or (one, many)."""
    found: set[tuple[str, ...]] = set()
    for file in [*ROOT.glob("pages/*.py"), *ROOT.glob("lib/**/*.py")]:
        for _, message, _, _ in extract_from_file("python", file, keywords=_KEYWORDS):
            found.add((message,) if isinstance(message, str) else tuple(message))
    return found


def of_values() -> set[str]:
    """The words that a screen puts into its cells and no sheet has."""
    return {
        *c.WITHOUT_LOG_REASONS,
        *c.DUPLICATE_REASONS,
        c.CONSOLIDADA,
        c.SEM_LOG,
    }


def of_errors() -> set[str]:
    """The sentences that AggregatorErrors and notices are made with, below the screens."""
    found: set[str] = set()
    for file in ROOT.glob("lib/**/*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        named = _named(tree)
        for call in filter(_is_error, ast.walk(tree)):
            if call.args:
                texts = _texts(call.args[0], named, set())
                found |= {x for x in texts if " " in x and (x.endswith(".") or "{" in x)}
    return found


def of_command_line() -> set[str]:
    """The public constants of the command line and the audit, which no screen translates."""
    found: set[str] = set()
    for file in [*ROOT.glob("lib/cli/*.py"), *ROOT.glob("lib/security/audit_*.py")]:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AnnAssign) and node.value and _is_public(node.target):
                found |= {text for text in _texts(node.value, {}, set()) if " " in text}
    return found


def in_sources() -> set[str]:
    """The lines of the golden file: a message each, singular and plural on one line."""
    on_screens = {_FORMS.join(forms) for forms in on_screen()}
    return on_screens | of_values() | of_errors() | of_command_line()


def in_golden_file() -> set[str]:
    """The lines that the golden file has now."""
    return set(GOLDEN.read_text(encoding="utf-8").splitlines())


_ERRORS = (
    "AggregatorError",
    "ConfigError",
    "ExtractionError",
    "ContractError",
    "BalanceError",
    "ReportError",
    "TakenError",
    "HistoryError",
    "TransientError",
    "Notice",
)


# A name that an error's kind is chosen into.
_CHOSEN = "kind"


def _is_public(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.isupper() and target.id[0] != "_"


def _is_error(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in (*_ERRORS, _CHOSEN)


def _named(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """What every name of a module is given, wherever it is given something."""
    named: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.For):
            targets, value = [node.target], node.iter
        elif isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        for part in (part for target in targets for part in ast.walk(target)):
            if isinstance(part, ast.Name):
                named.setdefault(part.id, []).append(value)
    return named


def _texts(node: ast.AST, named: dict[str, list[ast.expr]], seen: set[str]) -> Iterator[str]:
    """Every text in an expression, those behind its names included."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
        elif isinstance(part, ast.Name) and part.id not in seen:
            seen.add(part.id)
            for value in named.get(part.id, []):
                yield from _texts(value, named, seen)


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{line}\n" for line in sorted(in_sources())), encoding="utf-8")
