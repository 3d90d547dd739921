"""The sealed file of the audit trail: tampering is found, its owner, its lock, its last line."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from lib.config import file_permissions
from lib.domain.errors import AuditError
from lib.security import audit_trail
from tests.support.sentences import pattern, says
from tests.support.trails import add, key, records, verified


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_the_trail_and_its_key_are_their_owners_only(trail: Path) -> None:
    add(trail, "a", "b")
    for file in (trail, key(trail)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert verified(trail) == audit_trail.Verification(2, "", "", ())


LINES = [f"record {number}" for number in range(8)]
TAMPERING: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "edit": (
        lambda x: [*x[:3], x[3].replace(b"record 3", b"record 9"), *x[4:]],
        audit_trail.ALTERED_LINE.format(line=4),
    ),
    "edit that keeps the meaning": (
        lambda x: [*x[:3], x[3].replace(b'","', b'", "', 1), *x[4:]],
        audit_trail.ALTERED_LINE.format(line=4),
    ),
    "edit of the last": (
        lambda x: [*x[:7], x[7].replace(b"record 7", b"record 9")],
        audit_trail.ALTERED_LINE.format(line=8),
    ),
    "deletion": (
        lambda x: [*x[:3], *x[4:]],
        audit_trail.MISSING_RECORDS.format(line=4, first=4, last=4),
    ),
    "deletion of the first": (
        lambda x: x[2:],
        audit_trail.MISSING_RECORDS.format(line=1, first=1, last=2),
    ),
    "swap": (
        lambda x: [*x[:3], x[4], x[3], *x[5:]],
        audit_trail.MISSING_RECORDS.format(line=4, first=4, last=4),
    ),
    "repetition": (
        lambda x: [*x, x[7]],
        audit_trail.OUT_OF_ORDER.format(line=9, sequence=8),
    ),
    "truncation": (
        lambda x: x[:6],
        audit_trail.WRONG_ANCHOR.format(origin="planilha", sequence=8),
    ),
    "insertion": (
        lambda x: [*x[:3], b'{"seq":4}\n', *x[3:]],
        audit_trail.ALTERED_LINE.format(line=4),
    ),
    "cut within the last": (
        lambda x: [*x[:7], x[7][:20]],
        audit_trail.UNFINISHED_LINE.format(line=8),
    ),
}


@pytest.mark.parametrize("attack", TAMPERING)
def test_tampering_is_found(trail: Path, attack: str) -> None:
    anchor = add(trail, *LINES)
    assert verified(trail, anchor).problems == ()
    change, problem = TAMPERING[attack]
    trail.write_bytes(b"".join(change(trail.read_bytes().splitlines(keepends=True))))
    assert verified(trail, anchor).problems[0] == problem


@effort(max_examples=60)
@given(st.data())
def test_no_single_byte_can_be_changed_unseen(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    trail = tmp_path_factory.mktemp("trail") / "audit.jsonl"
    anchor = add(trail, "a", "b", "c")
    content = bytearray(trail.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    trail.write_bytes(bytes(content))
    assert verified(trail, anchor).problems


def test_a_trail_rewritten_with_another_key_is_found(trail: Path) -> None:
    anchor = add(trail, *LINES)
    kept = key(trail).read_text()
    for file in (trail, key(trail)):
        file.unlink()
    add(trail, *LINES)
    assert verified(trail, anchor).problems, "the anchor is of the other key"
    key(trail).write_text(kept)
    assert len(verified(trail).problems) == len(LINES)


def test_nothing_is_added_to_a_trail_whose_end_was_changed(trail: Path) -> None:
    add(trail, "a", "b")
    trail.write_bytes(trail.read_bytes().replace(b'"b"', b'"x"'))
    with pytest.raises(AuditError, match=pattern(audit_trail.BROKEN)):
        add(trail, "c")


def test_a_record_that_a_killed_process_left_unfinished_is_no_tampering(trail: Path) -> None:
    add(trail, "a", "b")
    with trail.open("ab") as file:
        file.write(b'{"half":"of a li')
    anchor = add(trail, "c", "d")
    assert verified(trail, anchor) == audit_trail.Verification(4, "", "", ())
    trail.write_bytes(trail.read_bytes().replace(b"half", b"hidden"))
    assert verified(trail).problems, "its length is sealed"


def _write_many(arguments: tuple[Path, int]) -> None:
    trail, writer = arguments
    add(trail, *(f"{writer}-{number}" for number in range(50)))


def test_four_processes_at_once_leave_one_intact_chain(trail: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        pool.map(_write_many, [(trail, writer) for writer in range(4)])
    assert verified(trail).problems == ()
    assert sorted(record["what"] for record in records(trail)) == sorted(
        f"{writer}-{number}" for writer in range(4) for number in range(50)
    )


def test_a_trail_or_key_that_is_open_to_others_is_refused(trail: Path) -> None:
    add(trail, "a")
    trail.chmod(0o666)
    with pytest.raises(AuditError, match=pattern(audit_trail.OPEN_TO_OTHERS)):
        add(trail, "b")
    trail.chmod(0o600)
    key(trail).chmod(0o644)
    with pytest.raises(AuditError, match=pattern(file_permissions.EXPOSED)):
        add(trail, "b")
    key(trail).write_text("0123")
    key(trail).chmod(0o600)
    with pytest.raises(AuditError, match=pattern(audit_trail.BAD_KEY)):
        add(trail, "b")
    key(trail).unlink()
    with pytest.raises(AuditError, match=pattern(audit_trail.NO_KEY)):
        add(trail, "b")
    assert len(records(trail)) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_a_key_that_another_account_owns_or_can_replace_seals_nothing(trail: Path) -> None:
    add(trail, "a")
    os.chown(key(trail), 54321, -1)
    with pytest.raises(AuditError, match=pattern(file_permissions.FOREIGN)):
        add(trail, "b")
    with pytest.raises(AuditError, match=pattern(file_permissions.FOREIGN)):
        audit_trail.verify(trail, key(trail))
    os.chown(key(trail), 0, -1)
    key(trail).parent.chmod(0o777)
    with pytest.raises(AuditError, match=pattern(file_permissions.REPLACEABLE)):
        add(trail, "b")
    key(trail).parent.chmod(0o700)
    add(trail, "b")
    assert len(records(trail)) == 2


def test_a_trail_that_is_a_link_is_not_followed(trail: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("")
    trail.symlink_to(tmp_path / "victim")
    with pytest.raises(AuditError, match=pattern(audit_trail.NOT_WRITABLE)):
        add(trail, "a")
    assert (tmp_path / "victim").read_text() == ""


def test_a_full_disk_leaves_the_trail_as_it_was(
    trail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(trail, "a")
    before = trail.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AuditError, match=pattern(audit_trail.NOT_WRITABLE)):
        add(trail, "b")
    assert trail.read_bytes() == before


def test_a_disk_that_fills_up_while_the_key_is_made_leaves_no_part_of_one(
    trail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(AuditError, match=pattern(audit_trail.NOT_WRITABLE)):
            add(trail, "a")
    assert verified(trail, add(trail, "a")).problems == ()


HOLDER = """
import fcntl, sys
with open(sys.argv[1]) as file:
    fcntl.lockf(file, fcntl.LOCK_SH)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_that_somebody_else_holds_is_waited_for_no_longer_than_its_limit(
    trail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(trail, "a")
    lock = trail.with_name(f"{trail.name}.lock")
    monkeypatch.setattr(audit_trail, "_WAIT_SECONDS", 0.2)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AuditError, match=pattern(audit_trail.BUSY)):
            add(trail, "b")
    with audit_trail._THREAD_LOCK, pytest.raises(AuditError, match=pattern(audit_trail.BUSY)):
        add(trail, "b")
    assert len(records(trail)) == 1
    assert verified(trail, add(trail, "b")).problems == ()


