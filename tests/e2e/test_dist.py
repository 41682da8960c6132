# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy by the collection as Galaxy delivers it, installed from its tarball, to the cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.cluster import DEMO_APP, Cluster
from tests.support.dist import build, install
from tests.support.traffic import Traffic


def test_the_installed_tarball_deploys(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = install(build(tmp_path), tmp_path / "collections")
    release = tmp_path / "release"
    shutil.copytree(DEMO_APP / "v3", release)
    (release / "from-the-tarball.txt").write_text("so that there is something to switch")
    monkeypatch.setattr(cluster, "collections", tmp_path / "collections")
    with Traffic(cluster.url) as traffic:
        run = cluster.deploy(release, "-vv")
    assert run.code == 0, run.output
    assert f"task path: {place}/roles/deploy/tasks/lock.yml:" in run.output
    assert "v3" in traffic.kinds()
    again = cluster.deploy(release)
    assert (again.code, again.changed) == (0, 0), again.output
