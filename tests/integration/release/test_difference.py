# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A diff names the paths that a release changes against the live one, in check mode as in the run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.release.support import built, on_host, release

SHARED: dict[str, Any] = {"shared_paths": ["uploads"]}


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    """A folder with something of each kind."""
    folder = tmp_path / "source"
    for name in (
        "lib/kept.php",
        "lib/edited.php",
        "lib/gone.php",
        "old/one.php",
        "bin/run",
        "settings",
        "uploads/seed",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "main.php").symlink_to("lib/kept.php")
    (folder / "turned").mkdir()
    return folder


def prepared(done: dict[str, Any]) -> list[str]:
    """The lines of a diff, without the application's root in front of each."""
    assert "diff" in done, done
    return [line.partition(": ")[2] for line in str(done["diff"]["prepared"]).splitlines()]


def staged(root: Path, **given: Any) -> list[str]:
    """What the plan and the run both say."""
    plan = prepared(release(root, "staged", "--check", "--diff", **given))
    assert plan == prepared(release(root, "staged", "--diff", **given))
    return plan


def test_each_path_that_differs_is_named_in_check_mode_as_in_the_run(source: Path, tmp_path: Path) -> None:
    root, template = tmp_path / "app", tmp_path / "settings.j2"
    template.write_text("of this host")
    given = {**SHARED, "templates": [{"src": str(template), "dest": "settings", "owner": "root", "group": "root"}]}
    first = built(source)
    nothing_live = prepared(release(root, "staged", "--diff", **first, **given))
    assert nothing_live == [f"stage {first['release']}", "render settings"]
    on_host(root, "active", release=first["release"], **SHARED)
    (source / "lib" / "edited.php").write_text("edited")
    (source / "lib" / "gone.php").unlink()
    shutil.rmtree(source / "old")
    (source / "bin" / "run").chmod(0o755)
    (source / "main.php").unlink()
    (source / "main.php").symlink_to("lib/edited.php")
    (source / "turned").rmdir()
    (source / "turned").write_text("into a file")
    (source / "new" / "empty").mkdir(parents=True)
    (source / "new" / "\x1b[2J").write_text("clears a screen")
    (source / "settings").write_text("which the template replaces")
    (source / "uploads" / "more").write_text("which nobody gets, as the path is shared")
    second = built(source)
    assert staged(root, **second, **given) == [
        f"stage {second['release']}, against the live {first['release']}:",
        "  changed bin/run",
        "  changed lib/edited.php",
        "  removed lib/gone.php",
        "  changed main.php",
        "  added new/",
        "  added 'new/\\x1b[2J'",
        "  added new/empty/",
        "  removed old/",
        "  removed old/one.php",
        "  changed turned",
        "render settings",
    ]
    assert release(root, "staged", "--diff", **second, **given)["changed"] is False


def test_without_a_diff_or_the_record_of_the_live_release_nothing_is_compared(source: Path, tmp_path: Path) -> None:
    root = tmp_path / "app"
    first = built(source)
    on_host(root, "staged", **first)
    on_host(root, "active", release=first["release"])
    (source / "lib" / "new.php").write_text("new")
    second = built(source)
    assert "diff" not in release(root, "staged", "--check", **second)
    (root / "releases" / ".lamp" / f"{first['release']}.manifest").unlink()
    assert staged(root, **second) == [f"stage {second['release']}"]
