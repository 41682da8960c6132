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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._release import package, stage
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import Layout
from ansible_collections.lamp.cluster.plugins.module_utils._release.paths import Owner
from ansible_collections.lamp.cluster.plugins.module_utils._release.shared import Furnishing

from tests.integration.release.support import built, on_host, release, staged_and_live
from tests.support.modules import run_module
from tests.support.servers.base import wait_until


def test_a_release_is_staged_switched_to_and_removed(source: Path, tmp_path: Path) -> None:
    root, names = tmp_path / "app", []
    for number in range(2):
        (source / "public" / "index.php").write_text(f"<?php echo {number};")
        given = {**built(source), "shared_paths": ["public/uploads"]}
        plan = release(root, "staged", "--check", **given)
        assert not (root / "releases" / given["release"]).exists()
        done = release(root, "staged", **given)
        assert done.pop("sent_bytes") > 0
        assert {**plan, "releases": []} == {**done, "releases": []}
        assert (done["changed"], done["staged"]) == (True, True)
        assert not release(root, "staged", **given)["changed"]
        plan = release(root, "active", "--check", release=given["release"])
        switched = release(root, "active", release=given["release"])
        assert plan["changed"] and switched["changed"]
        assert not release(root, "active", release=given["release"])["changed"]
        names.append(given["release"])
        assert (root / "current" / "public" / "index.php").read_text() == f"<?php echo {number};"
    assert not (root / "current" / ".git").exists()
    (root / "current" / "public" / "uploads" / "kept").touch()
    assert (root / "shared" / "public" / "uploads" / "kept").exists()
    assert (switched["current"], switched["previous"]) == (names[1], names[0])


