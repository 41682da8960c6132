# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role: a second run changes nothing, enable and disable go through, and no variable becomes configuration."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.integration.maintenance.conftest import BlockableSite
from tests.support.servers.base import free_port, listens, wait_until
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.nginx import Nginx


def role(site: BlockableSite, tasks: str, **variables: Any) -> dict[str, Any]:
    return {
        "ansible.builtin.import_role": {"name": "lamp.cluster.maintenance", "tasks_from": tasks},
        "vars": {**site.variables, **variables},
    }


def ask(site: BlockableSite, status: int) -> dict[str, Any]:
    """A visitor, who must get this status."""
    return {"ansible.builtin.uri": {"url": site.address, "status_code": status, "return_content": True}}


def holds(*conditions: str) -> dict[str, Any]:
    return {"ansible.builtin.assert": {"that": list(conditions)}}


@pytest.mark.parametrize(
    ("site", "balancers"),
    [("apache", []), ("nginx", []), ("haproxy", ["localhost"])],
    indirect=["site"],
)
def test_the_role_blocks_and_opens_and_a_second_run_changes_nothing(site: BlockableSite, balancers: list[str]) -> None:
    where: dict[str, Any] = {"maintenance_balancers": balancers}
    code, output = site.play(
        [
            role(site, "main", **where),
            role(site, "enable", **where, maintenance_message="By the role", maintenance_owner="deploy"),
            holds("maintenance_result.changed", "maintenance_result.marker_seen", "maintenance_result.drained"),
            {**ask(site, 503), "register": "page"},
            holds("'By the role' in page.content"),
            role(site, "confirm", **where),
            role(site, "status", **where),
            holds("maintenance_status.blocked", "maintenance_status.owner == 'deploy'"),
            {
                "block": [role(site, "disable", **where), holds("false")],
                "rescue": [
                    holds("ansible_failed_result | string is search('-e maintenance_force=true')"),
                    ask(site, 503),
                ],
            },
            role(site, "disable", **where, maintenance_owner="deploy"),
            holds("maintenance_result.previous_owner == 'deploy'", "maintenance_result.blocked_seconds > 0"),
            ask(site, 200),
            role(site, "disable", **where),
            holds("not maintenance_result.changed"),
            {
                "block": [role(site, "confirm", **where), holds("false")],
                "rescue": [holds("ansible_failed_result | string is search('the block of shop is gone')")],
            },
        ]
    )
    assert code == 0, output
    assert "changed=2 " in output, output  # the preparation had been made, and one block was set and taken away


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_a_reload_that_an_earlier_run_did_not_get_to_is_made_up_for(site: BlockableSite) -> None:
    server = site.server
    assert isinstance(server, Nginx)
    server.stop()
    whole = server.site.read_text()
    server.site.write_text(whole.replace(f"include {site.rules};", ""))
    server.start()
    assert server.process
    server.site.write_text(whole)
    assert site.status(proof_timeout=0)["error_code"] == "maintenance_not_in_force"
    code, output = site.role(maintenance_reload_command=["kill", "-HUP", str(server.process.pid)])
    assert (code, "changed=2 " in output) == (0, True), output
    assert not site.status()["blocked"]


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_the_block_waits_for_the_applications_open_transactions(
    site: BlockableSite, mariadb: MariaDB, database: str
) -> None:
    mariadb.query("CREATE TABLE t (a INT) ENGINE=InnoDB", database=database)
    mariadb.query(f"CREATE USER `{database}`@'%' IDENTIFIED BY 'secret-of-the-shop'")
    mariadb.query(f"GRANT ALL ON `{database}`.* TO `{database}`@'%'")
    given = {f"maintenance_{name}": value for name, value in mariadb.login.items()}
    given |= {"maintenance_drain_user": database, "maintenance_on_drain_timeout": "fail"}
    with closing(
        pymysql.connect(
            host="127.0.0.1", port=mariadb.port, user=database, password="secret-of-the-shop", database=database
        )
    ) as connection:
        connection.cursor().execute("INSERT INTO t VALUES (1)")
        code, output = site.role("enable", **given, maintenance_drain_timeout=0.2)
    assert (code, f"1 transactions of {database} outlived 0.2 s" in output) == (2, True), output
    assert site.get().status == 503
    code, output = site.role("enable", **given)
    assert code == 0, output
    assert mariadb.password not in output
    site.maintenance("disabled")
    mariadb.query(f"DROP USER `{database}`@'%'")


