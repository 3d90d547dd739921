"""Auditoria: the audit trail of sign-ins, views, exports and runs; for auditors only."""

from lib.ui import audit, guard, page

site, admission = page.enter("audit", guard.admit_auditor)
path, key = audit.files(site)
audit.check(path, key)
audit.records(path)
