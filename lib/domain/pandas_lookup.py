"""Disable pyarrow's import of pandas in processes that use Arrow only.

When it converts its first value, pyarrow imports pandas if it is installed, which costs a third of
a second and 40 MB.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _Refusal(MetaPathFinder):
    """Refuses pandas; None in `sys.modules` would do for Python's own import, not for Cython's."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is disabled in this process", name=name)


_REFUSAL = _Refusal()


def disable() -> None:
    """Make imports of pandas fail, unless it is already loaded."""
    sys.meta_path.insert(0, _REFUSAL)


def enable() -> None:
    """Allow imports of pandas again; pyarrow keeps the result of a lookup already made."""
    while _REFUSAL in sys.meta_path:
        sys.meta_path.remove(_REFUSAL)
