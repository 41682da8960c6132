# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""artifact, release and deploy_lock as a user calls them: through ansible, on localhost."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.modules import run_ansible
from tests.support.servers.base import wait_until


def ansible(module: str, arguments: dict[str, Any], *options: str) -> dict[str, Any]:
    """The result of one module on localhost."""
    interpreter = f"ansible_python_interpreter={sys.executable}"
    return run_ansible("localhost", "localhost,", module, arguments, "-c", "local", "-e", interpreter, *options)


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "public").mkdir(parents=True)
    (folder / "public" / "index.php").write_text("<?php echo 1;")
    (folder / "public" / "uploads").mkdir()
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("not for the web")
    return folder


def build(source: Path, tmp_path: Path, **options: Any) -> dict[str, Any]:
    return ansible("artifact", {"source": str(source), "cache_dir": str(tmp_path / "cache"), **options})


def release(root: Path, state: str, *options: str, **arguments: Any) -> dict[str, Any]:
    owners = {"writable_owner": "root", "writable_group": "root"}
    return ansible("release", {"path": str(root), "state": state, **owners, **arguments}, *options)


def test_a_release_is_staged_switched_to_and_removed(source: Path, tmp_path: Path) -> None:
    root, names = tmp_path / "app", []
    for number in range(3):
        (source / "public" / "index.php").write_text(f"<?php echo {number};")
        made = build(source, tmp_path)
        given = {"release": made["release"], "artifact": made["archive"], "shared_paths": ["public/uploads"]}
        plan = release(root, "staged", "--check", **given)
        assert not (root / "releases" / made["release"]).exists()
        done = release(root, "staged", **given)
        assert done.pop("sent_bytes") > 0
        assert {**plan, "releases": []} == {**done, "releases": []}
        assert (done["changed"], done["staged"]) == (True, True)
        assert not release(root, "staged", **given)["changed"]
        plan = release(root, "active", "--check", release=made["release"])
        switched = release(root, "active", release=made["release"])
        assert plan["changed"] and switched["changed"]
        assert not release(root, "active", release=made["release"])["changed"]
        names.append(made["release"])
        assert (root / "current" / "public" / "index.php").read_text() == f"<?php echo {number};"
    assert not (root / "current" / ".git").exists()
    (root / "current" / "public" / "uploads" / "kept").touch()
    assert (root / "shared" / "public" / "uploads" / "kept").exists()
    assert (switched["current"], switched["previous"]) == (names[2], names[1])
    plan = release(root, "pruned", "--check", keep=1)
    done = release(root, "pruned", keep=1)
    assert plan["removed"] == done["removed"] == [names[0]]
    assert not release(root, "pruned", keep=1)["changed"]
    assert release(root, "rejected", release=names[1], reason="broke the cart")["changed"]
    refused = release(root, "active", release=names[1])
    assert (refused["error_code"], "broke the cart" in refused["msg"]) == ("release_rejected", True)


def test_a_release_is_removed_by_name_but_not_one_that_is_needed(source: Path, tmp_path: Path) -> None:
    root, names = tmp_path / "app", []
    for number in range(3):
        (source / "public" / "index.php").write_text(f"<?php echo {number};")
        made = build(source, tmp_path)
        names.append(made["release"])
        assert release(root, "staged", release=names[-1], artifact=made["archive"])["changed"]
        if number < 2:
            assert release(root, "active", release=names[-1])["changed"]
    for needed in names[:2]:
        assert release(root, "absent", release=needed)["error_code"] == "release_in_use"
    plan = release(root, "absent", "--check", "--diff", release=names[2])
    assert (root / "releases" / names[2]).exists()
    done = release(root, "absent", "--diff", release=names[2])
    assert (plan["removed"], plan["diff"]) == (done["removed"], done["diff"]) == ([names[2]], plan["diff"])
    assert sorted(entry["release"] for entry in done["releases"]) == sorted(names[:2])
    assert not list((root / "releases" / ".lamp").glob(f"{names[2]}*"))
    assert not release(root, "absent", release=names[2])["changed"]


