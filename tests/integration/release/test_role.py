# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role `release` in a playbook of somebody's own, against a real web server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.integration.release.support import built
from tests.integration.release.test_freshness import FORGETFUL, make_source, versions
from tests.integration.release.web import ModPhp
from tests.support.modules import BIN, COLLECTIONS


def play(folder: Path, variables: dict[str, Any], *entry_points: str) -> str:
    """What ansible-playbook prints for a play that includes entry points of the role."""
    tasks = [{"include_role": {"name": "lamp.cluster.release", "tasks_from": name}} for name in entry_points]
    show = {"debug": {"msg": "current={{ release_status.current }} previous={{ release_status.previous }}"}}
    playbook = [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": [*tasks, show]}]
    (folder / "site.yml").write_text("---\n" + yaml.safe_dump(playbook))
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local", "--diff", str(folder / "site.yml")],
        capture_output=True, text=True, check=False,
        env={
            **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable, "PATH": variables["path"],
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_site_is_deployed_by_the_role_alone(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "env.j2").write_text("PASSWORD={{ password }}\n")
    with ModPhp(FORGETFUL) as web:
        variables: dict[str, Any] = {
            "path": web.path,
            "password": "the-secret",
            "release_path": str(web.root),
            "release_url": web.url,
            "release_document_root": "public",
            "release_shared_paths": ["uploads"],
            "release_writable_paths": ["uploads"],
            "release_templates": [{"src": "env.j2", "dest": ".env"}],
            "release_services": ["web"],
        }
        names = []
        for version in ("one", "two"):
            given = built(make_source(tmp_path / "source", version))
            names.append(given["release"])
            variables.update({"release_id": given["release"], "release_artifact": given["artifact"]})
            output = play(tmp_path, variables, "main", "status")
            assert versions(web) == {f"{version} {version}"}
            assert "the-secret" not in output
        assert f"current={names[1]} previous={names[0]}" in output
        assert web.reloads == 1  # for the first, before which nobody could be asked
        assert (web.root / "current" / ".env").read_text() == "PASSWORD=the-secret\n"
        assert (web.root / "current" / "uploads").resolve() == web.root / "shared" / "uploads"
        assert "changed=0" in play(tmp_path, variables, "main", "status")
        shutil.copytree(web.root / "releases" / names[0], web.root / "releases" / ".staging-left")
        variables["release_id"] = "0123456789abcdef"
        assert "remove the leftover" in play(tmp_path, variables, "remove", "status")
        assert len(list((web.root / "releases").iterdir())) == 3
