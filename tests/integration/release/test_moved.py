# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes shared without a new build is moved from the live release, wherever a run before was cut off."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._release.work import Work

from tests.integration.release.support import built, on_host

WRITER = 1  # daemon
FILES = {".env": "of root", "data/shop.sqlite": "of users", "var/uploads/a": "a user's", "var/uploads/b/c": "another's"}
EMPTY = "var/empty"
SHARED = [".env", "data/shop.sqlite", "var/uploads", EMPTY]
# One atomic step each.
STEPS = {f"os.{name}" for name in ("chmod", "chown", "link", "mkdir", "remove", "rename", "rmdir", "symlink")}


@pytest.fixture()
def live(tmp_path: Path) -> Path:
    """The root of an application, in the live release of which users put something."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "index.php").write_text("one")
    root, given = tmp_path / "live", built(tmp_path / "source")
    for state in ("staged", "active"):
        assert on_host(root, state, **given)["changed"]
    for path, content in FILES.items():
        file = root / "current" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (root / "current" / EMPTY).mkdir()
    return root


def share(root: Path) -> bool:
    """Have the paths shared, as the module does it; whether that changed something."""
    params: dict[str, Any] = {
        "path": str(root), "state": "staged", "release": (root / "current").resolve().name,
        "shared_paths": SHARED, "writable_paths": ["data", "var/uploads", EMPTY],
        "owner": "bin", "group": "bin", "writable_owner": "daemon", "writable_group": "daemon",
        "document_root": None, "rendered": None, "services": [], "artifact": None, "package": None,
    }  # fmt: skip
    return bool(Work(params, check_mode=False).run()["changed"])


def watched(root: Path, watch: Callable[[str, tuple[Any, ...]], None]) -> int:
    """How a process ends that shares the paths; ``watch`` is called in front of each of its system calls."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        sys.addaudithook(watch)
        share(root)
        os._exit(0)
    finally:
        os._exit(1)


def dying(step: int) -> Callable[[str, tuple[Any, ...]], None]:
    """Have a process die in front of its ``step``-th step."""
    left = itertools.count(step, -1)

    def watch(event: str, _given: tuple[Any, ...]) -> None:
        if event in STEPS and next(left) == 0:
            os._exit(9)

    return watch


def found(root: Path) -> dict[str, tuple[int, int, int, str]]:
    """All that is there, whose it is, and what is in it; not what a killed run left, which goes some day."""
    return {
        str(path.relative_to(root)): (
            now.st_uid, now.st_gid, now.st_mode,
            os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else "",
        )
        for path in sorted(root.rglob("*"))
        if not path.name.startswith(".staging-")
        for now in [path.lstat()]
    }  # fmt: skip


def test_what_becomes_shared_is_so_wherever_a_run_was_cut_off(live: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    subprocess.run(["cp", "-a", live, whole], check=True)
    assert share(whole)
    expected = found(whole)
    assert {path: expected[f"shared/{path}"][::3] for path in FILES} == {
        path: (0 if path == ".env" else WRITER, content) for path, content in FILES.items()
    }
    assert [(whole / "current" / path).is_symlink() for path in SHARED] == [True] * len(SHARED)
    lacking: Counter[str] = Counter()
    for step in itertools.count():
        root = tmp_path / str(step)
        subprocess.run(["cp", "-a", live, root], check=True)
        ended = watched(root, dying(step))
        lacking.update(path for path in SHARED if not (root / "current" / path).exists())
        lacking.update(path for path, content in FILES.items() if (root / "current" / path).exists()
                       and (root / "current" / path).read_text() != content)  # fmt: skip
        share(root)
        assert found(root) == expected, f"step {step}"
        assert not share(root)
        if ended == 0:
            break
        assert ended == 9
    assert step > 20
    # Between two system calls: a folder cannot be replaced by a link in one.
    assert lacking == {"var/uploads": 1, EMPTY: 1}


def test_what_vanishes_meanwhile_is_not_missed(live: Path) -> None:
    """The application goes on at work."""
    uploads = (live / "current" / "var" / "uploads").resolve()
    for number in range(5):
        (uploads / f"session-{number}").touch()

    def vanish(event: str, given: tuple[Any, ...]) -> None:
        if event == "os.chown" and os.path.basename(os.readlink(f"/proc/self/fd/{given[0]}")).startswith("session-"):
            for folder in (uploads, live / "shared" / "var" / "uploads"):
                for session in folder.glob("session-*"):
                    session.unlink()

    assert watched(live, vanish) == 0
    assert sorted(path.name for path in (live / "current" / "var" / "uploads").iterdir()) == ["a", "b"]
    assert not share(live)
