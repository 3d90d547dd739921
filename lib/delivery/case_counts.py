"""The sums of cases in the state file: how many share a day, a kind, a motive, a state and marks.

Only adds and subtracts, inside the transaction of whoever changes cases.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

_COLUMNS: Final = (
    *("merchant", "day", "kind", "motivo", "state", "opened_by", "first_seen", "status", "owner"),
)
_ADD: Final = (
    "UPDATE case_counts SET cases = cases + ?"
    f" WHERE {' AND '.join(f'{name} IS ?' for name in _COLUMNS)}"
)
_INSERT: Final = f"INSERT INTO case_counts VALUES (?{', ?' * len(_COLUMNS)})"


@contextmanager
def kept_current(connection: Connection, keys: Sequence[int]) -> Iterator[None]:
    """Bring the sums up to date with what the block changes of these cases."""
    before = _groups(connection, keys)
    yield
    after = _groups(connection, keys)
    after.subtract(before)
    add(connection, after)


def add(connection: Connection, groups: Counter[tuple[Any, ...]]) -> None:
    """Add to the sums; a group is its merchant, day, kind, motive, state, run, moment and marks.

    A negative number subtracts; a sum that comes to zero is removed.
    """
    for group, number in groups.items():
        if not number:
            continue
        updated = connection.exec_driver_sql(_ADD, (number, *group))
        if not updated.rowcount:
            connection.exec_driver_sql(_INSERT, (*group, number))
    connection.exec_driver_sql("DELETE FROM case_counts WHERE cases = 0")


def _groups(connection: Connection, keys: Sequence[int]) -> Counter[tuple[Any, ...]]:
    columns = ", ".join(_COLUMNS)
    rows = connection.exec_driver_sql(
        f"SELECT {columns}, count(*) FROM cases WHERE key IN (SELECT value FROM json_each(?))"
        f" GROUP BY {columns}",
        (json.dumps(keys),),
    )
    return Counter({tuple(group): number for *group, number in rows})
