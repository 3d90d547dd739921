"""A trail of the audit: sealed records added, checked and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lib.security import audit_trail


def key(trail: Path) -> Path:
    return trail.with_name(f"{trail.name}.key")


def add(trail: Path, *texts: str) -> audit_trail.Anchor:
    for text in texts:
        anchor = audit_trail.append(trail, key(trail), lambda _, t=text: [{"what": t}])
    return anchor


def verified(trail: Path, *anchors: audit_trail.Anchor) -> audit_trail.Verification:
    return audit_trail.verify(trail, key(trail), [("planilha", a) for a in anchors])


def records(trail: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trail.read_text().splitlines()]