def test_the_same_content_is_the_same_release_wherever_it_lies(source: Path, tmp_path: Path) -> None:
    first = build(source, tmp_path)
    moved = source.rename(tmp_path / "elsewhere")
    os.utime(moved / "public" / "index.php", (1, 1))
    (moved / ".git" / "config").write_text("changed")
    tarball = tmp_path / "shop.tar.gz"
    subprocess.run(["tar", "-czf", str(tarball), "--exclude=.git", "-C", str(moved), "."], check=True)
    assert build(moved, tmp_path)["release"] == build(tarball, tmp_path)["release"] == first["release"]
    (moved / "public" / "index.php").chmod(0o755)
    assert build(moved, tmp_path)["release"] != first["release"]


@pytest.mark.parametrize(
    ("spoil", "code", "named"),
    [
        (lambda folder: (folder / "out").symlink_to("/etc/passwd"), "artifact_unsafe_entry", "out"),
        (lambda folder: (folder / "out").symlink_to("../../x"), "artifact_unsafe_entry", "out"),
        (lambda folder: os.mkfifo(folder / "pipe"), "artifact_unsafe_entry", "pipe"),
        (
            lambda folder: (folder / ".lamp.yml").write_text("drop_session: true"),
            "artifact_bad_metadata",
            "drop_session",
        ),
    ],
)
def test_what_no_release_may_hold_is_refused_by_name(
    source: Path, tmp_path: Path, spoil: Any, code: str, named: str
) -> None:
    spoil(source)
    result = build(source, tmp_path)
    assert result["error_code"] == code
    assert named in result["msg"]


def test_a_tag_in_the_release_is_read_and_sources_are_checked(source: Path, tmp_path: Path) -> None:
    (source / ".lamp.yml").write_text("drop_sessions: true\n")
    assert build(source, tmp_path)["drop_sessions"] is True
    assert build(tmp_path / "nowhere", tmp_path)["error_code"] == "artifact_no_source"
    junk = tmp_path / "junk.tar"
    junk.write_text("no tarball")
    assert build(junk, tmp_path)["error_code"] == "artifact_bad_tarball"
    assert build(junk, tmp_path, checksum="sha256:00")["error_code"] == "artifact_wrong_checksum"


@pytest.mark.parametrize(
    ("name", "kind"), [("/etc/cron.d/evil", b"0"), ("../evil", b"0"), ("a/../../evil", b"0"), ("null", b"3")]
)
def test_a_tarball_cannot_write_outside_of_itself(tmp_path: Path, name: str, kind: bytes) -> None:
    tarball = tmp_path / "evil.tar"
    with tarfile.open(tarball, "w") as tar:
        member = tarfile.TarInfo(name)
        member.type = kind
        tar.addfile(member)
    result = build(tarball, tmp_path)
    assert result["error_code"] == "artifact_unsafe_entry"
    assert not (tmp_path / "evil").exists()


def test_a_tarball_cannot_write_through_its_own_link(tmp_path: Path) -> None:
    tarball, outside = tmp_path / "evil.tar", tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(tarball, "w") as tar:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("way/evil"))
    assert "error_code" in build(tarball, tmp_path)
    assert list(outside.iterdir()) == []


