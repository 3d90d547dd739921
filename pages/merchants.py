"""Estabelecimentos: last run, match rate and cases of each merchant, side by side."""

from lib.ui import merchants, page

site, admission = page.enter("merchants")
page.announce(site, admission.merchants)
merchants.show(site, admission)
