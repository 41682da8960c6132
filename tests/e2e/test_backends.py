# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys without Apache: HAProxy blocks for all hosts; one of them serves and blocks with nginx and php-fpm."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, address
from tests.support.servers.base import wait_until
from tests.support.site import BLOCKED_BY_HAPROXY, WEB, Standing, column, first_release, release, seen_on
from tests.support.traffic import Traffic, User

pytestmark = pytest.mark.long
LB = address("lb1")
# The first web host, which also applies the deltas, becomes another than the rest.
NGINX_HOST = "web1"
NGINX: dict[str, Any] = {
    "maintenance_backend": "nginx",
    "maintenance_include_dir": "",
    "maintenance_fpm_pool_dir": "/etc/php/{{ bed_php }}/fpm/pool.d",
    "maintenance_fpm_service": "php{{ bed_php }}-fpm",
    "session_store_ini_dirs": ["/etc/php/{{ bed_php }}/fpm/conf.d"],
    "session_store_services": ["php{{ bed_php }}-fpm"],
    "release_services": ["php{{ bed_php }}-fpm"],
}
# PHP gets the path through the link and never looks at a file again: the worst case for a switch.
SERVER = r"""
server {
    listen 80 default_server;
    root /var/www/shop/current/public;
    index index.php;
    location / { try_files $uri $uri/ =404; }
    location ~ \.php$ {
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_param PHP_ADMIN_VALUE "opcache.validate_timestamps=0";
        fastcgi_pass unix:/run/php/php%s-fpm.sock;
    }
}
"""


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


def deploy_with_a_window(cluster: Cluster, made: Path, before: str, *options: str) -> None:
    """A delta makes a window due; visitors get the old release, the page, and then the new one alone."""
    with Traffic(cluster.url, rate=40) as traffic:
        done = cluster.deploy(made, *options)
        assert done.code == 0, done.output
    kinds = [response.kind for response in traffic.responses]
    assert set(kinds) == {before, "maintenance", made.name}, traffic.kinds()
    assert kinds.index(made.name) > max(place for place, kind in enumerate(kinds) if kind == before)
    again = cluster.deploy(made, *options)
    assert (again.code, again.changed) == (0, 0), again.output


@pytest.fixture(scope="module")
def shop(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The site with a release called b0."""
    first_release(cluster, tmp_path_factory.mktemp("b"), "b0")
    yield cluster
    run(cluster, "lamp.cluster.setup", {})  # Apache blocks again


def test_haproxy_blocks_for_all_web_hosts(shop: Cluster, tmp_path: Path) -> None:
    run(shop, "lamp.cluster.setup", BLOCKED_BY_HAPROXY)
    run(shop, "lamp.cluster.maintenance", {**BLOCKED_BY_HAPROXY, "maintenance_state": "enabled"})
    assert served(LB) == 503
    assert [served(address(host)) for host in WEB] == [200, 200, 200]
    assert "blocked" in run(shop, "lamp.cluster.status", BLOCKED_BY_HAPROXY)
    run(shop, "lamp.cluster.maintenance", {**BLOCKED_BY_HAPROXY, "maintenance_state": "disabled"})
    assert served(LB) == 200
    made = release(tmp_path / "b1", "b1", statements=column())
    deploy_with_a_window(shop, made, "b0", "-e", json.dumps(BLOCKED_BY_HAPROXY))


@pytest.fixture()
def nginx(shop: Cluster) -> Iterator[Cluster]:
    """The same cluster with nginx and php-fpm on one of its web hosts."""
    host, variables = address(NGINX_HOST), shop.folder / "host_vars" / NGINX_HOST
    php = shop.variables["bed_php"]
    variables.parent.mkdir()
    variables.write_text(json.dumps(NGINX))
    shop.ssh(host, f"cat > /etc/nginx/sites-enabled/shop <<'END'\n{SERVER % php}\nEND")
    shop.ssh(
        host,
        f"ln -sf ../sites-enabled/shop /etc/nginx/sites-available/; systemctl stop apache2;"
        f" systemctl start php{php}-fpm nginx",
    )
    run(shop, "lamp.cluster.setup", {})
    wait_until(lambda: all_serve("b1"), "nginx beside Apache")
    yield shop
    shutil.rmtree(variables.parent)
    shop.ssh(host, f"systemctl stop nginx php{php}-fpm; systemctl start apache2")
    wait_until(lambda: seen_on(NGINX_HOST).startswith("b"), "Apache")


def all_serve(version: str) -> bool:
    return {host: seen_on(host) for host in WEB} == dict.fromkeys(WEB, version)


def from_all_workers() -> set[str]:
    """What the host with php-fpm answers, asked often enough at once for each of its workers to answer."""
    with ThreadPoolExecutor(10) as pool:
        return set(pool.map(lambda _: seen_on(NGINX_HOST), range(50)))


def test_nginx_with_php_fpm_beside_apache(nginx: Cluster, tmp_path: Path) -> None:
    """The window and a switch of code alone; no worker of php-fpm goes on with the code that it has in memory."""
    user = User(nginx.url)
    user.login()
    assert from_all_workers() == {"b1"}
    with_a_delta = release(tmp_path / "b2", "b2", statements=column())
    deploy_with_a_window(nginx, with_a_delta, "b1")
    assert from_all_workers() == {"b2"}
    code_alone = nginx.deploy(release(tmp_path / "b3", "b3", after=with_a_delta))
    assert code_alone.code == 0, code_alone.output
    assert from_all_workers() == {"b3"}
    assert user.answering_hosts() == set(WEB)
    assert user.count()["user"] == "demo"
    run(nginx, "lamp.cluster.maintenance", {"maintenance_state": "enabled"})
    Standing(nginx).check()
    assert all_serve("maintenance")
    run(nginx, "lamp.cluster.maintenance", {"maintenance_state": "disabled"})
    assert all_serve("b3")
