"""Resumo, the landing page: the period's figures, its books, and the latest record of each side."""

from lib.dashboard import view_cache
from lib.ui import overview, page, source_check

view = page.open_page("overview")
figures, books = view_cache.overview_of(view.dataset), view.dataset.outcome.books
overview.notices(view.dataset.outcome.reconciliation)
overview.metrics(figures, books)
overview.balance(books)
overview.attention(figures, view.dataset.outcome.reconciliation)
overview.by_day(view.dataset.outcome.by_day, books)
overview.reach(figures)
source_check.check(view)
