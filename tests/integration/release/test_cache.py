# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller keeps: only its own goes when it is old, and what is damaged does not stop a deploy silently."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._release import package
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.artifact import Options, make
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.cache import reduced

from tests.integration.release.sources import Repository
from tests.integration.release.support import built, on_host, release


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("index.php", "same.php"):
        (folder / name).write_bytes(os.urandom(20_000))
    return folder


def test_nothing_but_its_own_is_removed_from_the_cache(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    theirs = [folder / name for name in ("thesis.tar.gz", "tree-photos", "git-repositories", "notes")]
    folder.mkdir()
    for path in theirs:
        path.mkdir()
    make(Options(str(source), str(folder)))
    own = [path for path in folder.iterdir() if path not in theirs]
    for path in [*theirs, *own]:
        os.utime(path, (0, time.time() - 31 * 86400))
    (source / "index.php").write_text("two")
    make(Options(str(source), str(folder)))
    assert [path for path in [*theirs, *own] if path.exists()] == theirs


def test_what_it_keeps_is_its_users_alone_wherever_it_lies(source: Path, tmp_path: Path) -> None:
    folder, repository = tmp_path / "everybody's", Repository(tmp_path / "repository")
    repository.commit({"index.php": "one"})
    folder.mkdir()
    folder.chmod(0o755)
    make(Options(str(source), str(folder)))
    make(Options(str(repository.folder), str(folder), "main", build=["true"]))
    kept = {path.name.partition("-")[0]: path.stat().st_mode & 0o077 for path in folder.iterdir()}
    assert ({"git", "tree", "built"} <= set(kept), set(kept.values())) == (True, {0}), kept


def test_a_removal_that_was_cut_off_leaves_nothing_that_is_taken_for_whole(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, repository = tmp_path / "cache", Repository(tmp_path / "repository")
    options = Options(str(repository.folder), str(folder), repository.commit({"a.php": "a", "b.php": "b"}))
    made = make(options)
    for path in folder.iterdir():
        os.utime(path, (0, time.time() - 31 * 86400))

    remove = shutil.rmtree

    def killed(path: str, **how: Any) -> None:
        if not (Path(path) / "a.php").exists():
            return remove(path, **how)
        (Path(path) / "a.php").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", killed)
        make(options)
    assert make(options) == made


def damage(archive: str) -> None:
    """Some bytes in the middle are other ones."""
    path = Path(archive)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def test_a_damaged_archive_is_named_with_the_command_that_has_it_made_anew(source: Path, tmp_path: Path) -> None:
    root, made = tmp_path / "app", built(source)
    damage(made["artifact"])
    failed = release(root, "staged", **made)
    assert (failed["error_code"], f"rm {made['artifact']}" in failed["msg"]) == ("release_bad_package", True), failed
    os.unlink(made["artifact"])
    assert on_host(root, "staged", **built(source))["changed"]


def test_a_damaged_part_of_an_archive_is_no_reason_to_fail(source: Path, tmp_path: Path) -> None:
    root, first = tmp_path / "app", built(source)
    on_host(root, "staged", **first)
    (source / "index.php").write_bytes(os.urandom(20_000))
    second = built(source)
    with open(first["artifact"], "rb") as content:
        part = reduced(second["artifact"], package.contents(package.Reader(content).manifest))
    damage(part)
    done = release(root, "staged", **second)
    assert (done["changed"], done["sent_bytes"]) == (True, os.path.getsize(second["artifact"])), done
    assert not os.path.exists(part)
