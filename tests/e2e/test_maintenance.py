# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The block on a real Apache: what every kind of request gets, who gets through, and what proves it."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.cluster import Cluster, address
from tests.support.modules import run_ansible
from tests.support.servers.base import listens, wait_until
from tests.support.site import first_release

TOKEN = "abcdefghij0123456789abcdefghij"
WEB1 = address("web1")
PAGE = f"http://{WEB1}"


def maintenance(cluster: Cluster, state: str, *options: str, **arguments: Any) -> dict[str, Any]:
    given = {"name": "shop", "state": state, "probe_url": "http://shop.test/", **arguments}
    return run_ansible("web1", str(cluster.inventory), "maintenance", given, *options)


def curl(*arguments: str) -> tuple[int, dict[str, str], str]:
    """Status, headers (lower-cased names) and body of one request to web1."""
    done = subprocess.run(["curl", "-si", "--max-time", "30", *arguments], capture_output=True, text=True, check=True)
    head, _blank, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    status, *lines = head.splitlines()
    headers = {name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines)}
    return int(status.split()[1]), headers, body


@pytest.fixture(scope="module")
def shop(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    first_release(cluster, tmp_path_factory.mktemp("maintenance"), "m0")
    return cluster


@pytest.fixture(scope="class")
def blocked(shop: Cluster) -> Iterator[dict[str, Any]]:
    """The site, blocked on web1 with a token."""
    yield maintenance(shop, "enabled", bypass_token=TOKEN, page_message="Back <soon>", retry_after=77)
    maintenance(shop, "disabled")


def test_the_plan_is_what_the_run_does_and_a_second_run_does_nothing(shop: Cluster) -> None:
    plan = maintenance(shop, "enabled", "--check", "--diff")
    assert curl(PAGE)[0] == 200
    done = maintenance(shop, "enabled", "--diff")
    assert (plan["changed"], plan["diff"]) == (True, done["diff"])
    assert (done["marker_seen"], done["drained"], done["owner"]) == (True, True, "operator")
    again = maintenance(shop, "enabled")
    assert (again["changed"], again["marker_seen"]) == (False, True)
    plan = maintenance(shop, "disabled", "--check", "--diff")
    assert curl(PAGE)[0] == 503
    done = maintenance(shop, "disabled", "--diff")
    assert (plan["changed"], plan["diff"]) == (True, done["diff"])
    assert (done["previous_owner"], done["blocked_seconds"] > 0) == ("operator", True)
    assert not maintenance(shop, "disabled")["changed"]
    assert curl(PAGE)[0] == 200


@pytest.mark.usefixtures("blocked")
class TestBlocked:
    """One block for all that can be asked while it is in force."""

    @pytest.mark.parametrize(
        "request_options",
        [
            (),
            ("-X", "POST", "-d", "a=b"),
            ("-I",),
            ("-H", "Range: bytes=0-10"),
            ("-H", "If-None-Match: *"),
            ("-H", "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT"),
            ("-H", "X-Lamp-Bypass: abcdefghij0123456789abcdefghiX"),
            ("-H", "X-Lamp-Bypass: ../../../../../../etc/passwd"),
            ("-b", "lamp_bypass=nonsense"),
        ],
    )
    @pytest.mark.parametrize("path", ["/", "/style.css", "/nowhere", "/.lamp-maintenance/shop/nonce"])
    def test_every_request_is_blocked(self, request_options: tuple[str, ...], path: str) -> None:
        status, headers, _body = curl(*request_options, PAGE + path)
        assert status == 503
        assert (headers["retry-after"], headers["cache-control"]) == ("77", "no-store")
        assert headers["x-lamp-maintenance"]

    def test_people_and_programs_get_their_own_answer(self) -> None:
        _status, headers, body = curl(PAGE)
        assert headers["content-type"].startswith("text/html")
        assert "Back &lt;soon&gt;" in body
        _status, headers, body = curl("-H", "Accept: application/json", PAGE)
        assert headers["content-type"] == "application/json"
        assert json.loads(body) == {"error": "maintenance", "message": "Back <soon>", "retry_after": 77}

    def test_the_health_path_and_who_knows_the_token_get_through(self) -> None:
        assert curl(f"{PAGE}/health.php")[0] == 200
        assert curl("-H", f"X-Lamp-Bypass: {TOKEN}", PAGE)[0] == 200
        status, headers, _body = curl(f"{PAGE}/.lamp-bypass/{TOKEN}")
        assert status == 302
        assert f"lamp_bypass={TOKEN}" in headers["set-cookie"]
        assert curl("-b", f"lamp_bypass={TOKEN}", PAGE)[0] == 200

    def test_the_block_survives_a_reboot(self, shop: Cluster, blocked: dict[str, Any]) -> None:
        assert blocked["changed"]
        shop.bed("power-off", "web1")
        shop.bed("power-on", "web1")
        wait_until(
            lambda: subprocess.run(["curl", "-s", PAGE], capture_output=True, check=False).returncode == 0, "Apache"
        )
        status, headers, _body = curl(PAGE)
        assert (status, headers["retry-after"]) == (503, "77")
        wait_until(lambda: listens(22, WEB1), "sshd")

    def test_the_token_ends_with_the_block_and_cannot_be_listed(self, shop: Cluster, blocked: dict[str, Any]) -> None:
        assert TOKEN not in json.dumps(blocked)
        listing = shop.ssh(
            WEB1, "su -s /bin/sh www-data -c 'ls /var/lib/lamp.cluster/maintenance/shop/bypass' 2>&1 || true"
        )
        assert "Permission denied" in listing
        maintenance(shop, "disabled")
        maintenance(shop, "enabled")
        assert curl("-H", f"X-Lamp-Bypass: {TOKEN}", PAGE)[0] == 503


def test_enable_waits_for_the_request_that_runs(shop: Cluster) -> None:
    """The request ends when it is told to, and it is told so once the site was seen blocked."""
    public = "/var/www/shop/current/public"
    script = "<?php while (!file_exists(__DIR__ . '/go')) { usleep(20000); clearstatcache(); } echo 'done';"
    shop.ssh(WEB1, f"rm -f {public}/go; echo {shlex.quote(script)} > {public}/slow.php")
    with ThreadPoolExecutor(1) as pool, subprocess.Popen(
        ["curl", "-s", f"{PAGE}/slow.php"], stdout=subprocess.PIPE
    ) as slow:
        running = "until curl -s http://127.0.0.1:8404/server-status | grep -q slow.php; do :; done"
        shop.ssh(WEB1, f"timeout 120 sh -c {shlex.quote(running)}")
        enabled = pool.submit(maintenance, shop, "enabled", drain_timeout=120)
        wait_until(lambda: curl(PAGE)[0] == 503, "the block")
        assert not enabled.done()
        shop.ssh(WEB1, f"touch {public}/go")
        result = enabled.result()
        assert (result["drained"], result["in_flight"]) == (True, 0)
        assert slow.communicate(timeout=30)[0] == b"done"
    maintenance(shop, "disabled")
    shop.ssh(WEB1, f"rm {public}/slow.php {public}/go")


def test_a_block_that_has_no_effect_is_an_error_and_is_taken_back(shop: Cluster) -> None:
    rules = "/etc/apache2/shop.d/lamp-maintenance-shop.conf"
    shop.ssh(WEB1, f"mv {rules} {rules}.off && systemctl reload apache2")
    result = maintenance(shop, "enabled", proof_timeout=1)
    assert result["error_code"] == "maintenance_not_installed"
    shop.ssh(WEB1, f"cp -p {rules}.off {rules}")
    result = maintenance(shop, "enabled", proof_timeout=1)
    assert result["error_code"] == "maintenance_not_in_force"
    assert "enabled" not in shop.ssh(WEB1, "ls /var/lib/lamp.cluster/maintenance/shop").split()
    assert curl(PAGE)[0] == 200
    shop.ssh(WEB1, f"mv {rules}.off {rules} && systemctl reload apache2")
