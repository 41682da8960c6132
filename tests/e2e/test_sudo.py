# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys by somebody who logs in as a user without rights, and may use sudo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.site import WEB, Standing, add_delta, column, dropped, first_release, release, seen_on

USER = "deployer"
OPTIONS = ("-e", json.dumps({"ansible_user": USER, "ansible_become": True}))
LET_IN = f"""
id {USER} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {USER}
install -d -m 700 -o {USER} -g {USER} /home/{USER}/.ssh
install -m 600 -o {USER} -g {USER} /etc/ssh/bed_authorized_keys /home/{USER}/.ssh/authorized_keys
printf 'Match User {USER}\nAuthorizedKeysFile .ssh/authorized_keys\n' >/etc/ssh/sshd_config.d/{USER}.conf
systemctl reload ssh
echo '{USER} ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER}
"""


@pytest.mark.long
def test_who_may_use_sudo_prepares_deploys_and_goes_back(cluster: Cluster, tmp_path: Path) -> None:
    first = first_release(cluster, tmp_path, "sudo0")
    for host in cluster.addresses.values():
        cluster.ssh(host, LET_IN)
    again = cluster.playbook("lamp.cluster.setup", *OPTIONS)
    assert (again.code, again.changed) == (0, 0), again.output
    made = release(tmp_path / "sudo1", "sudo1", after=first)
    added = column()
    add_delta(made, added, undo=dropped(added), tagged=True)
    run = cluster.deploy(made, *OPTIONS)
    assert run.code == 0, run.output
    assert {seen_on(host) for host in WEB} == {"sudo1"}
    again = cluster.deploy(made, *OPTIONS)
    assert (again.code, again.changed) == (0, 0), again.output
    assert Standing(cluster, *OPTIONS).verdict == "all is well"
    back = cluster.playbook("lamp.cluster.rollback", "-e", "rollback_undo=true", *OPTIONS)
    assert back.code == 0, back.output
    assert {seen_on(host) for host in WEB} == {"sudo0"}
    assert Standing(cluster, *OPTIONS).verdict == "all is well"
