"""What the command line's `run` does: one report, or one for each merchant, and what it says.

Standard output is the result, standard error the progress and the notices. One merchant that
fails does not stop the others. Parses nothing and owns no exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from lib.cli import progress, run_log
from lib.config import defaults
from lib.delivery import delivery, diagnosis
from lib.domain.errors import AggregatorError, ConfigError, ReportError
from lib.domain.messages import counted, thousands
from lib.reports import retention

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.domain.outcomes import Finished
    from lib.domain.requests import Request
    from lib.reports.publish import Written

# By whether one failed, and by how many were completed all the same: none, one (1) or more (2).
_FAILED: Final = {
    (True, 1): "1 de 2 estabelecimentos falhou ({names}); o outro foi concluído.",
    (True, 2): "1 de {total} estabelecimentos falhou ({names}); os outros foram concluídos.",
    (False, 0): "Os {total} estabelecimentos falharam ({names}).",
    (False, 1): "{failed} de {total} estabelecimentos falharam ({names}); o outro foi concluído.",
    (False, 2): "{failed} de {total} estabelecimentos falharam ({names}); os outros foram "
    "concluídos.",
}


@dataclass(frozen=True)
class Job:
    """What a command asks for; a merchant that is None is the configuration's default.

    ``period`` and ``rule`` are arguments of `defaults.request`; ``silent`` shows no progress.
    """

    merchants: tuple[str | None, ...]
    period: Mapping[str, Any]
    rule: Mapping[str, Any]
    output: Path
    dry_run: bool = False
    silent: bool = False


def run(settings: Settings, job: Job) -> None:
    """Deliver each merchant's report. Raises AggregatorError, with several merchants at the end.

    With several, one that fails does not stop the others.
    """
    today = defaults.local_today(settings)
    asked = [
        defaults.request(settings, today, merchant=merchant, **job.period, **job.rule)
        for merchant in job.merchants
    ]
    _require_names(settings, asked, job)
    failed = []
    for request in asked:
        try:
            _one(settings, request, job)
        except Exception as problem:  # noqa: BLE001 nor does a bug that one merchant's records meet
            if len(asked) == 1 or _is_of_standard_output(problem):
                raise
            name = settings.merchants[request.merchant]
            failed.append(name)
            said = delivery.message(problem)
            sys.stderr.write(f"{name} ({request.merchant}): {said}\n")
            run_log.event(f"falha: {said}", merchant=request.merchant, outcome="falhou")
            if not isinstance(problem, AggregatorError):
                run_log.unexpected(problem)
    if failed:
        raise ReportError(
            _FAILED[len(failed) == 1, min(len(asked) - len(failed), 2)],
            failed=len(failed),
            total=len(asked),
            names=", ".join(failed),
        )


def _is_of_standard_output(problem: Exception) -> bool:
    return isinstance(problem, OSError) and problem.filename is None


def _one(settings: Settings, asked: Request, job: Job) -> None:
    period = asked.period
    # The name, as a CNPJ that could be a card number is taken out of the log.
    name = settings.merchants[asked.merchant]
    run_log.event(
        f"início: {name} ({asked.merchant}), {period.start} a {period.end}, "
        f"regra {asked.rule.name}",
        merchant=asked.merchant,
        start=period.start,
        end=period.end,
        rule=asked.rule.name,
    )
    clear = settings.privacy.report == "clear"
    with progress.tell(silent=job.silent) as show, run_log.stages(show) as told:
        if job.dry_run:
            outcome = delivery.rehearse(settings, asked, clear=clear, progress=told)
        else:
            delivered = delivery.deliver(settings, asked, job.output, clear=clear, progress=told)
            outcome = delivered.outcome
    for notice in diagnosis.of_run(outcome):
        sys.stderr.write(f"Atenção: {notice}\n")
    if job.dry_run:
        _print_outcome(outcome)
        typer.echo("Ensaio concluído; nenhuma planilha foi gravada.")
        return
    run_log.event(
        f"concluída: {', '.join(map(_told, delivered.written))}",
        merchant=asked.merchant,
        outcome="concluída",
        file=delivered.written[0].path,
        sha256=delivered.written[0].sha256,
        **{name: getattr(outcome.books, name) for name in vars(outcome.books)},
    )
    _print_outcome(outcome, [written.path for written in delivered.written])
    for written in delivered.written:
        typer.echo(f"Planilha '{written.path.name}' gerada com sucesso.")


def _told(written: Written) -> str:
    return f"{written.path}, {written.size_bytes} bytes, sha256 {written.sha256}"


def _require_names(settings: Settings, asked: list[Request], job: Job) -> None:
    """No two merchants of one run under one name."""
    names = {retention.target(job.output, request) for request in asked}
    folders = {retention.result_folder(settings, r, retention.target(job.output, r)) for r in asked}
    if job.dry_run:
        return
    if len(names) < len(asked):
        raise ConfigError(
            "Com --all-merchants o nome do arquivo precisa de {{merchant}}, como em "
            "{example}: ajuste output_path ou --output.",
            example=f"{job.output.stem}_{{merchant}}{job.output.suffix}",
        )
    if len(folders) < len(asked):
        raise ConfigError(
            "Com --all-merchants o result_dir de [aggregator.engine] precisa de {{merchant}}."
        )


def _print_outcome(outcome: Finished, paths: Sequence[Path] = ()) -> None:
    books, period = outcome.books, outcome.request.period
    lines = {
        "Estabelecimento": f"{outcome.merchant_name} ({outcome.request.merchant})",
        "Período": f"{period.start:%d/%m/%Y} a {period.end:%d/%m/%Y}",
        "Transações": f"{thousands(books.transactions)} = "
        f"{counted(books.consolidated, 'consolidada', 'consolidadas')} + "
        f"{thousands(books.without_log)} sem log + "
        f"{counted(books.duplicates, 'duplicada removida', 'duplicadas removidas')}",
        "Logs": f"{thousands(books.logs)} = "
        f"{counted(books.logs_matched, 'conciliado', 'conciliados')} + "
        f"{counted(books.divergences, 'divergente', 'divergentes')}",
    }
    for name, value in lines.items():
        typer.echo(f"{name}: {value}")
    for path in paths:
        typer.echo(f"Arquivo: {path}")
