"""Says what is likely wrong when results look wrong, and what `check` finds in the databases.

`notices` reads a finished reconciliation, for the page and the command line alike; `check` asks
the databases. Both answer in `Notice`s: a Portuguese template and its values, so that a screen
can translate it. A failure that would stop a run is raised as the run would raise it.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from lib import pipeline
from lib.analysis import books
from lib.database import source_checks
from lib.domain import column_arrays, outcomes, requests
from lib.domain import columns as c
from lib.domain.messages import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from lib.config.settings import Settings
    from lib.database.source_checks import Survey
    from lib.domain.outcomes import Finished
    from lib.domain.reconciliation import Reconciliation
    from lib.domain.requests import Request

_LAG: Final = timedelta(hours=1)
_CLOCK_SECONDS: Final = 60.0
# So few virtual numbers without a log may be chance.
_FEW: Final = 5

_EMPTY: Final = {
    "transactions": "O banco de transações não devolveu nenhum registro do período: confira o "
    "CNPJ, as datas e a carga do banco.",
    "auth_logs": "O banco de logs não devolveu nenhum registro do período: confira a carga do "
    "banco e a posição do CNPJ na linha recebida.",
}
_LAGS: Final = {
    "transactions": "As transações estão {hours} h atrás dos logs: vão até {behind:%d/%m %H:%M}, "
    "os logs até {ahead:%d/%m %H:%M}; parte das divergências ainda pode se resolver.",
    "auth_logs": "Os logs estão {hours} h atrás das transações: vão até {behind:%d/%m %H:%M}, "
    "as transações até {ahead:%d/%m %H:%M}; parte das transações sem log ainda pode se resolver.",
}
_NO_DAY: Final = {
    "transactions": "Nenhuma transação em um dia inteiro do período, {first:%d/%m/%Y}: "
    "confira a carga do banco de transações.",
    "auth_logs": "Nenhum log em um dia inteiro do período, {first:%d/%m/%Y}: "
    "confira a carga do banco de logs.",
}
_NO_DAYS: Final = {
    "transactions": "Nenhuma transação em {days} dias inteiros do período, o primeiro em "
    "{first:%d/%m/%Y}: confira a carga do banco de transações.",
    "auth_logs": "Nenhum log em {days} dias inteiros do período, o primeiro em "
    "{first:%d/%m/%Y}: confira a carga do banco de logs.",
}
_NO_VIRTUAL: Final = (
    "Nenhum dos {numbers} números virtuais das transações aparece nos logs: "
    "confira virtual_prefix_length (o prefixo a descartar)."
)
_NO_MERCHANT: Final = (
    "Há logs no período, mas nenhuma linha recebida contém o CNPJ {merchant}: "
    "confira o leiaute da mensagem (campo de 15 posições com zeros à esquerda)."
)
_ODD_CARDS: Final = (
    "{side}: números de cartão com espaços ou outros caracteres além de algarismos: {odd} de "
    "{rows}; eles só combinam com números escritos do mesmo jeito."
)
_END_OF_DAY: Final = (
    "{side}: horários 24:00:00, que o relatório mostra e compara como 00:00:00 do mesmo dia; se "
    "for o fim do dia, corrija-os na consulta (query_file): {odd} de {rows}."
)
_CLOCKS: Final = (
    "Os relógios dos dois servidores diferem em {seconds} s: acerte-os (NTP), pois as "
    "diferenças de tempo do relatório dependem deles."
)
_CONNECTED: Final = (
    "{side}: PostgreSQL {version}; consulta, colunas e permissões em ordem; registros no "
    "período: {rows}; relógio {drift:+.0f} s em relação a este computador."
)


def of_run(run: Finished) -> list[Notice]:
    """The same of a finished run; what only its rows tell is left out where they are elsewhere."""
    if isinstance(run, outcomes.Outcome):
        return notices(run.reconciliation)
    days = run.by_day[run.by_day["day"].notna()]
    counts = {"transactions": run.books.transactions, "auth_logs": run.books.logs}
    names = {"transactions": "transactions", "auth_logs": "logs"}
    found = [Notice(_EMPTY[side]) for side, rows in counts.items() if not rows]
    return found or _missing({s: list(days["day"][days[n] == 0]) for s, n in names.items()})


def notices(result: Reconciliation) -> list[Notice]:
    """What the reconciliation itself gives away, the most telling first."""
    counts = {"transactions": len(result.transaction_rows), "auth_logs": len(result.log_rows)}
    found = [Notice(_EMPTY[side]) for side, rows in counts.items() if not rows]
    if found:
        return found
    return [*_lag(result), *_missing_days(result), *_unmatched_virtual_numbers(result)]


def check(settings: Settings, asked: Request) -> list[Notice]:
    """Ask both databases, then read and match what is asked for. Raises AggregatorError."""
    found = ask(settings, asked)
    if any(notice.template == _NO_MERCHANT for notice in found):
        return found
    return [*found, *notices(pipeline.run(settings, asked).reconciliation)]


def ask(settings: Settings, asked: Request, user: str | None = None) -> list[Notice]:
    """Connect to both databases, as this user's rows, and look at the records of the period.

    Fetches none of them. Raises AggregatorError.
    """
    window = requests.Window(asked.merchant, asked.period.start, asked.period.end, user)
    surveys: dict[str, Survey] = {}
    found, drifts = [], []
    for side in requests.SIDES:
        surveyed = source_checks.survey(settings, side, window)
        drifts.append(surveyed.server_time - time.time())
        drift = round(drifts[-1]) + 0.0  # rounded as it is, a little less than nothing is "-0"
        surveys[side] = surveyed
        values = {"side": side, "version": surveyed.version, "rows": surveyed.rows, "drift": drift}
        found.append(Notice(_CONNECTED, values, serious=False))
        if surveyed.odd_cards:
            values = {"side": side, "odd": surveyed.odd_cards, "rows": surveyed.rows}
            found.append(Notice(_ODD_CARDS, values))
        if surveyed.end_of_day:
            values = {"side": side, "odd": surveyed.end_of_day, "rows": surveyed.rows}
            found.append(Notice(_END_OF_DAY, values))
    apart = abs(drifts[0] - drifts[1])
    if apart > _CLOCK_SECONDS:
        found.append(Notice(_CLOCKS, {"seconds": round(apart)}))
    if surveys["auth_logs"].rows == 0 and surveys["auth_logs"].any_merchant:
        found.append(Notice(_NO_MERCHANT, {"merchant": asked.merchant}))
    return found


def _lag(result: Reconciliation) -> list[Notice]:
    reached = books.coverage(result)
    bought, logged = reached.latest_transaction, reached.latest_log
    if result.period.end < result.period.today or bought is None or logged is None:
        return []
    behind, ahead = min(bought, logged), max(bought, logged)
    if ahead - behind <= _LAG:
        return []
    hours = round((ahead - behind).total_seconds() / 3600)
    side = "transactions" if behind == bought else "auth_logs"
    return [Notice(_LAGS[side], {"hours": hours, "behind": behind, "ahead": ahead})]


def _missing_days(result: Reconciliation) -> list[Notice]:
    reached, today = books.coverage(result), result.period.today
    # Today is no whole day yet.
    days = {
        "transactions": [day for day in reached.days_without_transactions if day < today],
        "auth_logs": [day for day in reached.days_without_logs if day < today],
    }
    return _missing(days)


def _missing(days: Mapping[str, Sequence[date]]) -> list[Notice]:
    return [
        Notice(_NO_DAY[side], {"first": missing[0]})
        if len(missing) == 1
        else Notice(_NO_DAYS[side], {"days": len(missing), "first": missing[0]})
        for side, missing in days.items()
        if missing
    ]


def _unmatched_virtual_numbers(result: Reconciliation) -> list[Notice]:
    numbers, present = column_arrays.token(result.transactions, c.TOKEN_VIRTUAL)
    presented, has_card = column_arrays.token(result.auth_logs, c.TOKEN_CARTAO)
    if present.sum() < _FEW or np.isin(numbers[present], presented[has_card]).any():
        return []
    return [Notice(_NO_VIRTUAL, {"numbers": int(present.sum())})]
