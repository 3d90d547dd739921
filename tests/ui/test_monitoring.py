"""What monitors ask: readiness, figures in Prometheus' own format, and who gets them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from lib.config import loader
from lib.dashboard import metrics
from lib.delivery import events, history
from lib.delivery.history import Dispatch, History
from lib.domain.errors import ConfigError
from lib.ui import app_state, http_filter, monitoring
from lib.ui.app_state import Site

FIRST, LIKE_A_CARD = "12345678000195", "40000000000002"
SOURCE = {"host": "/nowhere", "database": "d", "user": "u"}
TOKEN = "um-token-de-monitor"
BOOKS = {"transactions": 1200, "logs": 1000, "divergences": 50, "consolidated": 900}
PATHS = ("/healthz", "/readyz", "/metrics")


class Monitor:
    """A monitor that asks the server's routes; ``client`` is the address that it asks from."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.record = History(folder / "history.sqlite")
        self.client = "127.0.0.1"
        self.site: Site | None = None
        self.configure()
        runtime = SimpleNamespace(stats_mgr=SimpleNamespace(get_stats=self.stats))
        monkeypatch.setattr(monitoring.Runtime, "instance", lambda: runtime)
        monkeypatch.setattr(app_state, "find", lambda: self.site)
        for holder, name in (
            (monitoring._Readiness, "_checked_at"),
            (monitoring._Configuration, "_read_at"),
        ):
            monkeypatch.setattr(holder, name, float("-inf"))
        monkeypatch.setattr(metrics, "_FRESH_SECONDS", -1.0)
        monkeypatch.setattr(monitoring, "_CHECK_AGAIN_SECONDS", -1.0)
        routes, middleware = monitoring.routes(), http_filter.middleware()
        self._app = Starlette(routes=routes, middleware=middleware)

    def configure(self, **keys: Any) -> None:
        values = {
            "merchants": {FIRST: "Loja", LIKE_A_CARD: "Outra"},
            "transactions": SOURCE,
            "auth_logs": SOURCE,
            "history": {"path": str(self.record.path)},
            **keys,
        }
        settings = loader.from_values(values, "teste", {})
        self.site = cast(Site, SimpleNamespace(settings=settings, demo=False))

    @staticmethod
    def stats(families: list[str]) -> dict[str, list[Any]]:
        return {family: [SimpleNamespace(value=3)] for family in families}

    def get(
        self, path: str, host: str = "localhost:8501", **headers: str | bytes
    ) -> httpx.Response:
        # Its own thread: a browser test of the same process leaves a loop running in this one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(anyio.run, self._get, path, host, headers).result()

    async def _get(self, path: str, host: str, headers: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app, client=(self.client, 1234))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.get(path, headers=named)

    def samples(self) -> dict[tuple[str, ...], float]:
        """The figures by name and label values."""
        answer = self.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        families = list(text_string_to_metric_families(answer.text))
        assert all(family.documentation for family in families)
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }

    def ran(self, hours: float, outcome: str = history.DONE, **fields: Any) -> int:
        begun = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours)
        values: dict[str, Any] = {
            "origin": history.SCHEDULED,
            "merchant": FIRST,
            "merchant_name": "Loja",
            "period_start": date(2026, 11, 13),
            "period_end": date(2026, 11, 23),
            "rule": "card",
            "tolerance_seconds": 300,
            "clear": False,
            "began_at": begun,
        }
        number = self.record.begin(**values | fields)
        done = {"books": BOOKS, "seconds": {"extract": 2.5, "match": 0.5}}
        self.record.end(number, outcome, **(done if outcome == history.DONE else {}))
        return number


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    return Monitor(tmp_path, monkeypatch)


def test_health_and_readiness_say_no_more_than_that(monitor: Monitor) -> None:
    monitor.client = "10.1.2.3"
    assert monitor.get("/healthz").text == "ok\n"
    ready = monitor.get("/readyz")
    assert (ready.status_code, ready.text) == (200, "configuration ok\nstore ok\n")
    assert monitor.get("/healthz").headers["cache-control"] == "no-store"


def test_a_store_that_takes_no_writer_is_not_ready(monitor: Monitor) -> None:
    blocked = monitor.folder / "blocked"
    blocked.write_text("a file where a folder should be")
    monitor.configure(history={"path": str(blocked / "history.sqlite")})
    ready = monitor.get("/readyz")
    assert (ready.status_code, ready.text) == (503, "configuration ok\nstore failed\n")
    assert str(monitor.folder) not in ready.text
    assert monitor.samples()["aggregator_history_readable",] == 0


