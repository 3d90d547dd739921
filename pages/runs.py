"""Execuções: the recorded runs, their trend, and their kept reports."""

from lib.ui import page, runs

site, admission = page.enter("runs")
page.announce(site)
runs.banner(site, admission)
recorded = runs.read(site, admission)
runs.trend(recorded)
selected = runs.table(recorded, site.settings.zone)
if selected is not None:
    runs.detail(selected, site, admission)
