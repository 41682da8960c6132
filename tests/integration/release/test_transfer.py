# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to a host, and that it is right whatever happened to the releases that are there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.release.support import built, release

PART = 40_000  # bytes of a file that does not compress


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    """A folder with ten files and a link."""
    folder = tmp_path / "source"
    (folder / "lib").mkdir(parents=True)
    for number in range(10):
        (folder / "lib" / f"{number}.php").write_bytes(os.urandom(PART))
    (folder / "lib" / "0.php").chmod(0o755)
    (folder / "main.php").symlink_to("lib/1.php")
    return folder


@pytest.fixture()
def live(source: Path, tmp_path: Path) -> Path:
    """An application's root whose live release is the folder as it is."""
    root = tmp_path / "app"
    given = built(source)
    assert release(root, "staged", **given)["sent_bytes"] > 10 * PART
    assert release(root, "active", release=given["release"])["changed"]
    return root


def assert_is(root: Path, name: str, source: Path) -> None:
    """The release ``name`` is the folder ``source``: names, contents, executable bits, links."""

    def look(folder: Path) -> dict[str, object]:
        return {
            str(path.relative_to(folder)): os.readlink(path)
            if path.is_symlink()
            else (path.read_bytes(), os.access(path, os.X_OK), path.stat().st_mode & 0o022)
            for path in folder.rglob("*")
            if path.is_symlink() or path.is_file()
        }

    expected = {
        name: (value[0], value[1], 0) if isinstance(value, tuple) else value for name, value in look(source).items()
    }
    assert look(root / "releases" / name) == expected


def test_only_contents_that_the_live_release_lacks_are_sent(source: Path, live: Path) -> None:
    (source / "lib" / "2.php").write_bytes(os.urandom(PART))
    (source / "lib" / "3.php").rename(source / "moved.php")
    (source / "lib" / "copy.php").write_bytes((source / "lib" / "4.php").read_bytes())
    (source / "lib" / "5.php").unlink()
    (source / "lib" / "6.php").chmod(0o755)
    given = built(source)
    sent = release(live, "staged", **given)["sent_bytes"]
    assert PART < sent < 1.5 * PART
    assert_is(live, given["release"], source)


def test_an_archive_may_lie_in_the_home_of_who_runs_ansible(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = built(source)
    monkeypatch.setenv("HOME", os.path.dirname(given["artifact"]))
    given["artifact"] = f"~/{os.path.basename(given['artifact'])}"
    assert release(tmp_path / "app", "staged", **given)["changed"]


def test_another_controller_sends_no_more(source: Path, live: Path, tmp_path: Path) -> None:
    (source / "lib" / "2.php").write_bytes(os.urandom(PART))
    for note in (tmp_path / "cache").glob("last-*"):
        note.unlink()
    given = built(source)
    assert PART < release(live, "staged", **given)["sent_bytes"] < 1.5 * PART
    assert_is(live, given["release"], source)


def test_a_host_that_is_not_as_it_was_left_is_asked(source: Path, live: Path, tmp_path: Path) -> None:
    shutil.rmtree(live)
    (source / "lib" / "2.php").write_bytes(os.urandom(PART))
    given = built(source)
    assert release(live, "staged", **given)["sent_bytes"] > 10 * PART
    assert_is(live, given["release"], source)


@pytest.mark.parametrize("tampering", ["content", "link", "gone", "manifest"])
def test_a_release_that_was_tampered_with_is_not_built_upon(source: Path, live: Path, tampering: str) -> None:
    current = live / "current"
    victim = current / "lib" / "2.php"
    before = victim.stat()
    if tampering == "content":  # by somebody who knows how to keep size and time
        victim.write_bytes(b"<?php evil();".ljust(PART))
        os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif tampering == "link":
        victim.unlink()
        victim.symlink_to("/etc/passwd")
    elif tampering == "gone":
        victim.unlink()
    else:
        next((live / "releases" / ".lamp").glob("*.manifest")).write_text("{")
    (source / "new.php").write_text("new")
    given = built(source)
    done = release(live, "staged", **given)
    assert done["sent_bytes"] > 10 * PART
    assert_is(live, given["release"], source)
    assert sorted(os.listdir(live / "releases")) == sorted(
        [".lamp", os.readlink(current).split("/")[1], given["release"]]
    )


def test_an_archive_in_a_folder_that_can_only_be_read_goes_whole(source: Path, live: Path, tmp_path: Path) -> None:
    (source / "lib" / "2.php").write_bytes(os.urandom(PART))
    given, share = built(source), tmp_path / "share"
    share.mkdir()
    given["artifact"] = shutil.copy(given["artifact"], share)
    subprocess.run(["mount", "--bind", str(share), str(share)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(share)], check=True)
        done = release(live, "staged", **given)
    finally:
        subprocess.run(["umount", "-l", str(share)], check=True)
    assert done.get("sent_bytes", 0) > 10 * PART, done
    assert_is(live, given["release"], source)


def test_a_big_release_goes_as_a_file_and_leaves_none_behind(source: Path, live: Path, tmp_path: Path) -> None:
    (source / "big.bin").write_bytes(os.urandom(600_000))
    given = built(source)
    remote = tmp_path / "remote"
    done = release(live, "staged", "-e", f"ansible_remote_tmp={remote}", **given)
    assert 600_000 < done["sent_bytes"] < 600_000 + PART
    assert_is(live, given["release"], source)
    assert list(remote.iterdir()) == []
