"""The `run` command: one report, or one for each merchant, and its output.

Results go to standard output, progress and notices to standard error. Parses no arguments and owns
no exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from lib.cli import progress, run_log
from lib.config import defaults
from lib.delivery import copies, delivery, diagnosis, run_lines, run_record
from lib.delivery.notices import Notices
from lib.delivery.waiting import Waiting
from lib.domain.errors import AggregatorError, ConfigError, ReportError
from lib.reports import retention

if TYPE_CHECKING:
    from lib.config.settings import Settings
    from lib.delivery.case_store import Change
    from lib.delivery.notice_body import RunReport
    from lib.domain.messages import Notice
    from lib.domain.outcomes import Finished
    from lib.domain.requests import Request
    from lib.reports.report_file import Written

# Keys: exactly one failed; number of successes, at most 2 (which stands for two or more).
FAILED_MERCHANTS: Final = {
    (True, 1): "1 de 2 estabelecimentos falhou ({names}); o outro foi concluído.",
    (True, 2): "1 de {total} estabelecimentos falhou ({names}); os outros foram concluídos.",
    (False, 0): "Os {total} estabelecimentos falharam ({names}).",
    (False, 1): "{failed} de {total} estabelecimentos falharam ({names}); o outro foi concluído.",
    (False, 2): "{failed} de {total} estabelecimentos falharam ({names}); os outros foram "
    "concluídos.",
}
NO_MERCHANT_IN_NAME: Final = (
    "Com --all-merchants o nome do arquivo precisa de {{merchant}}, como em "
    "{example}: ajuste output_path ou --output."
)
NO_MERCHANT_IN_RESULT_DIR: Final = (
    "Com --all-merchants o result_dir de [aggregator.engine] precisa de {{merchant}}."
)
COPIED: Final = "Cópia: {target}"
REHEARSED: Final = "Ensaio concluído; nenhuma planilha foi gravada."
WRITTEN: Final = "Planilha '{name}' gerada com sucesso."


@dataclass(frozen=True)
class Job:
    """The arguments of the command; None as merchant means the configuration's default.

    ``period`` and ``rule`` are arguments of `defaults.request`; ``silent`` hides the progress.
    """

    merchants: tuple[str | None, ...]
    period: Mapping[str, Any]
    rule: Mapping[str, Any]
    output: Path
    dry_run: bool = False
    silent: bool = False


def execute(settings: Settings, job: Job) -> None:
    """Deliver each merchant's report. Raises AggregatorError.

    With several merchants, one that fails does not stop the others; the error is raised at the end.
    """
    today = defaults.local_today(settings)
    requests = [
        defaults.request(settings, today, merchant=merchant, **job.period, **job.rule)
        for merchant in job.merchants
    ]
    targets = _check_targets(settings, requests, job)
    waiting = Waiting(settings, requests, targets, _announce)
    notices = Notices(settings, digest=len(requests) > 1)
    try:
        _deliver_each(settings, requests, job, waiting, notices.add)
    finally:
        notices.send()


def _deliver_each(
    settings: Settings,
    requests: Sequence[Request],
    job: Job,
    waiting: Waiting,
    tell: Callable[[RunReport], None],
) -> None:
    failed = []
    for request in requests:
        try:
            _deliver(settings, request, job, waiting, tell)
        except Exception as problem:  # noqa: BLE001 a bug must not stop the other merchants either
            if len(requests) == 1 or _is_of_standard_output(problem):
                raise
            name = settings.merchants[request.merchant]
            failed.append(name)
            message = run_record.failure_message(problem)
            sys.stderr.write(f"{name} ({request.merchant}): {message}\n")
            run_log.event(f"falha: {message}", merchant=request.merchant, outcome="falhou")
            if not isinstance(problem, AggregatorError):
                run_log.unexpected(problem)
    if failed:
        raise ReportError(
            FAILED_MERCHANTS[len(failed) == 1, min(len(requests) - len(failed), 2)],
            failed=len(failed),
            total=len(requests),
            names=", ".join(failed),
        )


def _is_of_standard_output(problem: Exception) -> bool:
    return isinstance(problem, OSError) and problem.filename is None


def _announce(notice: Notice) -> None:
    sys.stderr.write(f"{notice}\n")
    run_log.event(str(notice))


def _deliver(
    settings: Settings,
    request: Request,
    job: Job,
    waiting: Waiting,
    tell: Callable[[RunReport], None],
) -> None:
    period = request.period
    # With the name: a CNPJ that could be a card number is scrubbed from the log.
    name = settings.merchants[request.merchant]
    run_log.event(
        f"início: {name} ({request.merchant}), {period.start} a {period.end}, "
        f"regra {request.rule.name}",
        merchant=request.merchant,
        start=period.start,
        end=period.end,
        rule=request.rule.name,
    )
    clear = settings.privacy.report == "clear"
    written: tuple[Written, ...] = ()
    made = copies.Copies()
    change: Change | None = None
    with progress.display(silent=job.silent) as show, run_log.stages(show) as report:
        if job.dry_run:
            outcome = delivery.rehearse(settings, request, clear=clear, progress=report)
        else:
            delivered = delivery.deliver(
                settings,
                request,
                job.output,
                clear=clear,
                waiting=waiting,
                progress=report,
                tell=tell,
            )
            made = delivered.copies
            outcome, written, change = delivered.outcome, delivered.written, delivered.cases
    for notice in diagnosis.notices_of_run(outcome):
        sys.stderr.write(f"Atenção: {notice}\n")
    if written:
        files = ", ".join(f"{w.path}, {w.size_bytes} bytes, sha256 {w.sha256}" for w in written)
        run_log.event(
            f"concluída: {files}",
            merchant=request.merchant,
            outcome="concluída",
            file=written[0].path,
            sha256=written[0].sha256,
            **vars(outcome.books),
        )
    _print_outcome(outcome, [book.path for book in written])
    if change is not None:
        typer.echo(run_lines.cases_line(change))
    if job.dry_run:
        typer.echo(REHEARSED)
    for copy in made.sent:
        if copy.problem is None:
            typer.echo(COPIED.format(target=copy.target))
    for book in written:
        typer.echo(WRITTEN.format(name=book.path.name))
    if made.interrupted:
        raise KeyboardInterrupt
    if problem := copies.failure_of(made.sent):
        raise problem


def _check_targets(settings: Settings, requests: Sequence[Request], job: Job) -> list[Path]:
    """The paths of the reports.

    Raises ConfigError for a wrong placeholder, or if two merchants would write to one target.
    """
    targets = [retention.target(job.output, request) for request in requests]
    folders = [
        retention.result_folder(settings, request, target)
        for request, target in zip(requests, targets, strict=True)
    ]
    if job.dry_run:
        return targets
    if len(set(targets)) < len(requests):
        raise ConfigError(
            NO_MERCHANT_IN_NAME,
            example=f"{job.output.stem}_{{merchant}}{job.output.suffix}",
        )
    if len(set(folders)) < len(requests):
        raise ConfigError(NO_MERCHANT_IN_RESULT_DIR)
    return targets


def _print_outcome(outcome: Finished, paths: Sequence[Path]) -> None:
    period = outcome.request.period
    typer.echo(f"Estabelecimento: {outcome.merchant_name} ({outcome.request.merchant})")
    typer.echo(f"Período: {period.start:%d/%m/%Y} a {period.end:%d/%m/%Y}")
    for line in run_lines.books_lines(outcome.books):
        typer.echo(line)
    for path in paths:
        typer.echo(f"Arquivo: {path}")
