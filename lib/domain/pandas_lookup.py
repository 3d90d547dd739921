"""pyarrow's lookup of pandas, disabled in processes that use Arrow alone.

With the first value that it converts, pyarrow imports pandas wherever it is installed: a third of
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
    """Let imports of pandas fail, unless it is loaded already."""
    sys.meta_path.insert(0, _REFUSAL)


def enable() -> None:
    """Let pandas be imported again; what pyarrow has looked up by now stays as it is."""
    while _REFUSAL in sys.meta_path:
        sys.meta_path.remove(_REFUSAL)
