"""Gráficos: the period by day, weekday and hour, response code, join and time difference."""

from lib.charts import period
from lib.dashboard import view_cache
from lib.ui import chart_view, page

view = page.open_page("charts")
series, language = view_cache.series_of(view.dataset), chart_view.language()
chart_view.show(
    {
        "purchases": period.purchases(series.timeline, language),
        "amount": period.amount(series.timeline, language),
        "rate": period.rate(series.timeline, language),
        "joins": period.joins(series.timeline, language),
        "weekday_and_hour": period.weekday_and_hour(series.weekdays_and_hours, language),
        "response_codes": period.response_codes(
            series.response_codes, view.request.rule.approved_codes, language
        ),
        "time_difference": period.time_difference(
            series.time_difference, series.median_distance, language
        ),
    }
)
