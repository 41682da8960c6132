# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a blocked site answers, whom it lets through and what proves it, on real Apache, nginx and HAProxy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.runtime import Runtime

from tests.integration.maintenance.conftest import MESSAGE, TOKEN, BlockableSite
from tests.support.servers.base import free_port, wait_until
from tests.support.servers.nginx import Nginx

REQUESTS = (
    (),
    ("-X", "POST", "-d", "a=b"),
    ("-X", "PUT", "-d", "a=b"),
    ("-X", "DELETE"),
    ("-I",),
    ("-H", "Range: bytes=0-10"),
    ("-H", "If-None-Match: *"),
    ("-H", "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT"),
    ("-H", "If-Match: nothing"),
    ("-H", "X-Lamp-Bypass: abcdefghij0123456789abcdefghiX"),
    ("-H", "X-Lamp-Bypass: ../../../../../../../etc/passwd"),
    ("-H", "X-Lamp-Bypass: nonce"),
    ("-b", "lamp_bypass=nonsense"),
    ("-b", "lamp_bypass="),
    ("-H", "X-Forwarded-For: 127.7.0.1, 10.0.0.1"),
    ("-H", "X-Forwarded-For: 127.7.0.1.example.com"),
    ("-0",),
)
UNWANTED = {"etag", "last-modified", "expires", "x-client", "accept-ranges", "content-security-policy", "x-powered-by"}
PATHS = (
    "/", "/style.css", "/own.php", "/nowhere", "/index.php?a=1", "/health.php/x", "/up/x", "/a%2e%2e/x", "/own-rules",
    "/admin/../up", "/%75p",
    "/.lamp-maintenance/shop/nonce", "/.lamp-maintenance/shop/page/html/index.html",
    "/.lamp-bypass/abcdefghij0123456789abcdefghiX",
)  # fmt: skip


def test_the_plan_is_what_the_run_does_and_a_second_run_does_nothing(site: BlockableSite) -> None:
    assert (site.status()["blocked"], site.status()["owner"]) == (False, "")
    plan = site.maintenance("enabled", check=True, bypass_token=TOKEN)
    assert site.get().status == 200
    done = site.maintenance("enabled", bypass_token=TOKEN)
    assert (plan["changed"], plan["diff"]) == (True, done["diff"])
    assert (done["marker_seen"], done["drained"], done["owner"]) == (True, True, "operator")
    assert TOKEN not in done.output
    again = site.maintenance("enabled", bypass_token=TOKEN)
    assert (again["changed"], again["marker_seen"]) == (False, True)
    marker = site.get().headers["x-lamp-maintenance"]
    other = site.maintenance("enabled", check=True, bypass_token=TOKEN[::-1])
    assert (other["changed"], "with another token" in other["diff"]["after"]) == (True, True)

    changed = site.maintenance("enabled", page_message="Longer", retry_after=5, owner="deploy")
    assert (changed["changed"], changed["previous_owner"]) == (True, "operator")
    answer = site.get()
    assert (answer.headers["retry-after"], answer.headers["x-lamp-maintenance"]) == ("5", marker)
    assert "Longer" in answer.body
    assert site.get("/", "-H", f"X-Lamp-Bypass: {TOKEN}").status == 503
    found = site.status()
    assert (found["owner"], found["page_message"], found["bypass"]) == ("deploy", "Longer", False)

    assert site.maintenance("disabled")["error_code"] == "maintenance_other_owner"
    asked = {"page_message": "Ours", "bypass_token": TOKEN, "retry_after": 5}
    plan, page = (site.maintenance("enabled", check=check, **asked) for check in (True, False))
    assert (page["changed"], page["owner"], page["diff"]) == (True, "deploy", plan["diff"])
    assert "Ours" in site.get().body
    assert site.get("/", "-H", f"X-Lamp-Bypass: {TOKEN}").status == 503, "that would be another deploy's block"
    assert site.maintenance("disabled")["error_code"] == "maintenance_other_owner"
    assert site.maintenance("enabled", check=True, force=True, **asked)["owner"] == "operator"
    plan = site.maintenance("disabled", check=True, force=True)
    assert site.get().status == 503
    done = site.maintenance("disabled", force=True)
    assert (plan["changed"], plan["diff"]) == (True, done["diff"])
    assert (done["previous_owner"], done["blocked_seconds"] > 0) == ("deploy", True)
    assert not site.maintenance("disabled")["changed"]
    assert site.get().body == "Shop"


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_a_site_that_leads_its_visitors_around_the_block_is_not_blocked(site: BlockableSite) -> None:
    onward = site.variables["maintenance_probe_url"] + "onward.php?to="
    with Nginx(site.documents) as without_rules:
        there = f"http://shop.test:{without_rules.port}/"
        for check in (True, False):
            failed = site.maintenance("enabled", check=check, probe_url=onward + there, proof_timeout=0)
            assert (failed.get("error_code"), there in failed["msg"]) == ("maintenance_not_everywhere", True), failed
        code, output = site.role(maintenance_probe_url=onward + there)
        assert (code, "Visitors would go on using the site" in " ".join(output.split())) == (2, True), output
    assert site.get().status == 200
    # Another name of the site, with the same rules; nothing of this host.
    for onto in (f"http://www.shop.test:{site.server.port}/", f"https://shop.test:{free_port()}/"):
        done = site.maintenance("enabled", probe_url=onward + onto)
        assert done.get("marker_seen"), done
        assert not site.maintenance("disabled").get("failed")
    code, output = site.role()
    assert code == 0, output


