"""Expected failures. Each message is one sentence: what failed, on which side, what to do.

    AggregatorError
    ├── ConfigError         invalid configuration or command-line arguments
    ├── ExtractionError     a source database cannot be reached or read; names the side
    │   ├── TransientError  a retry may succeed
    │   │   └── SnapshotError   only a retry from a new snapshot may succeed
    │   ├── CancelledError  this process has cancelled the read, because it ends
    │   └── ContractError   wrong columns, types or values
    ├── BalanceError        the books do not balance; nothing is published
    ├── ReportError         the workbook cannot be written or does not verify
    │   ├── TakenError      another run is writing it
    │   └── CopyError       a copy of it could not be made; the report itself is in place
    │       └── TransientCopyError  a retry may succeed
    ├── AuditError          the audit trail cannot be written, read or trusted
    ├── AccessError         the person lacks the role for an action
    └── HistoryError        the run history cannot be read or written

A message is a Portuguese template with values, so that a screen can translate the template. It
never contains a row's values, a connection string, SQL text or a driver's message.
"""


class AggregatorError(Exception):
    """An expected failure; its text is one sentence for the user."""

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template, values)
        self.template = template
        self.values = values

    def __str__(self) -> str:
        return self.template.format(**self.values)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.template, self.values)


class ConfigError(AggregatorError):
    """The configuration or the command-line arguments are invalid."""


class ExtractionError(AggregatorError):
    """A source database cannot be reached or read; the template names the side."""


class TransientError(ExtractionError):
    """A source failed, and a retry may succeed: a lost connection, a full server."""


class SnapshotError(TransientError):
    """A shared snapshot cannot be read to its end: a reload waits for its locks, or it is lost."""


class CancelledError(ExtractionError):
    """This process has cancelled the read, because it ends."""


class ContractError(ExtractionError):
    """A source returned columns, types or values that the contract excludes."""


class BalanceError(AggregatorError):
    """A record is counted twice or not at all; the result must not be published."""


class AuditError(AggregatorError):
    """An action cannot be recorded in the audit trail, or the trail was changed."""


class ReportError(AggregatorError):
    """The workbook cannot be written, or a written one is inconsistent."""


class TakenError(ReportError):
    """Another run is writing this report."""


class CopyError(ReportError):
    """A copy of the report could not be made; the report itself is in place."""


class TransientCopyError(CopyError):
    """A copy failed, and a retry may succeed: a lost connection, a server that is silent."""


class AccessError(AggregatorError):
    """The person lacks the role that an action needs."""


class HistoryError(AggregatorError):
    """The run history cannot be read or written; reports do not depend on it."""


def _rebuild(
    kind: type[AggregatorError], template: str, values: dict[str, object]
) -> AggregatorError:
    return kind(template, **values)
