"""Seus bancos: the way from two logins to one's own data, and the configuration in use."""

from lib.ui import page, setup

site, admission = page.enter("setup")
setup.steps()
setup.sources(site, admission)
setup.sign_in(site)