def test_other_accounts_cannot_open_the_lock_and_so_cannot_hold_it(trail: Path) -> None:
    lock = trail.with_name(f"{trail.name}.lock")
    lock.touch(mode=0o644)
    add(trail, "a")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_a_trail_cut_by_its_last_newline_goes_on_and_is_intact(trail: Path) -> None:
    add(trail, "a", "b")
    whole = trail.read_bytes()
    trail.write_bytes(whole[:-1])
    anchor = add(trail, "c")
    assert trail.read_bytes().startswith(whole)
    assert verified(trail, anchor).problems == ()
    assert [record["seq"] for record in records(trail)] == [1, 2, 3]


@pytest.mark.parametrize("cut", [1, 2, 10, 60])
def test_a_trail_cut_anywhere_in_its_last_line_goes_on(trail: Path, cut: int) -> None:
    add(trail, "a", "b")
    trail.write_bytes(trail.read_bytes()[:-cut])
    add(trail, "c")
    assert verified(trail).problems == ()


HOSTILE = {
    "brackets": b"[" * 200_000,
    "objects": b'{"a":' * 50_000,
    "a deep value": b'{"seq": 1, "prev": ' + b"[" * 900 + b"]" * 900 + b"}",
    "a number without end": b'{"seq": ' + b"9" * 10_000 + b"}",
    "no object": b"[1, 2]",
    "no names": b"{}",
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_a_line_that_nobody_sealed_is_named_and_read_by_no_page(trail: Path, line: bytes) -> None:
    add(trail, "a")
    trail.write_bytes(trail.read_bytes() + line + b"\n")
    assert any(says(p, audit_trail.ALTERED_LINE) for p in verified(trail).problems)
    assert "a" in {record.get("what") for record in audit_trail.read(trail, 10)}
    with pytest.raises(AuditError, match=pattern(audit_trail.BROKEN)):
        add(trail, "b")
