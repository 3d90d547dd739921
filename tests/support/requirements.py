"""The requirements files: what pyproject.toml requires, for pip, one file a purpose.

`python -m tests.support.requirements` writes them; `make lock` does so before it makes the locks.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_EXTRAS: Final = PROJECT["project"]["optional-dependencies"]
_REQUIRED: Final[dict[str, list[str]]] = {
    "requirements": PROJECT["project"]["dependencies"],
    "requirements-remote": ["-r requirements.txt", *_EXTRAS["remote"]],
    "requirements-spark": ["-r requirements.txt", *_EXTRAS["spark"]],
    "requirements-dev": ["-r requirements-remote.txt", *PROJECT["dependency-groups"]["dev"]],
}


def files() -> dict[str, str]:
    """The text of each requirements file by its name."""
    header = "# Written by `make lock`; change pyproject.toml instead.\n"
    return {
        f"{name}.txt": header + "".join(f"{line}\n" for line in lines)
        for name, lines in _REQUIRED.items()
    }


if __name__ == "__main__":
    for name, text in files().items():
        (ROOT / name).write_text(text, encoding="utf-8")