def test_a_missing_release_and_a_real_folder_are_refused(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    assert release(root, "active", release="0123456789abcdef")["error_code"] == "release_not_staged"
    assert release(root, "staged", release="0123456789abcdef")["error_code"] == "release_no_artifact"
    (root / "current").mkdir(parents=True)
    assert release(root, "pruned")["error_code"] == "release_current_not_link"


def test_a_half_staged_release_is_not_taken_for_whole(source: Path, tmp_path: Path) -> None:
    made = build(source, tmp_path)
    root = tmp_path / "app"
    half = root / "releases" / made["release"]
    half.mkdir(parents=True)
    (half / "junk").touch()
    assert release(root, "active", release=made["release"])["error_code"] == "release_not_staged"
    assert release(root, "staged", release=made["release"], artifact=made["archive"])["changed"]
    assert not (half / "junk").exists()


def test_what_killed_stagings_left_is_swept(source: Path, tmp_path: Path) -> None:
    root, made = tmp_path / "app", build(source, tmp_path)
    assert release(root, "staged", release=made["release"], artifact=made["archive"])["changed"]
    left = [root / "releases" / ".staging-dead", root / "releases" / ".lamp" / ".writing-state.json-dead"]
    left[0].mkdir()
    left[1].touch()
    plan = release(root, "pruned", "--check", "--diff")
    assert all(path.exists() for path in left)
    done = release(root, "pruned", "--diff")
    assert plan["diff"] == done["diff"]
    assert all(str(path) in done["diff"]["prepared"] for path in left)
    assert not any(path.exists() for path in left)
    assert not release(root, "pruned")["changed"]


@pytest.fixture()
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("files", "size"),
    [(1, 2_000_000), (300, 1)],  # small files need more room than they have bytes
    ids=["foreseen", "met while writing"],
)
def test_a_full_disk_is_named_and_nothing_is_left(
    source: Path, tmp_path: Path, small_disk: Path, files: int, size: int
) -> None:
    made, root = build(source, tmp_path), small_disk / "app"
    assert release(root, "staged", release=made["release"], artifact=made["archive"])["changed"]
    before = everything(small_disk)
    for number in range(files):
        (source / f"big{number}").write_bytes(os.urandom(size))
    bigger = build(source, tmp_path)
    result = release(root, "staged", release=bigger["release"], artifact=bigger["archive"])
    assert result["error_code"] == "release_disk_full"
    assert str(root) in result["msg"]
    assert everything(small_disk) == before
    assert release(root, "active", release=made["release"])["changed"]


def opened_elsewhere(path: str) -> bool:
    """Whether a process that is not this one has the file open. Processes come and go meanwhile."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if link.parts[2] != str(os.getpid()) and os.readlink(link) == path:
                return True
    return False


def test_two_at_once_wait_for_each_other(source: Path, tmp_path: Path) -> None:
    made, root = build(source, tmp_path), tmp_path / "app"
    given = {"release": made["release"], "artifact": made["archive"]}
    assert release(root, "staged", **given)["changed"]
    with open(root / "releases" / ".lamp" / "lock", "w") as lock, ThreadPoolExecutor(2) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = pool.submit(release, root, "active", release=made["release"])
        wait_until(lambda: opened_elsewhere(lock.name), "the second run at the lock")
        (root / "releases" / ".lamp" / "state.json").write_text(
            json.dumps({"schema": 1, "history": [], "rejected": {made["release"]: {"reason": "bad", "at": "now"}}})
        )
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert waiting.result()["error_code"] == "release_rejected"


def test_the_lock_excludes_and_a_dead_holder_is_taken_over(tmp_path: Path) -> None:
    given = {"name": "shop", "path": str(tmp_path)}
    first = ansible("deploy_lock", given)
    assert (first["holder"]["user"], first["stale_taken"]) == ("root", "")
    again = ansible("deploy_lock", given)  # by another process, as the first one has ended
    assert "process" in again["stale_taken"]
    other = tmp_path / "shop.json"
    held = json.loads(other.read_text())
    other.write_text(json.dumps({**held, "boot": "an earlier one"}))
    assert "process" in ansible("deploy_lock", given)["stale_taken"]
    for elsewhere in ({"machine": "another of the same name"}, {"namespace": "pid:[1]"}, {"controller": "elsewhere"}):
        other.write_text(json.dumps({**held, **elsewhere, "user": "ann"}))
        assert ansible("deploy_lock", given)["error_code"] == "deploy_lock_held", elsewhere
    refused = ansible("deploy_lock", given)
    assert (refused["error_code"], "ann on elsewhere" in refused["msg"]) == ("deploy_lock_held", True)
    assert ansible("deploy_lock", {**given, "state": "free"})["error_code"] == "deploy_lock_held"
    assert ansible("deploy_lock", {**given, "state": "free", "force": True})["holder"] == {}
    assert not other.exists()
    assert ansible("deploy_lock", {**given, "name": "../shop"})["error_code"] == "deploy_lock_bad_name"
