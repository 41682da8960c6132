# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the block needs a whole host to show; all else of it is in tests/integration/maintenance."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster, address
from tests.support.modules import run_ansible
from tests.support.servers.base import listens, wait_until
from tests.support.site import first_release

WEB1 = address("web1")


def maintenance(cluster: Cluster, state: str, **arguments: Any) -> dict[str, Any]:
    given = {"name": "shop", "state": state, "probe_url": "http://shop.test/", **arguments}
    return run_ansible("web1", str(cluster.inventory), "maintenance", given)


def head() -> list[str]:
    """The first line and the headers of web1's answer; nothing while it does not answer."""
    done = subprocess.run(["curl", "-sI", "--max-time", "30", f"http://{WEB1}"], capture_output=True, check=False)
    return done.stdout.decode().splitlines()


def test_the_block_survives_a_reboot(cluster: Cluster, tmp_path: Path) -> None:
    first_release(cluster, tmp_path, "m0")
    assert maintenance(cluster, "enabled", retry_after=77)["marker_seen"]
    cluster.bed("power-off", "web1")
    cluster.bed("power-on", "web1")
    wait_until(head, "Apache")
    wait_until(lambda: listens(22, WEB1), "sshd")
    answer = head()
    assert (" 503 " in answer[0], "Retry-After: 77" in answer) == (True, True), answer
    assert maintenance(cluster, "disabled")["changed"]
    assert " 200 " in head()[0]
