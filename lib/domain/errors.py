"""The failures a user can meet, each one sentence: what failed, on which side, what to do.

    AggregatorError
    ├── ConfigError        the configuration or a command's words are wrong
    ├── ExtractionError    a database could not be read (says which side)
    │   ├── TransientError it may answer when asked again
    │   └── ContractError  it was read, but is not what the contract promises
    ├── BalanceError       the books do not tie; nothing is published
    ├── ReportError        the workbook could not be written or does not verify
    │   └── TakenError     another run is writing it
    ├── AuditError         the audit trail could not be written, read or trusted
    └── HistoryError       the record of the runs could not be read or written

Messages never carry a row's values, a connection string, SQL text or a driver's own words.
A message is a Portuguese template and its values, so that a screen can translate the template.
Knows nothing of the rest of the product.
"""


class AggregatorError(Exception):
    """An expected failure; its text is one sentence for the person at the screen."""

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template, values)
        self.template = template
        self.values = values

    def __str__(self) -> str:
        return self.template.format(**self.values)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.template, self.values)


class ConfigError(AggregatorError):
    """The configuration, or what was asked on the command line, cannot be used."""


class ExtractionError(AggregatorError):
    """A source database could not be reached or read; the template names the side."""


class TransientError(ExtractionError):
    """A source failed in a way that may heal by itself: a lost connection, a full server."""


class ContractError(ExtractionError):
    """A source answered with other columns or types than the contract has."""


class BalanceError(AggregatorError):
    """Some record is in two places or in none: the result must not be published."""


class AuditError(AggregatorError):
    """What is to be done cannot be written down, or what was written down was changed."""


class ReportError(AggregatorError):
    """The workbook could not be written, or a written one does not agree with itself."""


class TakenError(ReportError):
    """Another run is writing this report, which will be there without this one."""


class HistoryError(AggregatorError):
    """The record of the runs could not be read or written; reports do not depend on it."""


def _rebuild(
    kind: type[AggregatorError], template: str, values: dict[str, object]
) -> AggregatorError:
    return kind(template, **values)
