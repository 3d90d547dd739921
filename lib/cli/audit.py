"""`python aggregator.py audit`: checks the trail against its seals, and against workbooks.

Needs no configuration where the file is named. Prints figures, never a record.
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

_BAD_ANCHOR: Final = "A âncora {text} não serve: ela se escreve número:selo, como na planilha."
_NO_ANCHOR: Final = "{file} não traz a âncora da auditoria: foi gerada sem auditoria, ou alterada."
_OFF: Final = "A configuração não guarda auditoria; dê o arquivo no comando."
_DAMAGED: Final = "A auditoria {file} não está íntegra: {problem}"
_UNENDED: Final = (
    "Sem fim registrado: {count} (em curso, interrompidos com o processo, ou não entregues); o "
    "último começa no registro {last}."
)
_EDITED: Final = "{file} não é, byte a byte, uma planilha que a auditoria registrou."


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
    """Find edits, deletions, swaps and, by workbooks and anchors, a cut-off end."""
    from lib.security import audit_events, audit_trail

    path, key = _files(file, key_file, config)
    anchors = [(str(book), _of_workbook(book)) for book in workbook or ()]
    anchors += [(text, _of_text(text)) for text in anchor or ()]
    told = audit_events.Told()
    found = audit_trail.verify(path, key, anchors, told.see)
    typer.echo(f"Arquivo: {path}")
    typer.echo(f"Registros: {found.records}")
    if found.records:
        typer.echo(f"De {found.first} a {found.last} (UTC)")
    problems = [*found.problems, *_edited(workbook or (), told.digests)]
    for problem in problems:
        typer.echo(f"Atenção: {problem}")
    if problems:
        raise AuditError(_DAMAGED, file=path, problem=problems[0])
    if told.unended:
        typer.echo(_UNENDED.format(count=len(told.unended), last=next(reversed(told.unended))))
    typer.echo(f"Âncoras conferidas: {len(anchors)}")
    typer.echo("A auditoria está íntegra.")


def _files(file: Path | None, key_file: Path | None, config: Path | None) -> tuple[Path, Path]:
    from lib.config import loader as configuration
    from lib.config.settings import Audit

    if file is not None:
        return file, key_file or file.with_name(f"{file.name}.key")
    configured = configuration.load(config).audit if configuration.exists(config) else Audit()
    if configured.path is None or configured.key is None:
        raise AuditError(_OFF)
    return configured.path, key_file or configured.key


def _of_text(text: str) -> Anchor:
    from lib.security import audit_trail

    found = audit_trail.anchor(text)
    if found is None:
        raise AuditError(_BAD_ANCHOR, text=text[:80])
    return found


def _of_workbook(file: Path) -> Anchor:
    from lib.reports import verification

    text = verification.properties(file).get(verification.AUDITORIA)
    if text is None:
        raise AuditError(_NO_ANCHOR, file=file)
    return _of_text(text)


def _edited(workbooks: Sequence[Path], recorded: Set[str]) -> Iterator[str]:
    """A sentence for each workbook whose anchor may be right and whose content nobody recorded."""
    for book in workbooks:
        with book.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() not in recorded:
                yield _EDITED.format(file=book)
