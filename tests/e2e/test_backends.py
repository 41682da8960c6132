# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deploy's window where HAProxy blocks for all web hosts."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import DEMO_APP, Cluster, address
from tests.support.traffic import Traffic

WEB = [address(f"web{number}") for number in (1, 2, 3)]
LB = address("lb1")
HAPROXY: dict[str, Any] = {"maintenance_backend": "haproxy", "maintenance_balancers": ["lb1"]}


def run(cluster: Cluster, playbook: str, variables: dict[str, Any], *arguments: str) -> str:
    done = cluster.playbook(playbook, "-e", json.dumps(variables), *arguments)
    assert done.code == 0, done.output
    return done.output


def served(host: str) -> int:
    """The status of the site on one host."""
    try:
        with urllib.request.urlopen(f"http://{host}/", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def deploy_with_a_window(cluster: Cluster, variables: dict[str, Any], folder: Path) -> None:
    """A delta that makes a window due; visitors get the old release, the page or the new one."""
    number = 900 + len(variables)
    shutil.copytree(DEMO_APP / "v3", folder / "release")
    (folder / "release" / "db" / "deltas" / f"{number}_backend.sql").write_text(
        f"CREATE TABLE backend_{number} (a INT);\n"
    )
    with Traffic(cluster.url, rate=40) as traffic:
        run(cluster, "lamp.cluster.deploy", variables, "-e", f"deploy_source={folder / 'release'}")
    assert set(traffic.kinds()) == {"v3", "maintenance"}, traffic.kinds()
    again = cluster.deploy(folder / "release", "-e", json.dumps(variables))
    assert (again.code, again.changed) == (0, 0), again.output


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[Cluster]:
    done = cluster.deploy("v3")
    assert done.code == 0, done.output
    yield cluster
    run(cluster, "lamp.cluster.setup", {})  # Apache blocks again


def test_haproxy_blocks_for_all_web_hosts(shop: Cluster, tmp_path: Path) -> None:
    run(shop, "lamp.cluster.setup", HAPROXY)
    run(shop, "lamp.cluster.maintenance", {**HAPROXY, "maintenance_state": "enabled"})
    assert served(LB) == 503
    assert [served(host) for host in WEB] == [200, 200, 200]
    assert "blocked" in run(shop, "lamp.cluster.status", HAPROXY)
    run(shop, "lamp.cluster.maintenance", {**HAPROXY, "maintenance_state": "disabled"})
    assert served(LB) == 200
    deploy_with_a_window(shop, HAPROXY, tmp_path)
