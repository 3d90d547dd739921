"""Some days of a data set: its figures, its identity, and its memory."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal

from lib.analysis import books
from lib.dashboard.dataset_parts import part
from lib.dashboard.dataset_store import Dataset, Key, Rights
from lib.domain.outcomes import Outcome
from lib.domain.requests import Period, Request, Rule
from lib.matching.reconcile import reconcile
from tests.support.tables import Log, Transaction, logs_table, transactions_table

FIRST = date(2026, 3, 2)
SECOND = FIRST + timedelta(days=1)


def dataset() -> Dataset:
    """Two purchases on the first day and one on the second, each with its log."""
    request = Request("12345678000190", Period(FIRST, SECOND, date(2026, 12, 31)), Rule())
    bought = [
        Transaction(None, f"400000{n}", None, on, time(9), Decimal(1))
        for n, on in enumerate((FIRST, FIRST, SECOND))
    ]
    logged = [Log(t.card, t.day, t.time) for t in bought]
    result = reconcile(transactions_table(bought), logs_table(logged), request.period, request.rule)
    outcome = Outcome(
        request=request,
        merchant_name="Loja Exemplo",
        clear=False,
        extracted_at=datetime(2026, 3, 4, 6),  # noqa: DTZ001
        books=books.books(result),
        by_day=books.balance_by_day(result),
        reconciliation=result,
    )
    return Dataset(Key(request, Rights()), outcome)


def test_a_part_has_the_figures_of_its_days_and_the_key_of_the_whole() -> None:
    whole = dataset()

    first = part(whole, FIRST, FIRST)

    assert first.outcome.books.consolidated == 2
    assert first.outcome.by_day.to_pylist() == whole.outcome.by_day.to_pylist()[:1]
    assert first.key == whole.key
    assert first.version not in (whole.version, part(whole, SECOND, SECOND).version)


def test_a_part_is_kept_with_its_data_set_and_counts_in_its_memory() -> None:
    whole = dataset()
    before = whole.derived.size_bytes

    first = part(whole, FIRST, FIRST)

    assert part(whole, FIRST, FIRST) is first
    assert whole.derived.size_bytes > before


def test_all_days_are_the_data_set_itself() -> None:
    whole = dataset()

    assert part(whole, FIRST, SECOND) is whole
