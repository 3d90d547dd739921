"""Show recorded runs: the banner, the trend, the table, the details of one run.

Shows only the runs of merchants that the reader may see. Records no run.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from lib.dashboard import clear_export
from lib.delivery import anomaly_notes, history
from lib.domain.errors import HistoryError, ReportError
from lib.security import audit_events
from lib.ui import downloads, formatting, html_table, run_dispatches
from lib.ui.formatting import plain, whole
from lib.ui.html_table import Column
from lib.ui.i18n import n, sentence, t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from lib.delivery.history import Run
    from lib.ui.app_state import Site
    from lib.ui.guard import Admission

NO_RUNS: Final = "Nenhuma execução registrada ainda."
NOT_KEPT: Final = "O relatório desta execução não está mais guardado."
ROWS_OF_ITS_ACCOUNT: Final = (
    "Com row_level_security, o relatório não é oferecido aqui: ele tem as linhas da conta que o "
    "gerou."
)
RULE: Final = "Executada por {who} · Regra: {rule}"
STAGE: Final = "{stage} {seconds} s"
ENDED_BADLY: Final = (
    "A última execução agendada de {merchant}, em {moment}, não terminou bem; a página Execuções "
    "diz por quê."
)
OLD: Final = (
    "A última execução agendada de {merchant} é de {moment}, há mais de um dia: confira o "
    "agendador."
)
NOTED: Final = (
    "A última execução agendada de {merchant}, em {moment}, tem avisos; a página Execuções diz "
    "quais."
)

DOWNLOAD: Final = "baixar_relatorio"
REASON: Final = "motivo_do_relatorio"
OPENED: Final = "execucao_aberta"

_REFUSAL: Final = "_report_refused"
_MOST_RUNS: Final = 200
_SEARCHED: Final = 200
_TREND: Final = 30
_BANNER_SECONDS: Final = 60


def banner(site: Site, admission: Admission) -> None:
    """Warn where the last scheduled run failed, is older than a day, or has unusual figures."""
    try:
        path = str(history.of(site.settings).path)
    except HistoryError:
        return  # the page of the runs shows the failure
    for concern, run in _concerns(path):
        if run.merchant not in admission.merchants:
            continue
        moment = formatting.minute(run.began_at.astimezone(site.settings.zone))
        text = {ENDED_BADLY: t(ENDED_BADLY), OLD: t(OLD), NOTED: t(NOTED)}[concern]
        st.warning(plain(text.format(merchant=run.merchant_name, moment=moment)))


@st.cache_data(ttl=_BANNER_SECONDS, max_entries=8, show_spinner=False)
def _concerns(path: str) -> list[tuple[str, Run]]:
    """The scheduled runs to warn of, of all merchants; the caller applies the reader's rights."""
    try:
        runs = history.History(Path(path)).runs(_SEARCHED, origin=history.SCHEDULED)
    except HistoryError:
        return []  # the page of the runs shows the failure
    now = datetime.now(UTC)
    return [(_concern(run, now), run) for run in anomaly_notes.concerns(runs, now)]


def _concern(run: Run, now: datetime) -> str:
    if not run.is_good:
        return ENDED_BADLY
    return OLD if anomaly_notes.is_old(run, now) else NOTED


def read(site: Site, admission: Admission) -> list[Run]:
    """Return the latest runs of the reader's merchants, newest first; without any, stop."""
    try:
        latest = history.of(site.settings).runs(_MOST_RUNS)
    except HistoryError as problem:
        st.error(plain(sentence(problem)))
        st.stop()
    runs = [run for run in latest if run.merchant in admission.merchants]
    if not runs:
        st.info(t(NO_RUNS))
        st.stop()
    return runs


def trend(runs: Sequence[Run]) -> None:
    """Draw records, divergence rate and duration of the latest completed scheduled runs."""
    completed = [r for r in runs if r.outcome == history.DONE and r.origin == history.SCHEDULED]
    latest = list(reversed(completed[:_TREND]))
    if not latest:
        return
    rows = [_rows(run) for run in latest]
    rates = [run.divergence_rate or 0.0 for run in latest]
    seconds = [sum((run.seconds or {}).values()) for run in latest]
    figures = (
        (t("Registros lidos"), whole(rows[-1]), rows),
        (t("Taxa de divergência"), formatting.percent(rates[-1]), rates),
        (t("Duração"), _seconds(seconds[-1]), seconds),
    )
    with st.container(horizontal=True):
        for label, value, series in figures:
            st.metric(label, value, border=True, chart_data=series, chart_type="line")
    st.caption(
        n(
            "A última execução agendada concluída.",
            "As últimas {count} execuções agendadas concluídas.",
            len(latest),
        )
    )


def table(runs: Sequence[Run], zone: tzinfo) -> Run | None:
    """Draw the runs and return the opened one."""
    opened = st.session_state.get(OPENED)
    position = next((at for at, run in enumerate(runs) if run.id == opened), None)
    html_table.draw(
        [*_columns(), *run_dispatches.columns(runs)],
        [[*_row(run, zone), *run_dispatches.cells(run, runs)] for run in runs],
        "execucoes",
        opened=position,
        on_open=lambda position: st.session_state.update({OPENED: runs[position].id}),
    )
    return None if position is None else runs[position]


