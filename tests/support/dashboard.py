"""A dashboard over real databases, opened in a fresh session or read as a person reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streamlit.testing.v1 import AppTest

from lib.config.settings import ROOT
from tests.support.servers import Databases


@dataclass(frozen=True)
class Dashboard:
    """The entry over a configured pair of databases."""

    databases: Databases

    def open(self, name: str = "overview", *, locale: str = "pt-BR", **address: Any) -> AppTest:
        """The page as a fresh session meets it at this address."""
        at = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)
        at.context["locale"] = locale
        at.query_params.update(address)
        if name != "overview":  # the landing page
            at.switch_page(f"pages/{name}.py")
        return at.run()


def texts(at: AppTest) -> str:
    """Everything a page says in words."""
    kinds: tuple[Callable[[AppTest], Any], ...] = (
        lambda a: a.title,
        lambda a: a.text,
        lambda a: a.markdown,
        lambda a: a.caption,
        lambda a: a.info,
        lambda a: a.warning,
        lambda a: a.error,
        lambda a: a.html,
    )
    return "\n".join(str(element.value) for kind in kinds for element in kind(at))
