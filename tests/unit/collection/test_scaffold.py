# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/scaffold: what it writes passes the checkers and has the form that the collection's own parts have."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.backend import Backend
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Store

from tests.support.modules import BIN, ROOT


def scaffold(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "scaffold"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("kind", "folder", "form"),
    [("session-store", "_session_stores", Store), ("maintenance-backend", "_maintenance", Backend)],
)
def test_what_it_writes_is_clean_and_of_the_right_form(tmp_path: Path, kind: str, folder: str, form: type) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "tests" / "support", tmp_path / "tests" / "support")  # ruff looks there for what is ours
    done = scaffold(kind, "valkyrie", "--into", str(tmp_path))
    assert done.returncode == 0, done.stderr
    written = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("written")]
    assert len(written) == 3
    assert "left to do" in done.stdout
    for command in (["check", "--quiet"], ["format", "--check"]):
        checked = subprocess.run(
            [BIN / "ruff", *command, "."], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
    path = tmp_path / "plugins" / "module_utils" / folder / "valkyrie.py"
    spec = importlib.util.spec_from_file_location("valkyrie", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    methods = {name for name in vars(form) if not name.startswith("_")}
    assert methods
    assert methods <= set(dir(module.Valkyrie))
    assert scaffold(kind, "valkyrie", "--into", str(tmp_path)).returncode == 2  # nothing is overwritten


def test_a_name_must_be_a_word(tmp_path: Path) -> None:
    refused = scaffold("session-store", "../x", "--into", str(tmp_path))
    assert refused.returncode == 2
    assert "lower-case word" in refused.stderr
