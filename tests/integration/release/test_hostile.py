# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that was broken into plants links in what it may write to; root must not follow them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.release.support import built, on_host

WEB = 33  # www-data
OWNERS: dict[str, Any] = {"writable_owner": "www-data", "writable_group": "www-data"}
PATHS: dict[str, Any] = {
    "shared_paths": ["var/uploads", "var/log"],
    "writable_paths": ["var/uploads", "var/log", "cache"],
}


@pytest.fixture()
def outside(tmp_path: Path) -> Path:
    """What the attacker is after: a file and a folder of root's."""
    folder = tmp_path / "outside"
    (folder / "below").mkdir(parents=True)
    (folder / "shadow").write_text("root's")
    return folder


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name in ("var/uploads/seed.txt", "var/log/seed.txt", "cache/a/b.txt", "index.php"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("one")
    return folder


@pytest.fixture()
def live(source: Path, tmp_path: Path) -> Path:
    root = tmp_path / "app"
    stage(root, source)
    assert on_host(root, "active", release=built(source)["release"])["changed"]
    return root


def stage(root: Path, source: Path, **options: Any) -> dict[str, Any]:
    return on_host(root, "staged", **{**built(source), **PATHS, **OWNERS, **options})


def next_version(source: Path) -> None:
    (source / "index.php").write_text("two")


def untouched(outside: Path) -> bool:
    found = [outside, *outside.rglob("*")]
    return all(path.stat().st_uid == 0 for path in found) and sorted(os.listdir(outside)) == ["below", "shadow"]


def test_the_web_server_owns_what_it_may_write_and_no_code(live: Path) -> None:
    owned = {str(path.relative_to(live)) for path in live.rglob("*") if path.lstat().st_uid == WEB}
    name = os.readlink(live / "current")
    cache = {f"{name}/cache", f"{name}/cache/a", f"{name}/cache/a/b.txt"}
    shared = {f"shared/var/{folder}{file}" for folder in ("uploads", "log") for file in ("", "/seed.txt")}
    assert owned == cache | shared
    writable = [path for path in live.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert writable == []


def test_a_shared_folder_that_became_a_link_is_not_followed(live: Path, source: Path, outside: Path) -> None:
    uploads = live / "shared" / "var" / "uploads"
    (uploads / "seed.txt").unlink()
    uploads.rmdir()
    uploads.symlink_to(outside)
    next_version(source)
    assert stage(live, source)["error_code"] == "release_unsafe_path"
    assert untouched(outside)
    assert on_host(live, "pruned")["current"]


def test_a_parent_of_shared_folders_that_became_a_link_is_not_followed(live: Path, source: Path, outside: Path) -> None:
    parent = live / "shared" / "var"
    parent.rename(live / "shared" / "away")
    parent.symlink_to(outside)
    next_version(source)
    assert stage(live, source)["error_code"] == "release_unsafe_path"
    assert untouched(outside)


def test_links_in_writable_folders_of_a_release_are_left_alone(live: Path, source: Path, outside: Path) -> None:
    cache = live / "current" / "cache"
    (cache / "folder").symlink_to(outside)
    (cache / "file").symlink_to(outside / "shadow")
    os.link(outside / "shadow", cache / "second-name")
    os.mkfifo(cache / "pipe")
    os.chown(cache, 0, 0)  # so that there is something to mend
    assert stage(live, source)["changed"]
    assert cache.stat().st_uid == WEB
    assert untouched(outside)


def test_a_template_is_not_written_through_a_link(live: Path, source: Path, outside: Path) -> None:
    content = base64.b64encode(b"secret").decode()
    rendered = json.dumps([{"dest": "index.php", "mode": "0640", "owner": "root", "group": "root", "content": content}])
    place = live / "current" / "index.php"
    place.unlink()
    place.symlink_to(outside / "shadow")
    name = built(source)["release"]
    refused = on_host(live, "active", release=name, rendered=rendered, **PATHS, **OWNERS)
    assert refused["error_code"] == "release_unsafe_path"
    assert (outside / "shadow").read_text() == "root's"


def test_a_writable_folder_that_becomes_shared_gives_nothing_of_others_away(live: Path, source: Path) -> None:
    """What it holds by then is the web server's work: it is moved, and neither read nor given to anybody."""
    secret = live.parent / "secret"
    secret.write_text("root's")
    mode = secret.stat().st_mode & 0o777
    cache = live / "current" / "cache"
    (cache / "file").symlink_to(secret)
    (cache / "folder").symlink_to(secret.parent)
    os.link(secret, cache / "second-name")
    os.mkfifo(cache / "pipe")
    with ThreadPoolExecutor(1) as pool:  # a pipe that is opened without care is waited for
        done = pool.submit(stage, live, source, shared_paths=[*PATHS["shared_paths"], "cache"])
        try:
            assert done.result(timeout=30)["changed"]
        except TimeoutError:
            os.close(os.open(cache / "pipe", os.O_RDWR))
            raise
    shared = live / "shared" / "cache"
    moved = [path.name for path in sorted(shared.rglob("*")) if not path.is_symlink()]
    assert moved == ["a", "b.txt", "pipe", "second-name"]
    assert [(shared / name).stat().st_uid for name in ("a/b.txt", "second-name")] == [WEB, 0]
    assert (secret.stat().st_nlink, secret.stat().st_mode & 0o777, secret.read_text()) == (2, mode, "root's")


@pytest.fixture()
def reachable() -> Iterator[Path]:
    """A folder that the web server's user can come to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("place", "group", "mode"),
    [("srv/app", WEB, 0o755), ("srv/app/releases", WEB, 0o755), ("srv", 0, 0o775), ("srv/app", 0, 0o777)],
    ids=["its own", "releases", "its group's, above", "everybody's"],
)
def test_a_root_in_which_the_web_server_could_replace_the_code_is_refused(
    source: Path, reachable: Path, place: str, group: int, mode: int
) -> None:
    root = reachable / "srv" / "app"
    (root / "releases").mkdir(parents=True)
    os.chown(reachable / place, group, WEB)
    (reachable / place).chmod(mode)
    for check in (True, False):
        refused = on_host(root, "staged", check=check, **built(source), **OWNERS)
        assert (refused.get("error_code"), f"{reachable / place}," in refused["msg"]) == ("release_writable_root", True)
    assert list((root / "releases").glob("[0-9a-f]*")) == []
    assert on_host(root, "staged", owner="www-data", **built(source), **OWNERS)["changed"]  # somebody's own wish


def test_removal_does_not_follow_links(live: Path, source: Path, outside: Path) -> None:
    (live / "current" / "cache" / "folder").symlink_to(outside)
    old = os.path.basename(os.readlink(live / "current"))
    for number in range(2):
        (source / "index.php").write_text(str(number))
        stage(live, source)
        assert on_host(live, "active", release=built(source)["release"])["changed"]
    assert on_host(live, "absent", release=old)["removed"] == [old]
    assert untouched(outside)


def test_an_empty_shared_folder_is_seeded_and_one_with_files_is_not(live: Path, source: Path) -> None:
    uploads, log = live / "shared" / "var" / "uploads", live / "shared" / "var" / "log"
    (uploads / "seed.txt").unlink()
    uploads.chmod(0o770)
    (log / "seed.txt").write_text("of the application")
    (source / "var" / "uploads" / "new.txt").write_text("new")
    next_version(source)
    assert stage(live, source)["changed"]
    assert sorted(os.listdir(uploads)) == ["new.txt", "seed.txt"]
    assert (uploads.stat().st_uid, uploads.stat().st_mode & 0o777) == (WEB, 0o770)
    assert (log / "seed.txt").read_text() == "of the application"
    assert not (log / "new.txt").exists()
