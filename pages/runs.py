"""Execuções: the history of runs, their trend, and the reports that still exist."""

from lib.ui import page, runs

site, admission = page.enter("runs")
page.announce(site, admission.merchants)
runs.banner(site, admission)
recorded = runs.read(site, admission)
runs.trend(recorded)
selected = runs.table(recorded, site.settings.zone)
if selected is not None:
    runs.detail(selected, site, admission)
