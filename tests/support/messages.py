"""Find every Portuguese message in the sources: those of the screens and those of errors.

`python -m tests.support.messages` writes them to the golden file, one line a message.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, TypeGuard

from lib.config.settings import ROOT
from lib.delivery import run_lines
from lib.domain import columns as c
from lib.domain import response_codes

GOLDEN: Final = Path(__file__).parents[1] / "product" / "sentences.txt"
_FORM_COUNTS = {"t": 1, "n": 2}
_FORMS = " | "
_CHECKS = ("read_secret", "read_text", "require_private", "require_unchangeable")


@cache
def on_screen() -> set[tuple[str, ...]]:
    """The messages that `t` and `n` translate: (message,) or (one, many)."""
    messages: set[tuple[str, ...]] = set()
    for file in [*ROOT.glob("pages/*.py"), *ROOT.glob("lib/**/*.py")]:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constants = {
            node.target.id: node.value
            for node in tree.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Call):
                count = _FORM_COUNTS.get(_function_name(call), 0)
                forms = [text for node in call.args for text in _literals(node, constants)][:count]
                if forms and len(forms) == count:
                    messages.add(tuple(forms))
    return messages


def _function_name(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _literals(node: ast.expr, constants: dict[str, ast.expr]) -> list[str]:
    """The literal texts of an argument, those of the module's constants included."""
    if isinstance(node, ast.Name) and node.id in constants:
        return _literals(constants[node.id], constants)
    if isinstance(node, ast.Starred):
        return _literals(node.value, constants)
    if isinstance(node, ast.Tuple):
        return [text for part in node.elts for text in _literals(part, constants)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def of_values() -> set[str]:
    """The words of the contract, of the response codes and of the events on a screen."""
    return {
        *c.MOTIVOS,
        c.FISICO,
        c.VIRTUAL,
        *c.WITHOUT_LOG_REASONS,
        *c.DUPLICATE_REASONS,
        c.CONSOLIDADA,
        c.SEM_LOG,
        *response_codes.MEANINGS.values(),
        *run_lines.EVENTS.values(),
    }


@cache
def of_files() -> set[str]:
    """The names that messages give to files whose permissions are checked."""
    names: set[str] = set()
    for file in ROOT.glob("lib/**/*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for call in ast.walk(tree):
            if (
                isinstance(call, ast.Call)
                and _function_name(call) in _CHECKS
                and len(call.args) > 1
            ):
                texts = _texts(call.args[1], _assigned(tree), set())
                names |= {text for text in texts if " " in text}
    return names


@cache
def of_errors() -> set[str]:
    """The templates of errors and notices, raised below the screens."""
    templates: set[str] = set()
    for file in ROOT.glob("lib/**/*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assigned = _assigned(tree)
        for call in filter(_is_error, ast.walk(tree)):
            if call.args:
                texts = _texts(call.args[0], assigned, set())
                templates |= {x for x in texts if " " in x and (x.endswith(".") or "{" in x)}
    return templates


def of_command_line() -> set[str]:
    """The public constants of the command line and the audit, which no screen translates."""
    templates: set[str] = set()
    for file in [*ROOT.glob("lib/cli/*.py"), *ROOT.glob("lib/security/audit_*.py")]:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.AnnAssign) and node.value and _is_public(node.target):
                templates |= {text for text in _texts(node.value, {}, set()) if " " in text}
    return templates


def in_sources() -> set[str]:
    """The lines of the golden file: a message each, singular and plural on one line."""
    on_screens = {_FORMS.join(forms) for forms in on_screen()}
    return on_screens | of_values() | of_files() | of_errors() | of_command_line()


def in_golden_file() -> set[str]:
    """The current lines of the golden file."""
    return set(GOLDEN.read_text(encoding="utf-8").splitlines())


@cache
def _errors() -> set[str]:
    """The names of the classes that carry a message: notices, and every class of error."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in ROOT.glob("lib/**/*.py")]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    names, found = {"Notice"}, {"AggregatorError"}
    while found - names:
        names |= found
        found = {c.name for c in classes if names & {getattr(b, "id", "") for b in c.bases}}
    return names


# A variable that holds the class of an error.
_CHOSEN = "kind"


def _is_public(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.isupper() and target.id[0] != "_"


def _is_error(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in _errors() | {_CHOSEN}


def _assigned(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """The values assigned to each name, anywhere in a module."""
    assigned: dict[str, list[ast.expr]] = {}
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
                assigned.setdefault(part.id, []).append(value)
    return assigned


def _texts(node: ast.AST, assigned: dict[str, list[ast.expr]], seen: set[str]) -> Iterator[str]:
    """Every text in an expression, with those of the values of its names."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
        elif isinstance(part, ast.Name) and part.id not in seen:
            seen.add(part.id)
            for value in assigned.get(part.id, []):
                yield from _texts(value, assigned, seen)


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{line}\n" for line in sorted(in_sources())), encoding="utf-8")