def on_path(site: BlockableSite, command: str, *arguments: str) -> None:
    """Let the role find this command, for the site's own configuration instead of the machine's."""
    (site.folder / "bin").mkdir(exist_ok=True)
    script = site.folder / "bin" / command
    script.write_text(f'#!/bin/sh\nexec /usr/sbin/{command} {shlex.join(arguments)} "$@"\n')
    script.chmod(0o755)


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_a_pool_that_runs_two_sites_has_one_status_page(site: BlockableSite) -> None:
    place = site.server.folder
    other = place / "sites-available" / "other"
    other.write_text(f"server {{\n    listen 127.0.0.1:{free_port()};\n}}\n")
    before = sorted((place / "pool.d").iterdir())
    code, output = site.role(maintenance_name="other", maintenance_vhosts=[str(other)])
    other.unlink()
    (place / "conf.d" / "lamp-maintenance-other.conf").unlink()
    assert code == 0, output
    assert sorted((place / "pool.d").iterdir()) == before


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_what_keeps_php_fpm_from_starting_is_taken_back_before_a_reload(site: BlockableSite) -> None:
    on_path(site, "php-fpm8.2", "-y", f"{site.server.folder}/fpm.conf")
    pools = site.server.folder / "pool.d"
    before = {file: file.read_bytes() for file in pools.iterdir()}
    code, output = site.role(
        maintenance_name="other", maintenance_fpm_pool="other", maintenance_fpm_service="php8.2-fpm"
    )
    assert (code, "php-fpm would not start" in output, "pool other" in output) == (2, True, True), output
    assert {file: file.read_bytes() for file in pools.iterdir()} == before


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_what_keeps_nginx_from_starting_is_taken_back_before_a_reload(site: BlockableSite) -> None:
    place = site.server.folder
    on_path(site, "nginx", "-e", f"{place}/error.log", "-c", f"{place}/nginx.conf")
    other = place / "sites-available" / "other"
    text = f"server {{\n    listen 127.0.0.1:{free_port()};\n    open_file_cache max=10;\n}}\n"
    other.write_text(text)
    try:
        code, output = site.role(
            maintenance_name="other",
            maintenance_vhosts=[str(other)],
            maintenance_status_port=free_port(),
            maintenance_fpm_pool="",
            maintenance_reload_command=[],
        )
        assert (code, '"open_file_cache" directive is duplicate' in output) == (2, True), output
        assert "include" not in other.read_text()
        assert not list(place.glob("**/*other*.conf"))
        subprocess.run([site.folder / "bin" / "nginx", "-t", "-q"], check=True)
    finally:
        other.unlink()
    text = site.rules.read_text()
    site.rules.write_text(f"{text} nonsense")  # by hand: the role writes it anew
    assert subprocess.run([site.folder / "bin" / "nginx", "-t", "-q"], check=False).returncode == 1
    site.role(maintenance_reload_command=[], maintenance_service="none")  # there is no service to reload here
    assert site.rules.read_text() == text


@pytest.mark.parametrize("site", ["apache"], indirect=True)
def test_each_virtual_host_of_a_file_gets_the_rules(site: BlockableSite, tmp_path: Path) -> None:
    begins = ("<VirtualHost *:80>", "\t<virtualhost 192.0.2.1:80 [::1]:80>", "<VirtualHost *:443> # TLS",
              "<VirtualHost *:8080>\r", "<VirtualHost \\\n *:8081>")  # fmt: skip
    vhosts = tmp_path / "vhosts.conf"
    vhosts.write_text("# <VirtualHost *:81>\n" + "".join(f"{begin}\n</VirtualHost>\n" for begin in begins))
    code, output = site.role("main", "--check", "--diff", maintenance_vhosts=[str(vhosts)])
    assert (code, len(re.findall(rf"^\+ +Include {site.rules}$", output, re.MULTILINE))) == (0, len(begins)), output