def test_a_host_has_no_live_release_again_as_before_its_first_one(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    (first,) = staged_and_live(source, root, 1)
    plan, done = on_host(root, "inactive", check=True), on_host(root, "inactive")
    assert (plan["changed"], done["changed"], done["release"], done["current"]) == (True, True, "", "")
    assert not (root / "current").is_symlink()
    again = on_host(root, "inactive")
    assert (again["changed"], again["previous"]) == (False, ""), "what was given up is not gone back to"
    assert on_host(root, "active", release=first)["current"] == first


@pytest.mark.parametrize("place", ["elsewhere", "releases/20261120"], ids=["elsewhere", "among the releases"])
def test_current_leads_again_to_what_somebody_else_deployed(source: Path, tmp_path: Path, place: str) -> None:
    root, others = tmp_path / "app", tmp_path / "app" / place
    others.mkdir(parents=True)
    (root / "current").symlink_to(others)
    given = built(source)
    was = on_host(root, "staged", **given)["current"]
    on_host(root, "active", release=given["release"])
    back = {"release": was, "restore": True}
    plan, done = (on_host(root, "active", check=check, diff=True, **back) for check in (True, False))
    assert (plan["changed"], plan["diff"], done["changed"]) == (True, done["diff"], True)
    assert (done["release"], done["current"], done["previous"]) == (was, was, "")
    assert (root / "current").resolve() == others
    assert not on_host(root, "active", **back)["changed"]
    others.rmdir()
    on_host(root, "active", release=given["release"])
    assert on_host(root, "active", **back)["error_code"] in ("release_bad_name", "release_not_staged")
    assert (root / "current").resolve().name == given["release"]


def test_old_releases_go_and_a_rejected_one_does_not_come_back(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    names = staged_and_live(source, root, 3)
    plan = on_host(root, "pruned", keep=1, check=True)
    done = on_host(root, "pruned", keep=1)
    assert plan["removed"] == done["removed"] == [names[0]]
    assert not on_host(root, "pruned", keep=1)["changed"]
    assert on_host(root, "rejected", release=names[1], reason="broke the cart")["changed"]
    refused = on_host(root, "active", release=names[1])
    assert (refused["error_code"], "broke the cart" in refused["msg"]) == ("release_rejected", True)


def test_a_rejected_release_that_is_insisted_on_is_a_good_one_again(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    names = staged_and_live(source, root, 2)
    assert on_host(root, "rejected", release=names[0])["changed"]
    given: dict[str, Any] = {"release": names[0], "force": True, "diff": True}
    plan, done = on_host(root, "active", check=True, **given), on_host(root, "active", **given)
    assert (plan["changed"], plan["diff"]) == (done["changed"], done["diff"])
    assert "no longer rejected" in done["diff"]["prepared"]
    assert on_host(root, "active", release=names[0]).get("changed") is False  # nobody has to insist for ever
    assert on_host(root, "active", release=names[1])["previous"] == names[0]


def test_staging_makes_room_by_the_same_rule(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    names = staged_and_live(source, root, 3)
    (source / "public" / "index.php").write_text("<?php echo 'new';")
    given = {**built(source), "keep": 3}
    plan = on_host(root, "staged", check=True, **given)
    done = on_host(root, "staged", **given)
    assert plan["removed"] == done["removed"] == [names[0]]
    assert {entry["release"] for entry in done["releases"]} == {*names[1:], given["release"]}
    assert not on_host(root, "staged", **given)["changed"]


def test_a_release_is_removed_by_name_but_not_one_that_is_needed(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    names = staged_and_live(source, root, 2)
    (source / "public" / "index.php").write_text("<?php echo 'new';")
    given = built(source)
    assert on_host(root, "staged", **given)["changed"]
    names.append(given["release"])
    for needed in names[:2]:
        assert on_host(root, "absent", release=needed)["error_code"] == "release_in_use"
    plan = on_host(root, "absent", release=names[2], check=True, diff=True)
    assert (root / "releases" / names[2]).exists()
    done = on_host(root, "absent", release=names[2], diff=True)
    assert (plan["removed"], plan["diff"]) == (done["removed"], done["diff"]) == ([names[2]], plan["diff"])
    assert sorted(entry["release"] for entry in done["releases"]) == sorted(names[:2])
    assert not list((root / "releases" / ".lamp").glob(f"{names[2]}*"))
    assert not on_host(root, "absent", release=names[2])["changed"]


def test_a_missing_release_and_a_real_folder_are_refused(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    assert on_host(root, "active", release="0123456789abcdef")["error_code"] == "release_not_staged"
    assert release(root, "staged", release="0123456789abcdef")["error_code"] == "release_no_artifact"
    (root / "current").mkdir(parents=True)
    assert on_host(root, "pruned")["error_code"] == "release_current_not_link"


def test_a_plan_goes_on_from_what_would_have_been_staged(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    staged_and_live(source, root, 1)
    (source / "public" / "index.php").write_text("<?php echo 'new';")
    given = built(source)
    told: dict[str, Any] = {"release": given["release"], "document_root": "public", "services": [], "diff": True}
    plan = on_host(root, "active", check=True, **told)
    assert on_host(root, "staged", document_root="public", **given)["changed"]
    done = on_host(root, "active", check=True, **told)
    assert (plan.get("changed"), plan.get("diff")) == (True, done["diff"]), plan


@pytest.mark.parametrize("path", ["", "shop", "./shop"])
def test_a_root_that_is_not_absolute_is_refused(path: str) -> None:
    for state in ("staged", "pruned"):
        refused = run_module("release", {"path": path, "state": state, "release": "a" * 16})
        assert refused.get("error_code") == "release_bad_path", refused


def test_a_half_staged_release_is_not_taken_for_whole(source: Path, tmp_path: Path) -> None:
    made = built(source)
    root = tmp_path / "app"
    half = root / "releases" / made["release"]
    half.mkdir(parents=True)
    (half / "junk").touch()
    assert on_host(root, "active", release=made["release"])["error_code"] == "release_not_staged"
    assert on_host(root, "staged", **made)["changed"]
    assert not (half / "junk").exists()


def test_what_was_not_whole_gets_no_record_when_the_host_dies_while_it_is_replaced(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, layout = built(source), Layout(str(tmp_path / "app"))
    Path(layout.records).mkdir(parents=True)
    half = Path(layout.release(made["release"]))
    half.mkdir()
    monkeypatch.setattr(stage, "write_json", lambda *_given, **_options: os._exit(9))  # at the record
    child = os.fork()
    if not child:
        with open(made["artifact"], "rb") as content:
            stage.Staging(layout, made["release"], Furnishing(layout, [], [], Owner(), Owner()), None).run(
                content, lambda folder: None
            )
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert (half / "public" / "index.php").exists()  # in its place before there is a record that calls it whole


def test_a_package_that_is_cut_is_named(source: Path, tmp_path: Path) -> None:
    (source / "big").write_bytes(os.urandom(200_000))
    root, made = tmp_path / "app", built(source)
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(Path(made["artifact"]).read_bytes()[:100_000])
    failed = on_host(root, "staged", release=made["release"], artifact=str(cut))
    assert (failed["error_code"], os.listdir(root / "releases")) == ("release_bad_package", [".lamp"]), failed


def test_the_web_server_can_enter_whatever_umask_root_has(source: Path, tmp_path: Path) -> None:
    made, root = built(source), tmp_path / "srv" / "app"
    before = os.umask(0o077)
    try:
        done = on_host(root, "staged", shared_paths=["var/uploads"], **made)
    finally:
        os.umask(before)
    assert done["changed"], done
    folders = [root.parent, root, root / "releases", root / "releases" / made["release"], root / "shared" / "var"]
    assert [oct(folder.stat().st_mode & 0o777) for folder in folders] == ["0o755"] * len(folders)


def test_a_package_that_lacks_a_file_is_refused_and_not_told_as_staged(source: Path, tmp_path: Path) -> None:
    (source / "same.php").write_text("<?php echo 1;")
    root, made = tmp_path / "app", built(source)
    (source / "public" / "index.php").write_text("<?php echo 2;")
    newer = built(source)
    with open(made["artifact"], "rb") as stream:
        known = package.contents(package.Reader(stream).manifest)
    package.reduce(newer["artifact"], str(tmp_path / "part.tar.gz"), known)
    failed = on_host(root, "staged", release=newer["release"], artifact=str(tmp_path / "part.tar.gz"))
    assert (failed["error_code"], "same.php" in failed["msg"]) == ("release_bad_package", True), failed
    assert os.listdir(root / "releases") == [".lamp"]


def test_what_killed_stagings_left_is_swept(source: Path, tmp_path: Path) -> None:
    root, made = tmp_path / "app", built(source)
    assert on_host(root, "staged", **made)["changed"]
    left = [root / "releases" / ".staging-dead", root / "releases" / ".lamp" / ".writing-state.json-dead"]
    left[0].mkdir()
    left[1].touch()
    left.append(root / ".current-dead")  # of a switch
    left[2].symlink_to("releases/gone")
    plan = on_host(root, "pruned", check=True, diff=True)
    assert all(os.path.lexists(path) for path in left)
    done = on_host(root, "pruned", diff=True)
    assert plan["diff"] == done["diff"]
    assert all(str(path) in done["diff"]["prepared"] for path in left)
    assert not any(os.path.lexists(path) for path in left)
    assert not on_host(root, "pruned")["changed"]


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
    made, root = built(source), small_disk / "app"
    assert on_host(root, "staged", **made)["changed"]
    before = everything(small_disk)
    for number in range(files):
        (source / f"big{number}").write_bytes(os.urandom(size))
    bigger = built(source)
    result = on_host(root, "staged", **bigger)
    assert result["error_code"] == "release_disk_full"
    assert str(root) in result["msg"]
    assert everything(small_disk) == before
    assert on_host(root, "active", release=made["release"])["changed"]


def test_releases_may_lie_on_another_disk(source: Path, tmp_path: Path) -> None:
    root, disk = tmp_path / "app", tmp_path / "disk" / "of" / "releases"
    root.mkdir()
    disk.mkdir(parents=True)
    (root / "releases").symlink_to(disk)
    options = {"shared_paths": ["public/uploads"], **built(source)}
    assert on_host(root, "staged", **options)["changed"]
    assert on_host(root, "active", **options)["current"] == options["release"]
    (root / "shared" / "public" / "uploads" / "photo").write_text("shared")
    assert (root / "current" / "public" / "uploads" / "photo").read_text() == "shared"
    assert not on_host(root, "staged", **options)["changed"]


def test_an_empty_mount_point_that_is_to_be_seeded_is_named(source: Path, tmp_path: Path, small_disk: Path) -> None:
    (source / "public" / "uploads" / ".htaccess").write_text("Require all denied")
    root, made = tmp_path / "app", built(source)
    mounted = root / "shared" / "public" / "uploads"
    mounted.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(small_disk), str(mounted)], check=True)
    try:
        failed = on_host(root, "staged", shared_paths=["public/uploads"], **made)
        assert (failed["error_code"], str(mounted) in failed["msg"]) == ("release_shared_mount", True), failed
        assert (os.listdir(mounted), os.listdir(mounted.parent)) == ([], ["uploads"])
        (mounted / ".htaccess").write_text("Require all denied")
        assert on_host(root, "staged", shared_paths=["public/uploads"], **made)["changed"]
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)


def opened_elsewhere(path: str) -> bool:
    """Whether a process that is not this one has the file open. Processes come and go meanwhile."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if link.parts[2] != str(os.getpid()) and os.readlink(link) == path:
                return True
    return False


def test_two_at_once_wait_for_each_other(source: Path, tmp_path: Path) -> None:
    made, root = built(source), tmp_path / "app"
    given = made
    assert on_host(root, "staged", **given)["changed"]
    with open(root / "releases" / ".lamp" / "lock", "w") as lock, ThreadPoolExecutor(2) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = pool.submit(on_host, root, "active", release=made["release"])
        wait_until(lambda: opened_elsewhere(lock.name), "the second run at the lock")
        (root / "releases" / ".lamp" / "state.json").write_text(
            json.dumps({"schema": 1, "history": [], "rejected": {made["release"]: {"reason": "bad", "at": "now"}}})
        )
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert waiting.result()["error_code"] == "release_rejected"
