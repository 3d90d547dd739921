"""The command `audit`: verifies the trail's seals, and workbooks against the trail.

Needs no configuration if the file is given. Prints figures, never a record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lib.domain.errors import AuditError

if TYPE_CHECKING:
    from lib.security.audit_trail import Anchor

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, help="Check the audit trail.", no_args_is_help=True
)

BAD_ANCHOR: Final = "A âncora {text} é inválida: o formato é número:selo, como na planilha."
NO_ANCHOR: Final = "{file} não traz a âncora da auditoria: foi gerada sem auditoria, ou alterada."
NO_AUDIT: Final = "A configuração não guarda auditoria; dê o arquivo no comando."
DAMAGED: Final = "A auditoria {file} não está íntegra: {problem}"
UNENDED: Final = (
    "Sem fim registrado: {count} (em curso, interrompidos com o processo, ou não entregues); o "
    "último começa no registro {last}."
)
INTACT: Final = "A auditoria está íntegra."
EDITED: Final = "{file} não é, byte a byte, uma planilha que a auditoria registrou."


@app.callback()
def audit() -> None:
    """Check the audit trail."""


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="The trail; the configured one.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="Its key; the file's name + .key.")] = None,
    workbook: Annotated[
        list[Path] | None, typer.Option(help="A workbook the trail must account for; repeatable.")
    ] = None,
    anchor: Annotated[
        list[str] | None, typer.Option(help="An anchor (number:seal) it must hold; repeatable.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with an [aggregator] table.")
    ] = None,
) -> None:
    """Detect edits, deletions, swaps and, with workbooks or anchors, a truncated end."""
    from lib.security import audit_events, audit_trail

    path, key = _trail_and_key(file, key_file, config)
    anchors = [(str(book), _workbook_anchor(book)) for book in workbook or ()]
    anchors += [(text, _parse_anchor(text)) for text in anchor or ()]
    summary = audit_events.TrailSummary()
    result = audit_trail.verify(path, key, anchors, summary.add)
    typer.echo(f"Arquivo: {path}")
    typer.echo(f"Registros: {result.records}")
    if result.records:
        typer.echo(f"De {result.first} a {result.last} (UTC)")
    problems = [*result.problems, *_edited(workbook or (), summary.digests)]
    for problem in problems:
        typer.echo(f"Atenção: {problem}")
    if problems:
        raise AuditError(DAMAGED, file=path, problem=problems[0])
    if summary.unended:
        last = next(reversed(summary.unended))
        typer.echo(UNENDED.format(count=len(summary.unended), last=last))
    typer.echo(f"Âncoras conferidas: {len(anchors)}")
    typer.echo(INTACT)


def _trail_and_key(
    file: Path | None, key_file: Path | None, config: Path | None
) -> tuple[Path, Path]:
    from lib.config import loader

    if file is not None:
        return file, key_file or file.with_name(f"{file.name}.key")
    configured = loader.load_audit(config)
    if configured.path is None or configured.key is None:
        raise AuditError(NO_AUDIT)
    return configured.path, key_file or configured.key


def _parse_anchor(text: str) -> Anchor:
    from lib.security import audit_trail

    anchor = audit_trail.parse_anchor(text)
    if anchor is None:
        raise AuditError(BAD_ANCHOR, text=text[:80])
    return anchor


def _workbook_anchor(file: Path) -> Anchor:
    from lib.reports import description, verification

    text = verification.properties(file).get(description.AUDITORIA)
    if text is None:
        raise AuditError(NO_ANCHOR, file=file)
    return _parse_anchor(text)


def _edited(workbooks: Sequence[Path], recorded: Set[str]) -> Iterator[str]:
    """A sentence for each workbook whose content is not recorded, even if its anchor is."""
    for book in workbooks:
        with book.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() not in recorded:
                yield EDITED.format(file=book)
