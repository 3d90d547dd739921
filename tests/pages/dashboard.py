"""A dashboard over real databases, opened in a fresh session or read as a person reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from streamlit.testing.v1 import AppTest

from lib.settings import ROOT
from tests.servers import Databases

MERCHANT: Final = "12345678000190"
FIELD: Final = "0" + MERCHANT
BULK: Final = 120

# Cards of the records that tests ask for; the masks show the first six and the last four.
PHYSICAL: Final = "4000001111110001"
VIRTUAL: Final = "4099992222220002"
DECLINED: Final = "5105103333330003"
UNKNOWN: Final = "4111114444440004"
LONELY: Final = "6504875555550005"
TWICE: Final = "4222226666660006"
CPF: Final = "11122233396"


def today() -> date:
    """Today's date where the merchant is."""
    return datetime.now(ZoneInfo("America/Sao_Paulo")).date()


def masked(card: str) -> str:
    return f"{card[:6]}******{card[-4:]}"


@dataclass(frozen=True)
class Dashboard:
    """The entry over a configured pair of databases."""

    databases: Databases

    def open(self, name: str = "overview", *, locale: str = "pt-BR", **address: Any) -> AppTest:
        """The page as a fresh session meets it at this address."""
        at = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=30)
        at.context["locale"] = locale
        at.query_params.update(address)
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
