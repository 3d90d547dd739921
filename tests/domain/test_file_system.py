"""Locks, modes and flushes on file systems and accounts that lack them."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import platformdirs
import pytest

from lib.config.settings import ROOT
from lib.domain import file_system
from lib.domain.errors import TakenError
from lib.engines import staging
from lib.reports.file_lock import exclusive_lock
from lib.security import audit_trail
from tests.support.sentences import says

REFUSALS = [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A temporary folder of this test, so that its substitute locks are its own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    file_system._warn_of_no_locks.cache_clear()
    yield
    file_system._warn_of_no_locks.cache_clear()


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


def refuse_locks(monkeypatch: pytest.MonkeyPatch, share: Path, number: int) -> None:
    """Locks of files on the share fail with this error, as on a mount without locks."""
    lock = fcntl.lockf

    def refusing(descriptor: int, operation: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")).is_relative_to(share):
            raise OSError(number, os.strerror(number))
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "lockf", refusing)


def test_a_lock_keeps_others_out_until_it_is_released(share: Path) -> None:
    first = file_system.lock(share / "lock")
    assert first is not None
    assert file_system.lock(share / "lock") is None
    first.remove()
    second = file_system.lock(share / "lock")
    assert second is not None
    second.release()
    assert stat.S_IMODE((share / "lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("number", REFUSALS)
def test_a_share_without_locks_is_a_warning_and_this_machine_still_takes_turns(
    share: Path, monkeypatch: pytest.MonkeyPatch, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_locks(monkeypatch, share, number)
    target = share / "resultado.xlsx"
    with caplog.at_level(logging.WARNING), exclusive_lock(target):
        with pytest.raises(TakenError), exclusive_lock(target):
            pass
        with exclusive_lock(share / "outro.xlsx"):
            pass
    assert [says(text, file_system.NO_LOCKS) for text in caplog.messages] == [True]
    with exclusive_lock(target):
        assert os.listdir(share) != []
    assert os.listdir(share) == []


@pytest.mark.parametrize("number", REFUSALS)
def test_without_locks_the_temporary_folder_of_another_machines_run_stays(
    share: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_locks(monkeypatch, share, number)
    with staging.held(share / "staging", "a") as running:
        monkeypatch.setattr(tempfile, "tempdir", str(share.parent))  # another machine
        monkeypatch.setattr(file_system, "_OWN", set())
        with staging.held(share / "staging", "b"):
            assert running.folder.is_dir()
        assert running.folder.is_dir()
    assert not running.folder.exists()


def test_the_audit_is_written_on_a_share_without_locks(
    share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_locks(monkeypatch, share, errno.ENOLCK)
    trail, key = share / "audit.jsonl", share / "audit.jsonl.key"
    for _ in range(2):
        audit_trail.append(trail, key, lambda last: [{"what": "a"}])
    assert audit_trail.verify(trail, key).problems == ()


def test_no_lock_can_be_had_anywhere_and_the_report_is_written_all_the_same(
    share: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_locks(monkeypatch, share.parent, errno.ENOLCK)
    with exclusive_lock(share / "resultado.xlsx"):
        (share / "resultado.xlsx").touch()


@pytest.mark.parametrize("kind", ["dangling", "to a file", "to a folder"])
def test_a_link_under_the_locks_name_is_removed_and_its_target_stays_as_it_was(
    share: Path, tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "target"
    if kind == "to a file":
        target.write_text("content")
        target.chmod(0o644)
    elif kind == "to a folder":
        target.mkdir()
    (share / ".r.xlsx.lock").symlink_to(target)
    with exclusive_lock(share / "r.xlsx"):
        assert not (share / ".r.xlsx.lock").is_symlink()
    assert target.exists() == (kind != "dangling")
    if kind == "to a file":
        assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("content", 0o644)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.ENOSYS])
def test_a_flush_that_the_file_system_does_not_know_is_left_out(
    share: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", _raising(number))
    with (share / "file").open("w") as file:
        file_system.flush(file.fileno())
    file_system.flush_folder(share)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_flush_that_loses_data_fails(
    share: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", _raising(number))
    with (share / "file").open("w") as file, pytest.raises(OSError, match=os.strerror(number)):
        file_system.flush(file.fileno())


def test_an_account_without_a_home_has_a_private_folder_among_the_temporary_ones() -> None:
    def homeless(application: str) -> Path:
        raise RuntimeError(application)

    folder = file_system.user_folder(homeless)
    assert folder.parent == Path(tempfile.gettempdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    with pytest.raises(PermissionError):
        file_system.user_folder(homeless)
    folder.rmdir()
    folder.symlink_to(folder.parent)
    with pytest.raises(PermissionError):
        file_system.user_folder(homeless)


def test_an_account_with_a_home_has_the_folder_of_its_system() -> None:
    expected = platformdirs.user_cache_path("marketing-data-aggregator")
    assert file_system.user_folder(platformdirs.user_cache_path) == expected


@pytest.mark.system
@pytest.mark.parametrize("home", [None, "relative"])
def test_a_number_without_an_account_and_a_home_gets_its_folder(
    monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    script = (
        "import os, tempfile; tempfile.tempdir = os.getcwd()\n"
        "import platformdirs\n"
        "from lib.domain import file_system\n"
        "from lib.security import audit_events\n"
        "os.setuid(54_321)\n"
        "print(file_system.user_folder(platformdirs.user_state_path).is_absolute())\n"
        "print(audit_events.account().name)"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    monkeypatch.setattr(tempfile, "tempdir", None)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other accounts
        Path(folder).chmod(0o777)
        result = subprocess.run(
            [sys.executable, "-c", script],
            env=environment | ({} if home is None else {"HOME": home}),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (result.stdout, result.stderr) == ("True\nuid 54321\n", "")


@pytest.mark.parametrize("name", ["absent", "file/below", "loop", "nul\0"])
def test_a_path_that_is_absent_does_not_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert not file_system.exists(tmp_path / name)
    assert file_system.exists(tmp_path / "file")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_path_that_the_system_cannot_look_up_may_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(OSError, match=os.strerror(number)):
        file_system.exists(tmp_path / "key")


@pytest.mark.parametrize("held", [False, True])
def test_on_windows_the_lock_is_the_systems_own(
    share: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    locked: list[Any] = []

    def locking(descriptor: int, mode: int, count: int) -> None:
        if held:
            raise PermissionError(errno.EACCES, "held")
        locked.append((mode, count))

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    lock = file_system.lock(share / "lock")
    assert (lock is None, locked) == ((True, []) if held else (False, [(2, 1)]))


@pytest.mark.parametrize("name", ["pipe", "zeros", "terminal", "folder", "long", "zero"])
def test_what_never_ends_or_is_no_text_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(file_system, "_PIPE_SECONDS", 0.1)
    monkeypatch.setattr(file_system, "_MOST_BYTES", 1_000)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    (tmp_path / "terminal").symlink_to(os.ttyname(os.openpty()[1]))
    (tmp_path / "folder").mkdir()
    (tmp_path / "long").write_text("a" * 1_001)
    (tmp_path / "zero").write_bytes(b"a\0b")
    with pytest.raises((OSError, ValueError)):
        file_system.read_text(tmp_path / name)
    if name not in ("long", "zero"):
        with pytest.raises(OSError, match=name):
            file_system.require_regular(tmp_path / name)


def test_a_pipe_may_give_its_text_late(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Timer(0.2, pipe.write_text, ["senha"])
    writer.start()
    assert file_system.read_text(pipe) == "senha"
    writer.join()


def _raising(number: int) -> Callable[[int], None]:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    return fail
