"""Resumo, the landing page: the figures of the period, the books, and how far the data reach."""

from lib import cached
from lib.ui import frame, headline, sources

view = frame.open_page("overview")
figures, books = cached.overview(view.dataset), view.dataset.outcome.books
headline.notices(view.dataset.outcome.reconciliation)
headline.metrics(figures, books)
headline.balance(books)
headline.attention(figures, view.dataset.outcome.reconciliation)
headline.by_day(view.dataset.outcome.by_day, books)
headline.reach(figures)
sources.check(view)