def detail(run: Run, site: Site, admission: Admission) -> None:
    """Draw the run's message, notes, notices, copies and stages, and its report where kept."""
    for text, show in ((run.message, st.error), (run.note, st.warning)):
        if text:
            show(plain(text))
    run_dispatches.show(run)
    st.caption(plain(t(RULE, who=run.who, rule=run.rule)))
    if run.seconds:
        stages = " · ".join(_stage(name, seconds) for name, seconds in run.seconds.items())
        st.caption(plain(t("Duração por etapa: {stages}", stages=stages)))
    if run.file is not None:
        st.caption(plain(f"{run.file.name} · SHA-256 {run.sha256}"))
    if run.clear and run.merchant not in admission.clear:
        st.caption(t("O relatório desta execução tem dados em claro, que o seu papel não vê."))
        return
    if site.settings.row_level_security:
        st.caption(t(ROWS_OF_ITS_ACCOUNT))
        return
    if run.file is None or not _is_kept(str(run.file), run.sha256 or ""):
        st.caption(t(NOT_KEPT))
        return
    _offer(run, run.file, site, admission)


def _offer(run: Run, file: Path, site: Site, admission: Admission) -> None:
    """Draw the button of the stored report; a clear report requires a reason, which is audited."""
    if run.clear:
        st.text_area(t("Motivo"), key=REASON, max_chars=clear_export.LONGEST_REASON)
    label = t("Baixar o relatório desta execução")
    st.button(label, key=DOWNLOAD, on_click=_send, args=(run, file, site, admission))
    problem = st.session_state.pop(_REFUSAL, None)
    if problem is not None:
        st.error(plain(sentence(problem)))


def _send(run: Run, file: Path, site: Site, admission: Admission) -> None:
    fields = {"merchant": run.merchant, "file": str(file), "sha256": run.sha256, "clear": run.clear}
    if run.clear:
        try:
            fields["reason"] = clear_export.written_reason(st.session_state.get(REASON, ""))
        except ReportError as problem:
            st.session_state[_REFUSAL] = problem
            return
    record = partial(audit_events.record, site.settings, "export", admission.actor, **fields)
    digest = run.sha256 or ""
    downloads.send(downloads.File(file.name, file, digest, run.merchant, run.clear, record))


@st.cache_data(ttl=_BANNER_SECONDS, max_entries=100, show_spinner=False)
def _is_kept(file: str, sha256: str) -> bool:
    """True if the file exists and is unchanged since the run wrote it."""
    try:
        with Path(file).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == sha256
    except OSError:
        return False


def outcome(name: str) -> str:
    """A run's outcome in a word."""
    outcomes = {
        history.RUNNING: t("em andamento"),
        history.WAITING: t("aguardando dados"),
        history.DONE: t("concluída"),
        history.FAILED: t("falhou"),
        history.INTERRUPTED: t("interrompida"),
        history.VANISHED: t("encerrada inesperadamente"),
        history.SKIPPED: t("dispensada"),
    }
    return outcomes.get(name, name)


def _row(run: Run, zone: tzinfo) -> list[str]:
    origins = {history.SCHEDULED: t("agendada"), history.PAGE: t("página")}
    rate = run.divergence_rate
    return [
        formatting.instant(run.began_at.astimezone(zone)),
        outcome(run.outcome),
        origins.get(run.origin, run.origin),
        run.merchant_name,
        formatting.span(*run.period),
        whole(_rows(run)) if run.books else formatting.NO_VALUE,
        whole(run.books["divergences"]) if run.books else formatting.NO_VALUE,
        formatting.NO_VALUE if rate is None else formatting.percent(rate),
        _seconds(sum(run.seconds.values())) if run.seconds else formatting.NO_VALUE,
    ]


def _columns() -> list[Column]:
    return [
        Column("began_at", t("Início"), sort="descending"),
        Column("outcome", t("Resultado")),
        Column("origin", t("Origem")),
        Column("merchant_name", t("Estabelecimento"), style="long"),
        Column("period", t("Período")),
        Column("records", t("Lidos"), t("Registros lidos"), "right"),
        Column("divergences", t("Divergências"), style="right"),
        Column("rate", t("Taxa"), t("Taxa de divergência"), "right"),
        Column("seconds", t("Duração"), style="right"),
    ]


def _seconds(seconds: float) -> str:
    return t("{seconds} s", seconds=formatting.tenths(seconds))


def _stage(name: str, seconds: float) -> str:
    names = {"extract": t("leitura"), "match": t("conciliação"), "write": t("gravação")}
    names["reconcile"] = t("leitura e conciliação")
    return t(STAGE, stage=names.get(name, name), seconds=formatting.tenths(seconds))


def _rows(run: Run) -> int:
    return int(run.books["transactions"] + run.books["logs"]) if run.books else 0