@pytest.mark.parametrize("site", ["apache"], indirect=True)
def test_an_error_of_the_web_servers_own_opens_nothing(blocked: BlockableSite) -> None:
    answer = blocked.get("/redirected")
    assert ("Shop" in answer.body, "x-client" in answer.headers) == (False, False)


def test_every_request_is_blocked(blocked: BlockableSite) -> None:
    wrong = []
    markers = set()
    for path in PATHS:
        for options in REQUESTS:
            answer = blocked.get(path, *options)
            told = tuple(answer.headers.get(name) for name in ("retry-after", "cache-control"))
            markers.add(answer.headers.get("x-lamp-maintenance"))
            head = "-I" in options
            extra = UNWANTED & set(answer.headers)
            if (answer.status, told, extra) != (503, ("77", "no-store"), set()) or head == ("Back" in answer.body):
                wrong.append((path, options, answer.status, told, extra, len(answer.body)))
    assert not wrong
    assert len(markers) == 1


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_an_upload_is_blocked_however_large_it_is(blocked: BlockableSite, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(4 << 20))
    for more in ((), ("-H", "Expect:"), ("-H", "Expect:", "-H", "Transfer-Encoding: chunked")):
        answer = blocked.get("/", "--data-binary", f"@{upload}", *more)
        assert (answer.status, answer.headers.get("retry-after"), "Back" in answer.body) == (503, "77", True)


@pytest.mark.parametrize("site", ["apache"], indirect=True)
def test_a_request_that_began_before_the_block_is_answered_by_the_site(blocked: BlockableSite) -> None:
    assert blocked.get("/just-before").body == "Shop"  # leads to /index.php


@pytest.mark.parametrize("site", ["apache"], indirect=True)
def test_what_a_cache_keeps_is_blocked(site: BlockableSite) -> None:
    wait_until(lambda: "HIT" in site.get("/style.css").headers.get("x-cache", ""), "an answer from the cache")
    site.maintenance("enabled")
    assert site.get("/style.css").status == 503
    site.maintenance("disabled")


def test_people_and_programs_get_their_own_answer(blocked: BlockableSite) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    for options in ((), ("-H", f"Accept: {browser}"), ("-H", "Accept: text/html, application/json")):
        answer = blocked.get("/", *options)
        assert answer.headers["content-type"].lower() == "text/html; charset=utf-8"
        assert "Back &lt;soon&gt;, für 100 % &quot;sure&quot;" in answer.body
    for header in ("Accept: application/json", "Accept: application/vnd.api+JSON", "X-Requested-With: XMLHttpRequest"):
        answer = blocked.get("/", "-H", header)
        assert answer.headers["content-type"] == "application/json"
        told = json.loads(answer.body)
        assert told == {"error": "maintenance", "message": MESSAGE, "retry_after": 77}


def test_the_health_path_and_who_knows_the_token_get_through(blocked: BlockableSite) -> None:
    assert blocked.get("/health.php").body == "ok"
    assert blocked.get("/up?full").body == "Shop"  # no file, but a route of the application
    assert blocked.get("/", "-H", f"X-Lamp-Bypass: {TOKEN}").body == "Shop"
    visit = blocked.get(f"/.lamp-bypass/{TOKEN}")
    assert (visit.status, visit.headers["cache-control"]) == (302, "no-store")
    assert visit.headers["location"] in ("/", f"http://127.0.0.1:{blocked.server.port}/")
    assert visit.headers["set-cookie"] == f"lamp_bypass={TOKEN}; Path=/; HttpOnly; SameSite=Lax"
    assert blocked.get("/", "-b", f"a=1; lamp_bypass={TOKEN}; b=2").body == "Shop"
    assert blocked.get("/nice/url", "-b", f"lamp_bypass={TOKEN}").body == "Shop"


@pytest.mark.parametrize("site", ["apache"], indirect=True)
def test_the_token_cannot_be_listed_and_ends_with_the_block(blocked: BlockableSite) -> None:
    folder = blocked.folder / "state" / "shop" / "bypass"
    listed = subprocess.run(["ls", folder], user="www-data", capture_output=True, text=True, check=False)
    assert (listed.stdout, "Permission denied" in listed.stderr) == ("", True)
    assert TOKEN in subprocess.run(["ls", folder], capture_output=True, text=True, check=True).stdout
    blocked.maintenance("disabled")
    blocked.maintenance("enabled")
    assert blocked.get("/", "-H", f"X-Lamp-Bypass: {TOKEN}").status == 503