@pytest.mark.parametrize("site", ["apache"], indirect=True)
def test_a_port_that_something_else_has_is_named_before_a_reload_ends_apache(site: BlockableSite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.2", 0)) as elsewhere:
        port = taken.getsockname()[1]
        code, output = site.role(maintenance_name="other", maintenance_status_port=port)
        assert (code, f"On port {port} of the loopback interface" in " ".join(output.split())) == (2, True), output
        code, output = site.role("main", "--check", maintenance_status_port=elsewhere.getsockname()[1])
        assert code == 0, output
    port, own = free_port(), site.server.folder / "conf-enabled" / "own.conf"
    own.write_text(f"Listen {port}\n")
    site.server.reload()
    wait_until(lambda: listens(port), "the port of Apache's own")
    code, output = site.role(maintenance_name="other", maintenance_status_port=port)
    own.unlink()
    assert (code, '"apache2"' in output) == (2, True), output
    assert not list(site.server.folder.glob("**/*other*"))


@pytest.mark.parametrize("site", ["haproxy"], indirect=True)
def test_rules_go_into_the_named_frontends_alone(site: BlockableSite, tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    text = (
        "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n"
        " frontend plain\n  bind 127.0.0.1:1\n  default_backend in_another_file\nlisten web.tls\n bind 127.0.0.1:2\n"
        "frontend of_another_site\n bind 127.0.0.1:3\n"
    )
    config.write_text(text)
    rest = tmp_path / "rest.cfg"
    rest.write_text("backend in_another_file\n mode http\n")
    given: dict[str, Any] = {
        "maintenance_name": "other",
        "maintenance_haproxy_config": str(config),
        "maintenance_haproxy_validate": f"haproxy -c -f %s -f {rest}",
    }
    code, output = site.role(**given, maintenance_haproxy_frontends=["plain", "webxtls"])
    assert (code, "has 0 sections `frontend webxtls`" in " ".join(output.split())) == (2, True), output
    assert config.read_text() == text
    for frontends, expected in (
        (("plain", "web.tls"), [False, True, True, False]),
        (("web.tls",), [False, False, True, False]),
    ):
        code, output = site.role(**given, maintenance_haproxy_frontends=frontends)
        assert code == 0, output
        sections = re.split("^ *(?:frontend|listen) ", config.read_text(), flags=re.MULTILINE)
        assert ["X-Lamp-Rules" in section for section in sections] == expected


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_a_file_without_a_virtual_host_is_named(site: BlockableSite, tmp_path: Path) -> None:
    empty = tmp_path / "shop-tls"
    empty.write_text("# moved elsewhere\n")
    server = site.server
    assert isinstance(server, Nginx)
    code, output = site.role(maintenance_vhosts=[str(server.site), str(empty)])
    assert (code, f"In {empty} the role found no server" in " ".join(output.split())) == (2, True), output


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_no_variable_becomes_configuration(site: BlockableSite) -> None:
    evil: tuple[dict[str, Any], ...] = (
        {"maintenance_name": "shop; }"},
        {"maintenance_name": "shop\n"},
        {"maintenance_allow": ["10.0.0.0/8", "10.0.0.0/8 1; } server {"]},
        {"maintenance_allow": ["0.0.0.0/0' || -R '::/0"]},
        {"maintenance_allow": ["192.0.2.300"]},
        {"maintenance_allow": ["192.0.2.0/33"]},
        {"maintenance_trusted_proxies": ["10.0.0.1\nX"]},
        {"maintenance_health_paths": ['/health.php" 1; }']},
        {"maintenance_health_paths": ["/health.php } or { always_true"]},
        {"maintenance_state_dir": "/srv/$x"},
        {"maintenance_fpm_pool": "www]\nuser = root"},
        {"maintenance_haproxy_frontends": ["http\nbackend x"]},
    )
    before = site.rules.read_bytes()
    tasks: list[dict[str, Any]] = [
        {
            "block": [role(site, "main", **variables)],
            "rescue": [{"ansible.builtin.debug": {"msg": "REFUSED"}}],
        }
        for variables in evil
    ]
    code, output = site.play(tasks)
    assert code == 0, output
    assert output.count("REFUSED") == len(evil), output
    assert site.rules.read_bytes() == before