def test_a_configuration_that_cannot_be_read_is_not_ready_and_is_read_once_a_minute(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    def fails() -> Any:
        reads.append(1)
        raise ConfigError("o arquivo /etc/segredo tem um erro")

    monitor.site = None
    monkeypatch.setattr(monitoring, "_read", fails)
    for _ in range(3):
        ready = monitor.get("/readyz")
        assert (ready.status_code, ready.text) == (503, "configuration failed\nstore unknown\n")
    assert monitor.get("/metrics").status_code == 503
    assert len(reads) == 1


def test_without_a_configuration_the_demonstration_is_ready_and_no_server_is_started(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib.demo import servers

    monitor.site = None
    monkeypatch.setattr(loader, "exists", lambda: False)
    monkeypatch.setattr(servers, "start", lambda *_: pytest.fail("a server was started"))
    path = {"history": {"path": str(monitor.record.path)}}
    monkeypatch.setattr(monitoring, "history_of_demo", lambda: path)
    assert monitor.get("/readyz").status_code == 200


def test_a_counter_of_runs_counts_what_ended(monitor: Monitor) -> None:
    monitor.ran(2)
    monitor.ran(1, history.RUNNING)  # under way, or killed
    monitor.ran(1, history.WAITING)
    runs = {key: value for key, value in monitor.samples().items() if "runs_total" in key[0]}
    assert runs == {("aggregator_runs_total", FIRST, "scheduled", "done"): 1}


def test_the_metrics_are_the_runs_of_the_history(monitor: Monitor) -> None:
    monitor.ran(49)
    monitor.ran(25, history.FAILED)
    number = monitor.ran(2)
    moment = datetime.now(UTC)
    untold = Dispatch(history.NOTICE, "json://h", moment, events.READY, "a conexão falhou")
    monitor.record.add_dispatches(number, [untold, Dispatch(history.NOTICE, "json://i", moment)])
    monitor.ran(1, history.SKIPPED)
    monitor.ran(1, origin=history.PAGE)
    monitor.ran(1, merchant="99999999000191")  # no longer configured
    found = monitor.samples()
    runs = {key[1:]: value for key, value in found.items() if key[0] == "aggregator_runs_total"}
    assert runs == {
        (FIRST, "scheduled", "done"): 2,
        (FIRST, "scheduled", "failed"): 1,
        (FIRST, "scheduled", "skipped"): 1,
        (FIRST, "page", "done"): 1,
    }
    assert found["aggregator_last_good_run_age_seconds", FIRST] == pytest.approx(7200, abs=60)
    expected = {
        ("aggregator_last_run_good", FIRST): 1,
        ("aggregator_last_run_seconds", FIRST, "extract"): 2.5,
        ("aggregator_last_run_seconds", FIRST, "match"): 0.5,
        ("aggregator_last_run_rows", FIRST, "transactions"): 1200,
        ("aggregator_last_run_rows", FIRST, "auth_logs"): 1000,
        ("aggregator_last_run_matched_ratio", FIRST): 0.95,
        ("aggregator_last_run_divergence_ratio", FIRST): 0.05,
        ("aggregator_last_run_untold_notices", FIRST): 1,
        ("aggregator_history_readable",): 1,
        ("aggregator_sessions",): 3,
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert found["aggregator_memory_bytes",] > 10_000_000


def test_a_merchant_without_a_good_run_is_infinitely_old_and_no_label_could_be_a_card(
    monitor: Monitor,
) -> None:
    monitor.ran(1, history.FAILED, merchant=LIKE_A_CARD)
    found = monitor.samples()
    assert found["aggregator_last_good_run_age_seconds", FIRST] == float("inf")
    assert found["aggregator_last_good_run_age_seconds", "#2"] == float("inf")
    assert found["aggregator_last_run_good", "#2"] == 0
    assert LIKE_A_CARD not in monitor.get("/metrics").text


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_For": "10.0.0.1"},
        {"Forwarded": "for=10.0.0.1"},
        {"X_Real_Ip": "10.0.0.1"},
        {"host": "painel.example.com"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://localhost:1"},
    ],
)
def test_a_proxy_another_name_or_another_page_gets_no_metrics(
    monitor: Monitor, headers: dict[str, str]
) -> None:
    assert monitor.get("/metrics", **headers).status_code == 403


def test_from_elsewhere_the_metrics_need_the_configured_token(monitor: Monitor) -> None:
    monitor.client = "10.1.2.3"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert monitor.get("/metrics", **headers).status_code == 403
    monitor.configure(metrics={"token": TOKEN})
    assert monitor.get("/metrics", "painel.example.com", **headers).status_code == 200
    for wrong in (TOKEN, "Bearer ", "Bearer x", f"Basic {TOKEN}", "Bearer é"):
        answer = monitor.get("/metrics", Authorization=wrong.encode())
        assert (answer.status_code, answer.text) == (403, "Forbidden\n")
    assert monitor.get("/metrics").status_code == 403


def test_nobody_can_make_the_server_read_the_history_all_the_time(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_FRESH_SECONDS", 60.0)
    monkeypatch.setattr(monitoring, "_CHECK_AGAIN_SECONDS", 60.0)
    monitor.ran(2)
    before, ready = monitor.samples(), monitor.get("/readyz").text
    monitor.ran(1)
    monkeypatch.setattr(monitoring, "_is_writable", lambda _: pytest.fail("checked again"))
    key = ("aggregator_runs_total", FIRST, "scheduled", "done")
    assert (monitor.samples()[key], before[key]) == (1, 1)
    assert monitor.get("/readyz").text == ready


@pytest.mark.parametrize("path", PATHS)
def test_only_reading_is_answered(monitor: Monitor, path: str) -> None:
    async def post() -> int:
        transport = httpx.ASGITransport(app=monitor._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.post(path)).status_code

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(anyio.run, post).result() == 405
