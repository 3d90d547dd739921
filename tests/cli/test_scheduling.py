"""The files that schedule the report: each is well formed, and the command it starts runs."""

from __future__ import annotations

import configparser
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from lib.cli import main
from lib.config.settings import ROOT
from tests.support.command import Command, configured, sheets
from tests.support.faults import PERIOD

pytestmark = pytest.mark.slow

FILES = ROOT / "docs" / "scheduling"
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


@pytest.fixture
def command(command: Command, five_purchases: None) -> Command:
    return command


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FILES / name, encoding="utf-8")
    return parser


def here(command: Command, line: str) -> str:
    """A line of the files with this machine's paths, for a period that has data."""
    folder = command.folder
    config = configured(folder, command.databases.values, output_path=str(command.target))
    paths = {
        "/opt/marketing-data-aggregator/.venv/bin/python": f"{sys.executable} -W error",
        "/opt/marketing-data-aggregator/aggregator.py": str(ROOT / "aggregator.py"),
        "/etc/marketing-data-aggregator/aggregator.toml": f"{config} {' '.join(PERIOD)}",
        "/var/log/marketing-data-aggregator": str(folder),
    }
    for documented_path, path in paths.items():
        assert documented_path in line
        line = line.replace(documented_path, path)
    return line


def cron() -> str:
    lines = (FILES / "marketing-data-aggregator.cron").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if re.match(r"[0-9*]", line)]
    return line


