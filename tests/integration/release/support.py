# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of releases share: the modules on localhost, as a user calls them, or alone, which is faster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.artifact import Options, make

from tests.support.modules import run_here, run_module


def built(source: Path) -> dict[str, Any]:
    """The options ``release`` and ``artifact`` for a folder."""
    made = make(Options(str(source), str(source.parent / "cache")))
    return {"release": made["release"], "artifact": made["archive"]}


def release(root: Path, state: str, *options: str, **arguments: Any) -> dict[str, Any]:
    """The module ``release``, with root as the web server."""
    owners = {"writable_owner": "root", "writable_group": "root"}
    return run_here("release", {"path": str(root), "state": state, **owners, **arguments}, *options)


def on_host(root: Path, state: str, *, check: bool = False, diff: bool = False, **arguments: Any) -> dict[str, Any]:
    """The module ``release`` alone, as it runs on a host when the controller has brought the artifact."""
    owners = {"writable_owner": "root", "writable_group": "root"}
    return run_module("release", {"path": str(root), "state": state, **owners, **arguments}, check=check, diff=diff)


def staged_and_live(source: Path, root: Path, count: int) -> list[str]:
    """The names of releases that were live one after the other."""
    names = []
    for number in range(count):
        (source / "public" / "index.php").write_text(f"<?php echo {number};")
        given = built(source)
        names.append(given["release"])
        assert on_host(root, "staged", **given)["changed"]
        assert on_host(root, "active", release=names[-1])["changed"]
    return names
