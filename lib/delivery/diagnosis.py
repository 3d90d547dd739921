"""Diagnose results that look wrong and the databases behind them.

`notices` examines a finished reconciliation, for the page and the command line; `check` queries the
databases. Both give `Notice`s. A failure that would stop a run is raised as in a run, after the
notices of the side that is in order.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from lib import pipeline
from lib.analysis import books
from lib.database import sides, source_checks
from lib.database.latest_day import latest_day as latest_day_of_side
from lib.domain import column_arrays, outcomes, requests
from lib.domain import columns as c
from lib.domain.messages import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from lib.config.settings import Settings
    from lib.database.source_checks import Survey
    from lib.domain.outcomes import Finished
    from lib.domain.reconciliation import Reconciliation
    from lib.domain.requests import Request, Side

_MAX_LAG: Final = timedelta(hours=1)
_MAX_CLOCK_SECONDS: Final = 60.0
# Fewer virtual numbers may be without a log by chance.
_MIN_VIRTUAL: Final = 5

EMPTY: Final = {
    "transactions": "O banco de transações não devolveu nenhum registro do período: confira o "
    "CNPJ, as datas e a carga do banco.",
    "auth_logs": "O banco de logs não devolveu nenhum registro do período: confira a carga do "
    "banco e a posição do CNPJ na linha recebida.",
}
LAGS: Final = {
    "transactions": "As transações estão {hours} h atrás dos logs: vão até {behind:%d/%m %H:%M}, "
    "os logs até {ahead:%d/%m %H:%M}; parte das divergências ainda pode se resolver.",
    "auth_logs": "Os logs estão {hours} h atrás das transações: vão até {behind:%d/%m %H:%M}, "
    "as transações até {ahead:%d/%m %H:%M}; parte das transações sem log ainda pode se resolver.",
}
NO_DAY: Final = {
    "transactions": "Nenhuma transação em um dia inteiro do período, {first:%d/%m/%Y}: "
    "confira a carga do banco de transações.",
    "auth_logs": "Nenhum log em um dia inteiro do período, {first:%d/%m/%Y}: "
    "confira a carga do banco de logs.",
}
NO_DAYS: Final = {
    "transactions": "Nenhuma transação em {days} dias inteiros do período, o primeiro em "
    "{first:%d/%m/%Y}: confira a carga do banco de transações.",
    "auth_logs": "Nenhum log em {days} dias inteiros do período, o primeiro em "
    "{first:%d/%m/%Y}: confira a carga do banco de logs.",
}
NO_VIRTUAL: Final = (
    "Nenhum dos {numbers} números virtuais das transações aparece nos logs: "
    "confira virtual_prefix_length (o prefixo a descartar)."
)
NO_MERCHANT: Final = (
    "Há logs no período, mas nenhuma linha recebida contém o CNPJ {merchant}: "
    "confira o leiaute da mensagem (campo de 15 posições com zeros à esquerda)."
)
ODD_CARDS: Final = (
    "{side}: números de cartão com espaços ou outros caracteres além de algarismos: {odd} de "
    "{rows}; eles só combinam com números escritos do mesmo jeito."
)
ODD_VIRTUAL: Final = (
    "{side}: números virtuais com espaços ou outros caracteres além de algarismos, já sem o "
    "prefixo: {odd} de {rows}; eles só combinam com números escritos do mesmo jeito."
)
OTHER_LENGTH: Final = (
    "{side}: números virtuais que, sem o prefixo, têm outro comprimento que o cartão: {odd} de "
    "{rows}; confira virtual_prefix_length (o prefixo a descartar)."
)
SPACED_CODES: Final = (
    "{side}: códigos de resposta com espaços: {odd} de {rows}; eles não contam como aprovados. "
    "Retire os espaços na consulta (query_file)."
)
FOREIGN: Final = (
    "{side}: a tabela {name} fica em outro servidor, onde a leitura não consegue travá-la; não a "
    "recarregue com TRUNCATE durante uma leitura."
)
END_OF_DAY: Final = (
    "{side}: horários 24:00:00, que o relatório mostra e compara como 00:00:00 do mesmo dia; se "
    "for o fim do dia, corrija-os na consulta (query_file): {odd} de {rows}."
)
CLOCKS: Final = (
    "Os relógios dos dois servidores diferem em {seconds} s: acerte-os (NTP), pois as "
    "diferenças de tempo do relatório dependem deles."
)
CONNECTED: Final = (
    "{side}: PostgreSQL {version}; consulta, colunas e permissões em ordem; registros no "
    "período: {rows}; relógio {drift:+.0f} s em relação a este computador."
)


def notices_of_run(run: Finished) -> list[Notice]:
    """`notices` of a finished run; without rows in memory, only those that its books allow."""
    if isinstance(run, outcomes.Outcome):
        return notices(run.reconciliation)
    days = run.by_day.drop_null().to_pylist()
    names = {"transactions": "transactions", "auth_logs": "logs"}
    empty = _empty({"transactions": run.books.transactions, "auth_logs": run.books.logs})
    missing = {s: [d["day"] for d in days if not d[n]] for s, n in names.items()}
    return empty or _missing(run.request.period, missing)


def notices(result: Reconciliation) -> list[Notice]:
    """Infer likely problems of the sources from a reconciliation, the most significant first."""
    rows = {"transactions": len(result.transaction_rows), "auth_logs": len(result.log_rows)}
    if empty := _empty(rows):
        return empty
    coverage = books.coverage(result)
    return [
        *_lag(result.period, coverage),
        *_missing_days(result.period, coverage),
        *_unmatched_virtual_numbers(result),
    ]


def check(settings: Settings, request: Request) -> Iterator[Notice]:
    """Check both databases, then read and match the request. Raises AggregatorError."""
    known = True
    for notice in check_sources(settings, request):
        yield notice
        known = known and notice.template != NO_MERCHANT
    if known:
        yield from notices(pipeline.run(settings, request).reconciliation)


def check_sources(
    settings: Settings, request: Request, user: str | None = None
) -> Iterator[Notice]:
    """Connect to both databases and examine the period's records that this user may see.

    Fetches no record. Raises AggregatorError, after the notices of a side that is in order.
    """
    window = requests.Window(request.merchant, request.period.start, request.period.end, user)

    def survey_of(side: Side) -> tuple[Survey, float]:
        survey = source_checks.survey(settings, side, window)
        return survey, survey.server_time - time.time()

    surveys, failure = sides.attempted(survey_of)
    for side, (survey, drift) in surveys.items():
        shown = round(drift) + 0.0  # -0.0 would be shown with its sign
        values = {"side": side, "version": survey.version, "rows": survey.rows, "drift": shown}
        yield Notice(CONNECTED, values, serious=False)
        for template, odd in (
            (ODD_CARDS, survey.odd_cards),
            (ODD_VIRTUAL, survey.odd_virtual),
            (OTHER_LENGTH, survey.other_length),
            (SPACED_CODES, survey.spaced_codes),
            (END_OF_DAY, survey.end_of_day),
        ):
            if odd:
                yield Notice(template, {"side": side, "odd": odd, "rows": survey.rows})
        for name in survey.foreign:
            yield Notice(FOREIGN, {"side": side, "name": name})
    if failure:
        raise failure
    (_, first), (logs, second) = surveys.values()
    if abs(first - second) > _MAX_CLOCK_SECONDS:
        yield Notice(CLOCKS, {"seconds": round(abs(first - second))})
    if logs.rows == 0 and logs.any_merchant:
        yield Notice(NO_MERCHANT, {"merchant": request.merchant})


def latest_day(settings: Settings, request: Request, first: date, user: str | None) -> date | None:
    """Return the latest day from ``first`` to today with a record of the request's merchant.

    Of either side; None without one. Raises AggregatorError.
    """
    window = requests.Window(request.merchant, first, request.period.today, user)
    days = sides.each(lambda side: latest_day_of_side(settings, side, window))
    return max((day for day in days.values() if day is not None), default=None)


def _empty(rows: Mapping[str, int]) -> list[Notice]:
    return [Notice(EMPTY[side]) for side, count in rows.items() if not count]


def _lag(period: requests.Period, coverage: books.Coverage) -> list[Notice]:
    transactions, logs = coverage.latest_transaction, coverage.latest_log
    if period.end < period.today or transactions is None or logs is None:
        return []
    behind, ahead = min(transactions, logs), max(transactions, logs)
    if ahead - behind <= _MAX_LAG:
        return []
    hours = round((ahead - behind).total_seconds() / 3600)
    side = "transactions" if behind == transactions else "auth_logs"
    return [Notice(LAGS[side], {"hours": hours, "behind": behind, "ahead": ahead})]


def _missing_days(period: requests.Period, coverage: books.Coverage) -> list[Notice]:
    days = {
        "transactions": coverage.days_without_transactions,
        "auth_logs": coverage.days_without_logs,
    }
    return _missing(period, days)


def _missing(period: requests.Period, days: Mapping[str, Sequence[date]]) -> list[Notice]:
    # Today is not complete yet.
    whole = {side: [day for day in of_side if day < period.today] for side, of_side in days.items()}
    return [
        Notice(NO_DAY[side], {"first": missing[0]})
        if len(missing) == 1
        else Notice(NO_DAYS[side], {"days": len(missing), "first": missing[0]})
        for side, missing in whole.items()
        if missing
    ]


def _unmatched_virtual_numbers(result: Reconciliation) -> list[Notice]:
    if result.pair_virtual.any():  # cheaper than to compare the cards of both sides
        return []
    numbers, present = column_arrays.token(result.transactions, c.TOKEN_VIRTUAL)
    presented, has_card = column_arrays.token(result.auth_logs, c.TOKEN_CARTAO)
    if present.sum() < _MIN_VIRTUAL:
        return []
    if len(column_arrays.common(numbers[present], presented[has_card])):
        return []
    return [Notice(NO_VIRTUAL, {"numbers": int(present.sum())})]
