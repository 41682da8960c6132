# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenario left on its hosts, seen over plain SSH."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml

INVENTORY = Path(__file__).parents[3] / ".cache" / "bed" / "molecule" / "inventory.yml"
DATA = yaml.safe_load(INVENTORY.read_text())["all"] if INVENTORY.exists() else {"vars": {}, "children": {}}
HOSTS = {
    group: {name: host["ansible_host"] for name, host in content["hosts"].items()}
    for group, content in DATA["children"].items()
}


def connect(address: str) -> Any:
    return testinfra.get_host(
        f"ssh://root@{address}",
        ssh_identity_file=DATA["vars"]["ansible_ssh_private_key_file"],
        ssh_extra_args=DATA["vars"]["ansible_ssh_common_args"],
    )


@pytest.mark.parametrize("name", HOSTS.get("db", {}))
def test_the_database_nodes_are_one_cluster(name: str) -> None:
    host = connect(HOSTS["db"][name])
    query = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_cluster_size'"
    size = host.check_output(f'mariadb -Ne "{query}"')
    assert size == "3"


@pytest.mark.parametrize("name", HOSTS.get("web", {}))
def test_the_web_hosts_run_the_third_release(name: str) -> None:
    host = connect(HOSTS["web"][name])
    assert host.service("apache2").is_running
    assert host.service("apache2").is_enabled
    current = host.file("/var/www/shop/current")
    assert current.is_symlink
    assert host.file(f"{current.linked_to}/src/version.php").contains("return 'v3'")
    assert len(host.file("/var/www/shop/releases").listdir()) == 3
    code = host.file(f"{current.linked_to}/public/index.php")
    assert (code.user, code.mode) == ("root", 0o644)


@pytest.mark.parametrize("name", HOSTS.get("web", {}))
def test_the_block_is_gone_and_secrets_are_not_for_all(name: str) -> None:
    host = connect(HOSTS["web"][name])
    assert not host.file("/var/lib/lamp.cluster/maintenance/shop/enabled").exists
    settings = host.file("/etc/lamp.cluster/session.php")
    assert (settings.user, settings.group, settings.mode) == ("root", "www-data", 0o640)
    journal = host.file("/var/lib/lamp.cluster/deploys/shop.jsonl").content_string.splitlines()
    assert len(journal) == 3


@pytest.mark.parametrize("name", HOSTS.get("lb", {}))
def test_the_load_balancer_serves_the_site(name: str) -> None:
    host = connect(HOSTS["lb"][name])
    assert host.service("haproxy").is_running
    assert "Lamp Shop" in host.check_output("curl -s http://127.0.0.1/")
