# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy by the collection as Galaxy delivers it, installed from its tarball, to the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.dist import build, install
from tests.support.site import first_release, release
from tests.support.traffic import Traffic


@pytest.mark.long
def test_the_installed_tarball_deploys(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = install(build(tmp_path), tmp_path / "collections")
    made = release(tmp_path / "t1", "t1", after=first_release(cluster, tmp_path, "t0"))
    monkeypatch.setattr(cluster, "collections", tmp_path / "collections")
    with Traffic(cluster.url) as traffic:
        run = cluster.deploy(made, "-vv")
    assert run.code == 0, run.output
    assert f"task path: {place}/roles/deploy/tasks/lock.yml:" in run.output
    assert set(traffic.kinds()) == {"t0", "t1"}
    again = cluster.deploy(made)
    assert (again.code, again.changed) == (0, 0), again.output