def test_networks_get_through_and_a_proxy_speaks_only_when_it_is_trusted(blocked: BlockableSite) -> None:
    forwarded = "X-Forwarded-For: 198.51.100.7, "
    assert blocked.get("/", "--interface", "127.7.1.2").body == "Shop"
    assert blocked.get("/", "--interface", "127.8.1.2").status == 503
    assert blocked.get("/", "-H", f"{forwarded}127.7.1.2").body == "Shop"
    assert blocked.get("/", "-H", f"{forwarded}2001:db8::7").body == "Shop"
    assert blocked.get("/", "-H", f"{forwarded}2001:db9::7").status == 503
    assert blocked.get("/", "-H", f"{forwarded}127.7.1.2", "--interface", "127.8.1.2").status == 503
    assert blocked.get("/", "-H", f"{forwarded}127.7.1.2", host="[::1]").status == 503
    assert blocked.get("/", host="[::1]").status == 503
    assert blocked.get("/", "-H", "X-Forwarded-For: unknown", "--interface", "127.7.0.9").status == 503  # a proxy


def test_the_rules_change_no_answer_of_an_open_site(site: BlockableSite) -> None:
    headers = site.get("/own-engine", "-H", "X-Forwarded-For: 198.51.100.7").headers
    assert "vary" not in headers, "no cache could keep it for all visitors"
    assert site.get("/switched-off").body == "Shop", "the site has that rule, but not its engine"
    assert site.backend == "apache" or "x-powered-by" not in headers, "nginx.conf hides it"


def test_the_block_survives_reload_power_off_and_restart(blocked: BlockableSite) -> None:
    marker = blocked.get().headers["x-lamp-maintenance"]
    blocked.server.reload()
    for _ in range(20):
        assert blocked.get().headers["x-lamp-maintenance"] == marker
    blocked.server.kill()
    blocked.server.start()
    assert blocked.get().headers["x-lamp-maintenance"] == marker
    assert not blocked.maintenance("enabled", bypass_token=TOKEN, page_message=MESSAGE, retry_after=77)["changed"]


def test_enable_waits_for_the_request_that_runs(site: BlockableSite) -> None:
    url = f"http://127.0.0.1:{site.server.port}/slow.php"
    slow = subprocess.Popen(["curl", "-s", url], stdout=subprocess.PIPE)
    wait_until((site.folder / "began").exists, "the slow request")
    early = site.maintenance("enabled", drain_timeout=0.1)
    assert (early["changed"], early["drained"], early["in_flight"], early["marker_seen"]) == (True, False, 1, True)
    failed = site.maintenance("enabled", drain_timeout=0, on_drain_timeout="fail")
    assert (failed["error_code"], failed["in_flight"]) == ("maintenance_not_drained", 1)
    assert site.get().status == 503
    for _ in range(5):
        site.get("/health.php")
    (site.folder / "end").touch()
    done = site.maintenance("enabled")
    assert (done["changed"], done["drained"], done["in_flight"]) == (False, True, 0)
    assert slow.communicate(timeout=5)[0] == b"done"
    (site.folder / "began").unlink()
    site.maintenance("disabled")


@pytest.mark.parametrize("site", ["haproxy"], indirect=True)
def test_enable_waits_for_a_request_that_haproxy_had_before_it_was_reloaded(site: BlockableSite) -> None:
    runtime = Runtime(site.variables["maintenance_haproxy_socket"])
    before = runtime.ask("show info")
    slow = subprocess.Popen(["curl", "-s", f"{site.address}slow.php"], stdout=subprocess.PIPE)
    wait_until((site.folder / "began").exists, "the slow request")
    site.server.reload()
    wait_until(lambda: worker(runtime.ask("show info")) != worker(before), "the new worker")
    early = site.maintenance("enabled", drain_timeout=0.1)
    (site.folder / "end").touch()
    done = site.maintenance("enabled")
    assert (early["drained"], early["in_flight"]) == (False, 1)
    assert (done["drained"], slow.communicate(timeout=5)[0]) == (True, b"done")
    (site.folder / "began").unlink()
    site.maintenance("disabled")


def worker(info: str) -> str:
    return next(line for line in info.splitlines() if line.startswith("Pid:"))


def test_an_applications_own_503_is_no_proof(site: BlockableSite) -> None:
    own = site.variables["maintenance_probe_url"] + "own.php"
    assert site.get("/own.php").status == 503
    assert site.status(probe_url=own)["blocked"] is False
    open_address = {
        "probe_url": site.variables["maintenance_probe_url"] + "health.php"
    }  # stays open: as a block without effect
    failed = site.maintenance("enabled", **open_address)
    assert failed["error_code"] == "maintenance_not_proven"
    assert f"look into {site.folder}/state/shop?" in failed["msg"]
    assert site.get().body == "Shop"
    assert site.status()["blocked"] is False
    assert site.maintenance("enabled", probe_url=own)["marker_seen"]
    assert not site.maintenance("disabled", probe_url=own).get("failed")
    if site.backend != "haproxy":  # which may stand before hosts that block by themselves
        assert "x-lamp-maintenance" not in site.get("/own.php").headers
