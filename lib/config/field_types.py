"""Types of the configuration's fields that several tables share, with their valid values.

Knows no table.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr

from lib.config import secret_references
from lib.config.file_permissions import read_secret

ROOT: Final = Path(__file__).resolve().parents[2]
LOCAL: Final = re.compile(r"[/@][^,]*|localhost|127(\.[0-9]{1,3}){3}|::1")
"""Hosts that are this machine: a socket's folder, or a loopback address."""
FROZEN: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def whole(low: int, high: int) -> Any:
    """A field that is a whole number in this range."""
    return Field(ge=low, le=high, description=f"um número inteiro de {low} a {high}")


def in_project(value: object) -> object:
    """A path relative to the project's root; an empty text is None."""
    if value == "":
        return None
    return ROOT / value if isinstance(value, str | Path) else value


# TOML's true would pass for 1.
Int = Annotated[int, BeforeValidator(lambda v: None if isinstance(v, bool) else v)]
Text = Annotated[str, Field(min_length=1, description="um texto entre aspas, não vazio")]
A_FILE: Final = Field(description="o caminho de um arquivo")
InProject: Final = BeforeValidator(in_project)
File = Annotated[Path | None, InProject, A_FILE]


def secret_of(password: SecretStr | None, file: Path | None) -> str | None:
    """The password, read from its file, a service or a vault. Raises ConfigError."""
    if file:
        return read_secret(file, "a senha (password_file)").rstrip("\r\n") or None
    return secret_references.resolve(password.get_secret_value()) if password else None
