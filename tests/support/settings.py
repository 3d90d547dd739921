"""A configuration of three lines, settings from it with changes, and the errors of wrong ones."""

import copy
import tomllib
import traceback
from collections.abc import Mapping
from typing import Any

import pytest

from lib.config import loader
from lib.config.settings import Settings
from lib.domain.errors import ConfigError

A, B = "12345678000195", "12ABC34501DE35"
SECRET = "s3nh@-{de}-teste"
HOOK = f"json://user:{SECRET}@hooks.example.com/path"
TOML = f"""
auth.client_secret = "ignored"
[aggregator]
merchants.{A} = "Loja"
transactions = {{host = "/run/a", database = "a", user = "u"}}
auth_logs = {{host = "db.example.com", database = "b", user = "u"}}
"""
MINIMAL: dict[str, Any] = tomllib.loads(TOML)["aggregator"]


def settings(environ: dict[str, str] | None = None, **changes: Any) -> Settings:
    """Settings from the minimal table with these dotted keys changed."""
    table = copy.deepcopy(MINIMAL)
    for path, value in changes.items():
        parent, _, key = path.rpartition(".")
        (table.setdefault(parent, {}) if parent else table)[key] = value
    return loader.from_values(table, "aqui.toml", environ or {})


def settings_of(values: Mapping[str, Any], **keys: Any) -> Settings:
    """Settings from these values, as a configuration's table holds them, and other keys."""
    return loader.from_values({**values, **keys}, "teste", {})


def refusal(call: Any, *args: Any, **changes: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        call(*args, **changes)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


def summary(error: ConfigError) -> tuple[str, object, object]:
    """Template, origin and key of the error."""
    return error.template, error.values.get("origin"), error.values.get("key")
