"""The error for each mistake in a key or a value."""

from typing import Any

import pytest

from lib.config import loader
from lib.config.settings import Settings
from tests.support.settings import SECRET, A, B, refusal, settings, summary

UNKNOWN = {
    "timezon": "timezone",
    "MERCHANT": "merchants",
    "transactions.pasword": "password",
    "auth_logs.HOST": "host",
    "vault": None,
    "_env_file": None,
}
NO_CNPJ = [B.lower(), "12345678/00195", *(A[:13] + end for end in ("", "55", "A", "٥", "5\n"))]
# Wrong values of a key, and a part of the expectation that the message states.
WRONG: list[tuple[str, Any, str]] = [
    ("window_days", (-1, "dez", True, 1.5, 10**9), "36500"),
    ("timezone", ("", "Brasil", "America", "../etc", "a\0b", "x" * 5000, 3), "America/Sao_Paulo"),
    ("output_path", ("", 5), ""),
    ("match_rule", ("cards", "", 1), "card_time"),
    ("wait.until", ("7h30", "24:00", "07:30:00", 730, True), "07:30"),
    ("wait.complete_to", ("today", ""), "yesterday"),
    ("wait.lag_minutes", (-1, 1_441), "1440"),
    ("wait.every_seconds", (0, "60s"), "3600"),
    ("approved_codes", ([], "00", [0], [""], {}), '["00"]'),
    ("virtual_prefix_length", (-1, "six", False), "auto"),
    ("merchants", ({}, "Loja", [A]), "CNPJ ="),
    (f"merchants.{A}", ("", 1), "CNPJ ="),
    *((f"merchants.{cnpj}", ("x",), "CNPJ =") for cnpj in NO_CNPJ),
    ("transactions", (SECRET, []), ""),
    ("transactions.host", ("", 1), ""),
    ("transactions.password", (123456, [SECRET]), ""),
    ("auth_logs.port", (0, 65536, "x"), "65535"),
    ("auth_logs.statement_timeout", (0,), "86400"),
    ("auth_logs.sslmode", ("full",), "verify-full"),
    ("auth_logs.sslcert", ([],), ""),
    ("privacy.report", ("open",), "masked"),
    ("notify.urls", (SECRET, [SECRET], [""], [3]), "mailtos://"),
    ("notify.on", ("failed", ["fail"], ["over"]), '"ready"'),
    ("notify.dashboard_url", ("painel", "ftp://h", "https://h?x=1", "https://u@h"), "https://"),
    ("metrics.token", (5,), ""),
]


def description(key: str) -> str | None:
    """The expectation that the field of this dotted key states."""
    table: Any = Settings
    for part in key.split("."):
        field = table.model_fields[part]
        table = field.annotation
        if part == "merchants":
            break
    return field.description


@pytest.mark.parametrize("value", [SECRET, {"path": SECRET}])
@pytest.mark.parametrize(("key", "nearest"), UNKNOWN.items())
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    key: str, nearest: str | None, value: object
) -> None:
    error = refusal(settings, **{key: value})
    assert summary(error) == (loader.UNKNOWN_KEY, "aqui.toml", f"aggregator.{key}")
    assert nearest in (None, error.values["nearest"])


@pytest.mark.parametrize(("key", "wrong", "part"), WRONG)
def test_the_error_of_a_wrong_value_states_the_expectation(key: str, wrong: Any, part: str) -> None:
    for value in wrong:
        error = refusal(settings, **{key: value})
        assert summary(error) == (loader.WRONG_VALUE, "aqui.toml", f"aggregator.{key}")
        assert error.values["expected"] == description(key)
        assert part in str(error)


def test_a_missing_key_is_named_after_any_unknown_one() -> None:
    source = {"database": "a", "user": "u"}
    missing = refusal(settings, auth_logs=source)
    assert summary(missing) == (loader.MISSING_KEY, "aqui.toml", "aggregator.auth_logs.host")
    unknown = refusal(settings, window_days="x", auth_logs={"hots": "x", **source})
    assert summary(unknown) == (loader.UNKNOWN_KEY, "aqui.toml", "aggregator.auth_logs.hots")
    assert unknown.values["nearest"] == "host"
    empty = refusal(loader.from_values, {}, "aqui.toml", {})
    assert summary(empty) == (loader.MISSING_KEY, "aqui.toml", "aggregator.merchants")
