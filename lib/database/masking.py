"""Build the SQL that masks and tokenises, so that clear values never leave the servers.

Each function takes and returns SQL expressions; `transactions` and `auth_logs` wrap a source
query. Bound parameters stay parameters (``:key`` is the token key). Executes nothing.
Source of the rules: PCI DSS 3.4.1 allows the display of a card's first six and last four digits,
and 3.5.1.1 requires a key in any hash of a card number.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from lib.domain import columns as c
from lib.domain import masks

if TYPE_CHECKING:
    from lib.database.column_types import Layout

EXCEL_CELL: Final = 32_767
"""Characters that a cell holds; texts keep one more, so that the workbook can mark a cut."""
DECIMALS: Final = "decimals"
"""Replaces an amount with more than two decimals; not a number, so that reading it fails."""
_BLANKS: Final = r"E' \t\n\r'"

_LEAST: Final = 11
# True for all of the groups, and cheaper than a regular expression: in hexadecimal, three times
# three bytes from 0x30 to 0x3f (up to 0x39 the digits), or the start of a full-width digit.
_THREE_RUNS: Final = "'" + 3 * "%3_3_3_" + "%'"
_FULL_WIDTH: Final = r"'\x25efbc25'::bytea"

_NO_ASCII: Final = r"[^\u0001-\u007f]+"

# The ten ASCII digits; a text of which these are trimmed to nothing has no other character.
_DIGITS: Final = r"'\x30313233343536373839'::bytea"


def card(value: str) -> str:
    """Show the first 6 and last 4 digits; below 13 digits only the last 4, below 9 none.

    NULL for blanks.
    """
    digits = _digits(value)
    return (
        f"CASE WHEN octet_length({value}) >= 13 AND {_is_digits(value)}"
        f" THEN {_ends(value)}"
        f" WHEN {value} <> '' THEN CASE WHEN length({digits}) >= 13 THEN {_ends(digits)}"
        f" WHEN length({digits}) >= 9 THEN '******' || right({digits}, 4) ELSE '******' END END"
    )


def cpf(value: str) -> str:
    """Show ``***.456.789-**``, or asterisks only unless there are exactly 11 digits.

    NULL for blanks.
    """
    digits = _digits(value)
    return (
        f"CASE WHEN octet_length({value}) = 11 AND {_is_digits(value)} THEN {_middle(value)}"
        f" WHEN {value} <> '' THEN CASE WHEN length({digits}) = 11 THEN {_middle(digits)}"
        " ELSE '***********' END END"
    )


def text(value: str, *, utf8: bool = True) -> str:
    """Replace every run of digits that could be a card number or a CPF by six asterisks.

    In a database of another encoding (``utf8`` false) the server's regular expressions know no
    Unicode signs or digits: a text with such a number loses its letters outside ASCII.
    """
    stored = _utf8(value)
    if not utf8:
        plain = f"regexp_replace({value}, '{_NO_ASCII}', ' ', 'g')"
        return (
            f"CASE WHEN octet_length({value}) < {_LEAST} THEN {value}"
            f" WHEN {stored} LIKE {_FULL_WIDTH} OR {plain} ~ '{masks.LONG_RUNS}'"
            f" THEN regexp_replace({plain}, '{masks.LONG_RUNS}', '******', 'g') ELSE {value} END"
        )
    return (
        f"CASE WHEN octet_length({value}) < {_LEAST} THEN {value}"
        f" WHEN encode({stored}, 'hex') LIKE {_THREE_RUNS} OR {stored} LIKE {_FULL_WIDTH}"
        f" THEN regexp_replace({value}, '{masks.LONG_RUNS}', '******', 'g') ELSE {value} END"
    )


def merchant(value: str, *, utf8: bool = True) -> str:
    """Mask a merchant field as a text unless it is the requested CNPJ."""
    return f"CASE WHEN {value} = :merchant THEN {value} ELSE {text(value, utf8=utf8)} END"


def token(value: str) -> str:
    """The first 8 bytes of sha256(key || value) as 16 hexadecimal digits; NULL for blanks."""
    return (
        f"CASE WHEN {value} <> ''"
        f" THEN encode(substr(sha256(:key || {_utf8(value)}), 1, 8), 'hex') END"
    )


def virtual_number(value: str, prefix_length: int | str) -> str:
    """Drop the prefix of a virtual card number; ``auto`` drops 6 characters above 19."""
    if prefix_length == "auto":
        return (
            f"CASE WHEN length({value}) > 19 AND length({_stripped(value)}) > 19"
            f" THEN substr(ltrim({value}, {_BLANKS}), 7) ELSE {value} END"
        )
    return f"substr({value}, {int(prefix_length) + 1})"


def amount(value: str, layout: Layout) -> str:
    """Convert an amount of the layout's type to decimal.

    Floats are converted through their shortest text. An amount with more than two decimals becomes
    `DECIMALS`.
    """
    if layout.cents:
        return f"{value}::numeric(18,2)"
    exact = f"{value}::numeric" if layout.money else f"{value}::text::numeric"
    return (
        f"CASE WHEN {exact} <> round({exact}, 2) THEN '{DECIMALS}'"
        f" ELSE {exact}::numeric(18,2)::text END"
    )


def within(day: str, layout: Layout) -> str:
    """The condition that excludes the day added by `column_types.widened`."""
    return f" WHERE ({day}::date = :beyond) IS NOT TRUE" if layout.instants else ""


def transactions(query: str, layout: Layout, *, clear: bool, prefix_length: int | str) -> str:
    """Wrap the transactions query: columns as in `columns.TRANSACTIONS`, times in seconds."""
    q = {name: f"q.{name}" for name in c.TRANSACTIONS_QUERY}
    cards = {name: q[name] + "::text" for name in (c.NUM_CPF, c.NUM_CARTAO)}
    virtual = virtual_number(f"{q[c.NUM_CARTAO_VIRTUAL]}::text", prefix_length)
    inner = (
        f"SELECT {cards[c.NUM_CPF]} AS {c.NUM_CPF}, {cards[c.NUM_CARTAO]} AS {c.NUM_CARTAO},"
        f" {virtual} AS {c.NUM_CARTAO_VIRTUAL}, {q[c.DATA_TRANSA]}::date AS {c.DATA_TRANSA},"
        f" {_seconds(q[c.HORA_TRANSA])} AS {c.HORA_TRANSA},"
        f" {amount(q[c.VLR_TOTAL], layout)} AS {c.VLR_TOTAL},"
        f" {q[c.DES_CNPJ_REDUZIDO]}::text AS {c.DES_CNPJ_REDUZIDO}"
        f" FROM (\n{query}\n) AS q{within(q[c.DATA_TRANSA], layout)}"
    )
    show_cpf, show_card, show_merchant = (
        (_plain, _plain, _plain) if clear else (cpf, card, partial(merchant, utf8=layout.utf8))
    )
    shown = {
        c.NUM_CPF: show_cpf(f"m.{c.NUM_CPF}"),
        c.NUM_CARTAO: show_card(f"m.{c.NUM_CARTAO}"),
        c.NUM_CARTAO_VIRTUAL: show_card(f"m.{c.NUM_CARTAO_VIRTUAL}"),
        c.DES_CNPJ_REDUZIDO: show_merchant(f"m.{c.DES_CNPJ_REDUZIDO}"),
        c.TOKEN_CARTAO: token(f"m.{c.NUM_CARTAO}"),
        c.TOKEN_VIRTUAL: token(f"m.{c.NUM_CARTAO_VIRTUAL}"),
        c.TOKEN_CPF: token(f"m.{c.NUM_CPF}"),
    }
    return _select(c.TRANSACTIONS, shown, inner)


def auth_logs(query: str, layout: Layout, *, clear: bool) -> str:
    """Wrap the log query: columns as in `columns.AUTH_LOGS` or its clear variant."""
    inner = (
        f"SELECT q.{c.NUM_CARTAO}::text AS {c.NUM_CARTAO}, q.{c.DATA}::date AS {c.DATA},"
        f" {_seconds(f'q.{c.HORA}')} AS {c.HORA}, q.{c.COD_RESPOSTA}::text AS {c.COD_RESPOSTA},"
        f" q.{c.DES_LOG}::text AS {c.DES_LOG},"
        f" q.{c.DES_LINHA_RECEBIMENTO}::text AS {c.DES_LINHA_RECEBIMENTO}"
        f" FROM (\n{query}\n) AS q{within(f'q.{c.DATA}', layout)}"
    )
    show_card, show_text = (_plain, _plain) if clear else (card, partial(text, utf8=layout.utf8))
    shown = {
        c.NUM_CARTAO: show_card(f"m.{c.NUM_CARTAO}"),
        c.COD_RESPOSTA: show_text(f"m.{c.COD_RESPOSTA}"),
        c.DES_LOG: _bounded(f"m.{c.DES_LOG}", show_text(f"m.{c.DES_LOG}")),
        c.DES_LINHA_RECEBIMENTO: _bounded(
            f"m.{c.DES_LINHA_RECEBIMENTO}", f"m.{c.DES_LINHA_RECEBIMENTO}"
        ),
        c.TOKEN_CARTAO: token(f"m.{c.NUM_CARTAO}"),
    }
    return _select(c.AUTH_LOGS_CLEAR if clear else c.AUTH_LOGS, shown, inner)


def _stripped(value: str) -> str:
    return f"btrim({value}, {_BLANKS})"


def _select(names: tuple[str, ...], shown: dict[str, str], inner: str) -> str:
    columns = ", ".join(f"{shown.get(name, f'm.{name}')} AS {name}" for name in names)
    # PostgreSQL never merges a subquery with a WITH clause into the query around it: merged, each
    # mention of ``m.`` would compute its value again. Unlike OFFSET 0 it stops neither the engines'
    # conditions on the way to an index nor a parallel plan. The clause itself costs nothing.
    return f"SELECT {columns} FROM (WITH unused AS (SELECT) {inner}) AS m"


def _plain(value: str) -> str:
    return value


def _utf8(value: str) -> str:
    """A text's bytes in UTF-8.

    In a session whose client_encoding is UTF8 (`lib.database.sessions` verifies it) the same as
    ``convert_to(value, 'UTF8')``, at a quarter of the cost.
    """
    return f"textsend({value})"


def _is_digits(value: str) -> str:
    """Check if a text has digits only; cheaper than a regular expression."""
    return f"btrim({_utf8(value)}, {_DIGITS}) = ''"


def _digits(value: str) -> str:
    return f"regexp_replace({value}, '[^0-9]', '', 'g')"


def _ends(digits: str) -> str:
    return f"left({digits}, 6) || '******' || right({digits}, 4)"


def _middle(digits: str) -> str:
    return f"'***.' || substr({digits}, 4, 3) || '.' || substr({digits}, 7, 3) || '-**'"


def _seconds(value: str) -> str:
    """Convert a time to whole seconds after midnight, without fractions."""
    return f"floor(date_part('epoch', {value}::time))::int % 86400"


def _bounded(stored: str, shown: str) -> str:
    """Cut the shown text to one character more than a cell holds."""
    return (
        f"CASE WHEN octet_length({stored}) > {EXCEL_CELL}"
        f" THEN left({shown}, {EXCEL_CELL + 1}) ELSE {shown} END"
    )
