# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What releases are made of in these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.release.sources import Repository


@pytest.fixture()
def source(tmp_path: Path) -> Path:
    """A folder to deploy."""
    folder = tmp_path / "source"
    (folder / "public").mkdir(parents=True)
    (folder / "public" / "index.php").write_text("<?php echo 1;")
    (folder / "public" / "uploads").mkdir()
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("not for the web")
    return folder


@pytest.fixture()
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


@pytest.fixture()
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.commit({"index.php": "one", "bin/run": "run", "tests/t.php": "t", ".gitattributes": "tests export-ignore\n"})
    (made.folder / "bin" / "run").chmod(0o755)
    made.commit({"index.php": "two"})
    made.git("tag", "-a", "v2", "-m", "two")
    return made
