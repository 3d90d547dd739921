"""Write the keys of the configuration into docs/configuration.md, between its two marks.

Tables, valid values and defaults are those of `lib.config.settings`; a key's meaning is its comment
in the example. `python -m tests.support.configuration_document` writes the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lib.config.delivery_settings import CopyAccess
from lib.config.settings import ROOT, Grant, Settings, Source

DOCUMENT: Final = ROOT / "docs" / "configuration.md"
EXAMPLE: Final = ROOT / ".streamlit" / "secrets.example.toml"
BEGIN: Final = "<!-- Written by `make documents`: change settings.py or the example instead. -->\n"
END: Final = "<!-- The end of what `make documents` writes. -->\n"

_SIDES: Final = ("transactions", "auth_logs")
_ENTRIES: Final = {
    "merchants": "CNPJ, 14 characters without punctuation = display name; the first is the default",
    "access.people": "e-mail of a person = table of `roles` and `merchants`",
    "access.groups": "group of the sign-in = table of `roles` and `merchants`",
}
_SIZE: Final = 'size, such as `"800 MB"` or `"4 GB"`'
_WHOLE: Final = re.compile(r"um número inteiro de (\d+) a (\d+)")
_NO_DEFAULT: Final = re.compile(r"(?:; )?no default$")
_SECTION: Final = re.compile(r"^(?:# )?\[aggregator\.?([\w.]*)\]")
_KEY: Final = re.compile(r"^(?:# )?(\w+) = .*?\s# (.*)$")
_CONTINUED: Final = re.compile(r"^\s+# (.*)$")


def document() -> str:
    """The document as it should be: what stands before and after the marks is kept."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + keys() + "\n" + END + after


def keys() -> str:
    """Every table of the configuration, in the order of the settings."""
    return "\n".join(_lines())


def meanings() -> dict[tuple[str, str], str]:
    """The comment of each key in the example, by table and key."""
    comments: dict[tuple[str, str], str] = {}
    section, last = "", None
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if header := _SECTION.match(line):
            section, last = header[1], None
        elif key := _KEY.match(line):
            last = (section, key[1])
            comments[last] = key[2].strip()
        elif last and (more := _CONTINUED.match(line)):
            comments[last] += f" {more[1].strip()}"
        else:
            last = None
    return comments


def _lines() -> Iterator[str]:
    schema = Settings.model_json_schema()
    tables: Mapping[str, Any] = schema["$defs"]
    own = {name: field for name, field in schema["properties"].items() if not _table(field)}
    merchants = own.pop("merchants")
    yield from _section("", own, Settings, schema)
    yield from _entries("merchants", merchants)
    for name, field in schema["properties"].items():
        model = _table(field)
        if model is None or name == _SIDES[1]:
            continue
        kind = Source if name in _SIDES else Settings.model_fields[name].annotation
        properties = dict(tables[model]["properties"])
        inner = ("people", "groups", "access")
        named = {key: properties.pop(key) for key in inner if key in properties}
        yield from _section(name, properties, kind, tables[model])
        for key, entry in named.items():
            if key == "access":
                access = tables[CopyAccess.__name__]
                yield from _section(f"{name}.{key}.host", access["properties"], CopyAccess, access)
                continue
            yield from _entries(f"{name}.{key}", entry)
            roles = _values(tables[Grant.__name__]["properties"]["roles"])
            yield f'`roles`: {roles}. `merchants`: list of configured CNPJs, or `["*"]` for all.'
            yield ""


def _section(
    name: str, properties: Mapping[str, Any], model: Any, schema: Mapping[str, Any]
) -> Iterator[str]:
    shown = _SIDES if name in _SIDES else (name,)
    yield "## " + " and ".join(f"`[{'.'.join(filter(None, ('aggregator', n)))}]`" for n in shown)
    yield ""
    if name:
        yield f"{str(model.__doc__).partition(chr(10) * 2)[0].strip()}".replace("\n    ", "\n")
        yield ""
    variable = "__".join(filter(None, ("AGGREGATOR", shown[0].upper().replace(".", "__"), "KEY")))
    yield f"In the environment: `{variable}`, with the key in capitals."
    yield ""
    yield "| key | valid values | default | meaning |"
    yield "|---|---|---|---|"
    required = schema.get("required", ())
    for key, field in properties.items():
        values = _values(field)
        default = "**required**" if key in required else _default(field.get("default"), values)
        meaning = meanings().get((name, key), "").replace("|", r"\|")
        yield f"| `{key}` | {values} | {default} | {_NO_DEFAULT.sub('', meaning)} |"
    yield ""


def _entries(name: str, field: Mapping[str, Any]) -> Iterator[str]:
    assert field["type"] == "object"
    yield f"## `[aggregator.{name}]`"
    yield ""
    yield f"{_ENTRIES[name]}."
    yield ""


def _table(field: Mapping[str, Any]) -> str | None:
    """The name of the model that a key's value is, if it is a table."""
    reference = field.get("$ref")
    return str(reference).rpartition("/")[2] if reference else None


def _values(field: Mapping[str, Any]) -> str:
    choices = [choice for choice in field.get("anyOf", ()) if choice.get("type") != "null"]
    if choices:
        description = {"description": field.get("description", "")}
        return " or ".join(dict.fromkeys(_values(description | choice) for choice in choices))
    if "const" in field:
        return f'`"{field["const"]}"`'
    if "enum" in field:
        return ", ".join(f'`"{value}"`' for value in field["enum"])
    kind = field["type"]
    if kind == "array":
        return f"list of {_values(field['items'])}"
    if kind == "integer":
        limits = _WHOLE.search(field["description"])
        return f"whole number from {limits[1]} to {limits[2]}" if limits else _SIZE
    if kind == "boolean":
        return "`true`, `false`"
    if field.get("format") == "path":
        return "path of a file"
    return "text"


def _default(value: Any, values: str = "") -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return f"`[{', '.join(_default(item).strip('`') for item in value)}]`" if value else "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int):
        return f'`"{value // 10**6} MB"`' if values == _SIZE else f"`{value}`"
    return f'`"{str(value).removeprefix(f"{ROOT}/")}"`'


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
