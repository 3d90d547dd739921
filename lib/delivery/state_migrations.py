"""The tables of the state file: the statements that lead from each version to the next.

Only text: `lib.delivery.state_file` executes it. The table of runs is older than the versions.
"""

from __future__ import annotations

from typing import Final

# Moments are ISO 8601 in UTC; `moment` is the order of a sheet (`column_arrays.Instants`), from
# which a page and a range of days are read. `case_counts` sums up the cases of each day, so that no
# count needs all.
_CASES: Final = (
    """CREATE TABLE cases (
        key INTEGER PRIMARY KEY, merchant TEXT NOT NULL, state TEXT NOT NULL,
        opened_by INTEGER NOT NULL, moment INTEGER NOT NULL, first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL, status TEXT, owner TEXT, version INTEGER NOT NULL DEFAULT 0,
        base INTEGER NOT NULL, ordinal INTEGER NOT NULL, digest INTEGER NOT NULL,
        kind TEXT NOT NULL, day TEXT, time TEXT, card TEXT, code TEXT, amount TEXT, cpf TEXT,
        virtual TEXT, merchant_field TEXT, text TEXT, motivo TEXT, counterpart TEXT)""",
    """CREATE TABLE case_counts (
        merchant TEXT NOT NULL, day TEXT, kind TEXT NOT NULL, motivo TEXT, state TEXT NOT NULL,
        opened_by INTEGER NOT NULL, first_seen TEXT NOT NULL, status TEXT, owner TEXT,
        cases INTEGER NOT NULL)""",
    "CREATE INDEX case_counts_by_day ON case_counts (merchant, day)",
    """CREATE TABLE case_events (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key INTEGER NOT NULL, at TEXT NOT NULL,
        who TEXT NOT NULL, kind TEXT NOT NULL, text TEXT)""",
    "CREATE INDEX case_events_by_key ON case_events (key)",
    """CREATE TABLE judgements (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL UNIQUE, merchant TEXT NOT NULL,
        at TEXT NOT NULL, period_start TEXT NOT NULL, period_end TEXT NOT NULL,
        transactions_until TEXT, logs_until TEXT, new INTEGER NOT NULL DEFAULT 0,
        resolved INTEGER NOT NULL DEFAULT 0, open INTEGER NOT NULL DEFAULT 0,
        outside INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX judgements_by_merchant ON judgements (merchant, id)",
    """CREATE TABLE judged_days (
        merchant TEXT NOT NULL, day TEXT NOT NULL, judgement INTEGER NOT NULL,
        PRIMARY KEY (merchant, day)) WITHOUT ROWID""",
)
_SAVED_VIEWS: Final = (
    """CREATE TABLE saved_views (
        person TEXT NOT NULL, in_table TEXT NOT NULL, name TEXT NOT NULL, view TEXT NOT NULL,
        PRIMARY KEY (person, in_table, name)) WITHOUT ROWID""",
)
_DISPATCHES: Final = (
    """CREATE TABLE dispatches (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, kind TEXT NOT NULL,
        event TEXT, target TEXT NOT NULL, at TEXT NOT NULL, problem TEXT)""",
    "CREATE INDEX dispatches_by_run ON dispatches (run)",
)
# Of an open case, `last_seen` is when its day was last judged; of cases without a date, that of ''.
_JUDGED_DAYS: Final = (
    "INSERT INTO judged_days SELECT merchant, '', max(id) FROM judgements GROUP BY merchant",
    "ALTER TABLE case_counts ADD COLUMN closed INTEGER AS (state <> 'open')",
)


def _joined(separator: str, *columns: str) -> str:
    """The SQL that joins these columns, empty where NULL."""
    return f" || {separator} || ".join(f"coalesce({column}, '')" for column in columns)


def _fold(column: str) -> str:
    return f"folded(coalesce({column}, ''))"


_PACKED: Final = ("time", "card", "code", "cpf", "virtual", "merchant_field", "text")

# `words` are what a search looks at, all of them in an index of its own, and `texts` the
# values that no query needs one by one, as `case_texts.packed` joins them. `base` is the key of
# the first of identical records. The indexes by marks leave out cases without them, which
# `cases_by_moment` has in the order of a page; a run reads no other index.
_NARROW: Final = (
    """CREATE TABLE narrow (
        key INTEGER PRIMARY KEY, words TEXT NOT NULL, merchant TEXT NOT NULL, state TEXT NOT NULL,
        opened_by INTEGER NOT NULL, moment INTEGER NOT NULL, status TEXT, owner TEXT,
        first_seen TEXT NOT NULL, last_seen TEXT,
        version INTEGER NOT NULL DEFAULT 0, base INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        digest INTEGER NOT NULL, kind TEXT NOT NULL, day TEXT, motivo TEXT, amount TEXT,
        texts TEXT NOT NULL, counterpart TEXT, closed INTEGER AS (state <> 'open'))""",
    f"""INSERT INTO narrow
        SELECT key, {_joined("' '", "card", _fold("code"), "cpf", "virtual", _fold("text"))},
        merchant, state, opened_by, moment, status, owner, first_seen, last_seen, version,
        iif(ordinal = 1, key, first_key(
            {_joined("char(31)", "merchant", "kind", "card", "day", "time", "code, amount")})),
        ordinal, digest, kind, day, motivo, amount,
        {_joined("char(31)", *(f"replace({column}, char(31), ' ')" for column in _PACKED))},
        counterpart FROM cases ORDER BY key""",
    "DROP TABLE cases",
    "ALTER TABLE narrow RENAME TO cases",
    """CREATE INDEX cases_by_moment ON cases
        (merchant, closed, moment, key, digest, status, owner)""",
    "CREATE INDEX cases_by_age ON cases (merchant, closed, first_seen)",
    """CREATE INDEX cases_by_owner ON cases (merchant, closed, owner, moment)
        WHERE owner IS NOT NULL""",
    """CREATE INDEX cases_by_status ON cases (merchant, closed, status, moment)
        WHERE status IS NOT NULL""",
    "CREATE INDEX cases_by_words ON cases (merchant, closed, words, status, owner)",
    "CREATE INDEX cases_by_amount ON cases (merchant, closed, CAST(amount AS REAL), moment)",
)
# Version 5 had words with accents; those of ASCII letters alone are folded.
_WITHOUT_ACCENTS: Final = ("UPDATE cases SET words = folded(words) WHERE words GLOB '*[^ -~]*'",)
MIGRATIONS: Final = (*(_CASES, _SAVED_VIEWS, _DISPATCHES, _JUDGED_DAYS, _NARROW, _WITHOUT_ACCENTS),)
"""Those at index n lead from version n to n + 1; SQL functions: `folded` and `first_key`."""