def shell(line: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line],
        env=dict(environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_the_cron_line_writes_the_report_and_prints_nothing(command: Command) -> None:
    minute, hour, *days, user, line = cron().split(" ", 6)
    assert (minute, hour, days, user) == ("0", "6", ["*", "*", "*"], "aggregator")
    assert "%" not in line  # cron ends the line at a percent sign
    state = {"HOME": str(command.folder), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    done = shell(here(command, line), state)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(sheets(command.target).consolidated) == 5
    assert "concluída" in (command.folder / "runs.log").read_text(encoding="utf-8")
    assert (command.folder / ".local/state/marketing-data-aggregator/history.sqlite").exists()


def test_the_cron_line_prints_the_failure_of_a_run(command: Command) -> None:
    command.databases.execute("auth_logs", "DROP SCHEMA authentication CASCADE")
    line = here(command, cron().split(" ", 6)[6])
    done = shell(line, {"HOME": str(command.folder)})
    [sentence] = re.findall(r'echo "(.*)"', line)
    assert done.stdout == f"{sentence}\n"
    assert "falha: auth_logs: " in (command.folder / "runs.log").read_text(encoding="utf-8")
    assert "auth_logs: " in (command.folder / "errors.log").read_text(encoding="utf-8")


def documented(language: str, content: str) -> str:
    """The block of docs/deployment.md in this language that contains this text."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    [block] = [block for block in blocks if content in block]
    return str(block)


def test_the_dashboards_unit_and_the_scheduled_one_write_where_the_configuration_says() -> None:
    configured_as = tomllib.loads(documented("toml", "[aggregator.audit]"))["aggregator"]
    dashboard = configparser.ConfigParser(strict=False, interpolation=None)
    dashboard.read_string(documented("ini", "[Service]"))
    scheduled = unit("marketing-data-aggregator.service")
    written = [
        configured_as["output_path"],
        configured_as["audit"]["path"],
        configured_as["history"]["path"],
    ]
    for service in (dashboard["Service"], scheduled["Service"]):
        assert service["User"] == "aggregator"
        writable = [Path(path) for path in service["ReadWritePaths"].split()]
        for path in map(Path, written):
            assert any(path.is_relative_to(folder) for folder in writable), path


def test_the_paths_of_both_documents_are_the_same_and_exist_in_the_checkout() -> None:
    documents = [ROOT / "docs" / "deployment.md", *FILES.iterdir()]
    text = "\n".join(file.read_text(encoding="utf-8") for file in documents)
    # The image has folders of its own.
    text = re.sub(r"^## Containers?\n.*?(?=^## )", "", text, flags=re.DOTALL | re.MULTILINE)
    for parent in ("opt", "etc", "var/lib"):
        names = set(re.findall(rf"/{parent}/([\w-]*aggregator[\w-]*)", text))
        assert names == {"marketing-data-aggregator"}, parent
    commands = documented("sh", "useradd")
    [example] = re.findall(r"\S*secrets\.example\.toml", commands)
    assert (ROOT / example).is_file()
    assert commands.index("cd /opt/") < commands.index(example)


def test_the_command_of_the_service_writes_the_report(command: Command) -> None:
    service = unit("marketing-data-aggregator.service")["Service"]
    name, _, _ = service["Environment"].partition("=")
    state = {name: str(command.folder / "state")}
    done = shell(here(command, service["ExecStart"]), state)
    assert done.returncode == main.DONE, done.stderr
    assert len(sheets(command.target).consolidated) == 5
    assert (command.folder / "state/marketing-data-aggregator/history.sqlite").exists()


def test_the_units_are_well_formed_and_the_timer_is_at_six_in_sao_paulo(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    timer = unit("marketing-data-aggregator.timer")["Timer"]
    assert timer["Persistent"] == "true"
    when = ["systemd-analyze", "calendar", timer["OnCalendar"]]
    next_runs = subprocess.run(when, capture_output=True, text=True, check=True).stdout
    assert "06:00:00 America/Sao_Paulo" in next_runs
    units = [*FILES.glob("*.service"), *FILES.glob("*.timer")]
    for file in units:
        text = file.read_text(encoding="utf-8")
        text = text.replace("/opt/marketing-data-aggregator/.venv/bin/python", sys.executable)
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    failure = unit("marketing-data-aggregator.service")["Unit"]["OnFailure"]
    assert failure in [file.name for file in units]
    verify = ["systemd-analyze", "verify", *(str(tmp_path / file.name) for file in units)]
    done = subprocess.run(verify, capture_output=True, text=True)
    problems = [line for line in done.stderr.splitlines() if "marketing-data-aggregator" in line]
    assert (done.returncode, problems) == (0, [])


def test_the_launchd_job_writes_the_report_at_six(command: Command) -> None:
    job = plistlib.loads((FILES / "marketing-data-aggregator.plist").read_bytes())
    assert job["StartCalendarInterval"] == {"Hour": 6, "Minute": 0}
    assert job["UserName"] == "aggregator"
    done = shell(here(command, " ".join(job["ProgramArguments"])), {"HOME": str(command.folder)})
    assert done.returncode == main.DONE, done.stderr
    assert len(sheets(command.target).consolidated) == 5


def test_the_alert_rules_name_figures_that_the_dashboard_gives() -> None:
    rules = yaml.safe_load((ROOT / "docs/monitoring/alerts.yml").read_text(encoding="utf-8"))
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    source = (ROOT / "lib" / "dashboard" / "metrics.py").read_text(encoding="utf-8")
    named = set(re.findall(r"aggregator_\w+", " ".join(expressions)))
    assert len(named) > 3
    for name in named:
        assert f"`{name}`" in operations
        assert f'"{name.removeprefix("aggregator_")}"' in source or f'"{name}"' in source
    assert len(expressions) == len(set(expressions))


def test_the_windows_task_starts_the_command_line_daily_at_six_and_never_twice() -> None:
    task = ElementTree.parse(FILES / "marketing-data-aggregator.xml").getroot()  # noqa: S314

    def text(name: str) -> str:
        return task.findtext(f".//{TASK}{name}", "")

    assert text("StartBoundary").endswith("T06:00:00")
    assert text("MultipleInstancesPolicy") == "IgnoreNew"
    assert text("StartWhenAvailable") == "true"
    script, *words = shlex.split(text("Arguments").replace("\\", "/"))
    assert script.endswith("/aggregator.py")
    options = subprocess.run(
        [sys.executable, str(ROOT / "aggregator.py"), "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert all(word in options for word in words if word.startswith("--"))
