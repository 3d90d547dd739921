"""pyarrow's lookup of pandas, disabled in processes that use Arrow alone.

With the first value that it converts, pyarrow imports pandas wherever it is installed: a third of
a second and 40 MB.
"""

from __future__ import annotations

import sys


class _Refusal:
    """Refuses pandas; None in `sys.modules` stops Python's own import, but not Cython's."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is disabled in this process", name=name)


def disable() -> None:
    """Refuse imports of pandas from now on."""
    sys.meta_path.insert(0, _Refusal)


def enable() -> None:
    """Let pandas be imported again; what pyarrow has looked up by now stays as it is."""
    if _Refusal in sys.meta_path:
        sys.meta_path.remove(_Refusal)
