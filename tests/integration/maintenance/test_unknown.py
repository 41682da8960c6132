# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not known is an error, what was left half done is finished, no value becomes configuration or a header."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.runtime import Runtime
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.blocker import Blocker
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.options import make_blocker

from tests.integration.maintenance.conftest import TOKEN, BlockableSite
from tests.support.modules import start_module
from tests.support.servers.base import free_port, wait_until
from tests.support.servers.haproxy import HAProxy


def folder(site: BlockableSite) -> Path:
    return site.folder / "state" / "shop"


def test_rules_that_were_edited_are_an_error(site: BlockableSite) -> None:
    rules = site.rules
    text = rules.read_text()
    try:
        rules.write_text(text.replace("X-Lamp-Rules", "X-Lamp-Rule"))
        for answer in (
            site.status(),
            *(site.maintenance(s, check=c) for s in ("enabled", "disabled") for c in (False, True)),
        ):
            assert answer["error_code"] == "maintenance_edited", answer
            assert str(rules) in answer["msg"]
        rules.write_text("")
        assert site.status()["error_code"] in ("maintenance_edited", "maintenance_not_installed")
        rules.unlink()
        assert site.maintenance("enabled")["error_code"] == "maintenance_not_installed"
    finally:
        rules.write_text(text)
    assert site.get().body == "Shop"
    assert not site.status()["blocked"]


def test_a_server_that_does_not_answer_by_the_rules_is_an_error(site: BlockableSite) -> None:
    rules, server = site.rules, site.server
    text = rules.read_text()
    server.stop()
    failed = site.maintenance("enabled", proof_timeout=0)
    assert (failed["error_code"], "no answer" in failed["msg"]) == ("maintenance_not_in_force", True)
    other = rules if isinstance(server, HAProxy) else server.site
    whole = other.read_text()
    without = [line for line in whole.splitlines() if str(rules) not in line and "X-Lamp-Rules" not in line]
    other.write_text("\n".join(without) + "\n")
    server.start()
    other.write_text(whole)  # on disk all is well
    failed = site.maintenance("enabled", proof_timeout=0)
    assert (failed["error_code"], "no marker" in failed["msg"]) == ("maintenance_not_in_force", True)
    assert site.status(proof_timeout=0)["error_code"] == "maintenance_not_in_force"
    assert not (folder(site) / "enabled").exists()
    server.reload()
    assert not site.status()["blocked"]
    assert rules.read_text() == text


def test_a_drain_that_could_not_tell_is_an_error_before_the_block(site: BlockableSite) -> None:
    for check in (True, False):
        failed = site.maintenance("enabled", check=check, status_port=free_port(), haproxy_backends=["nowhere"])
        assert failed["error_code"] == "maintenance_no_status"
        assert site.get().body == "Shop"


def test_a_state_that_contradicts_itself_is_told_and_the_next_run_mends_it(site: BlockableSite) -> None:
    assert site.maintenance("enabled", bypass_token=TOKEN)["changed"]
    if site.backend == "haproxy":
        Runtime(site.variables["maintenance_haproxy_socket"]).tell(f"clear map {folder(site)}/haproxy.map")
    else:
        (folder(site) / "served").unlink()
        assert site.get().status == 503, "without its page as well"
    assert site.status(proof_timeout=0)["error_code"] == "maintenance_unknown_state"
    assert site.maintenance("enabled", bypass_token=TOKEN)["changed"]
    assert site.status()["blocked"]
    flag = (folder(site) / "enabled").read_text()
    (folder(site) / "enabled").unlink()
    if site.backend == "haproxy":
        assert "owner" not in site.status(proof_timeout=0), "nobody says who did that"
        assert site.maintenance("disabled")["changed"]
        assert site.get().body == "Shop"
    (folder(site) / "enabled").write_text(flag[:20])
    for answer in (site.status(), site.maintenance("enabled"), site.maintenance("disabled")):
        assert answer["error_code"] == "maintenance_state_unreadable"
    (folder(site) / "enabled").unlink()
    assert site.get().body == "Shop"


def test_a_run_that_is_killed_is_finished_by_the_next(site: BlockableSite) -> None:
    for state, status in (("enabled", 503), ("disabled", 200)):
        killed = start_module("maintenance", {**site.options, "state": state})
        wait_until(lambda: site.get().status == status, state)  # noqa: B023 (called at once)
        killed.kill()
        killed.communicate()
        assert not site.maintenance(state).get("failed")
        assert site.get().status == status
        assert site.status()["blocked"] == (status == 503)


# What a process does to files and to HAProxy, one atomic step each.
STEPS = ("mkdir", "symlink", "replace", "unlink", "rmdir")


def cut_off(site: BlockableSite, step: int, change: Callable[[Blocker], None]) -> bool:
    """Change the block in a process that dies in front of its ``step``-th step; whether it came to that."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    left = itertools.count(step, -1)

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*given: Any, **options: Any) -> Any:
            if next(left) == 0:
                os._exit(9)
            return act(*given, **options)

        return acting

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))
    Runtime.tell = counted(Runtime.tell)  # type: ignore[method-assign]
    try:
        change(blocker(site))
    finally:
        os._exit(0)


def blocker(site: BlockableSite) -> Blocker:
    return make_blocker({**site.options, "proof_timeout": 0})


def blocking(message: str, owner: str, token: str) -> Callable[[Blocker], None]:
    return lambda made: made.enable(made.wanted(message, 5, token, owner))


CHANGES = {
    "an open site is blocked": (lambda made: made.backend.withdraw(), blocking("Soon", "deploy", TOKEN)),
    "a block is taken over": (blocking("Soon", "ann", TOKEN), blocking("Later", "deploy", TOKEN[::-1])),
    "a block is opened": (blocking("Soon", "deploy", TOKEN), lambda made: made.backend.withdraw()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_that_is_cut_off_between_any_two_steps_leaves_a_state_that_is_known(
    site: BlockableSite, name: str
) -> None:
    before, change = CHANGES[name]
    told = []
    for step in range(200):
        before(blocker(site))
        if not cut_off(site, step, change):
            break
        status = site.get().status
        try:
            state = blocker(site).examine()
            assert (status == 503) == (state is not None), f"step {step}: {status}, {state}"
            told.append("blocked" if state else "open")
            if state:
                with_token = site.get("/", "-H", f"X-Lamp-Bypass: {state['token']}").status
                assert (with_token, state["message"] in site.get().body) == (200, True), f"step {step}: {state}"
        except LampError as error:
            assert site.backend == "haproxy", f"step {step}: {error}"
            assert (error.code, error.details["owner"]) == ("maintenance_unknown_state", "deploy"), (
                f"step {step}: {error}"
            )
            told.append("left by a deploy")
        change(blocker(site))
        assert blocker(site).examine() is None or site.get().status == 503
    assert len(told) > 2
    assert set(told) - {"left by a deploy"} <= {"open", "blocked"}
    assert ("left by a deploy" in told) == (site.backend == "haproxy" and name != "a block is taken over"), told
    blocker(site).backend.withdraw()
    assert site.get().body == "Shop"


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
def test_a_disk_that_refuses_the_block_is_named_and_the_site_stays_open(site: BlockableSite) -> None:
    site.maintenance("disabled")  # which leaves no folder of tokens
    (folder(site) / "bypass").touch()
    failed = site.maintenance("enabled")
    assert (failed["error_code"], str(folder(site) / "bypass") in failed["msg"]) == ("maintenance_io", True), failed
    assert site.get().body == "Shop"
    (folder(site) / "bypass").unlink()
    assert site.maintenance("enabled")["changed"]
    assert site.maintenance("disabled")["changed"]


@pytest.mark.parametrize("site", ["haproxy"], indirect=True)
def test_a_plan_with_a_page_that_does_not_fit_is_refused_as_well(site: BlockableSite) -> None:
    for check in (True, False):
        failed = site.maintenance("enabled", check=check, page_message="x" * 20000)
        assert failed.get("error_code") == "maintenance_message_too_long"


INJECTED = 'x\r\nX-Evil: 1\n%[env(PATH)] ${PATH} $http_host </p><script>alert(1)</script> "\\ \x1b[31m\u2028'


def test_the_message_is_text_and_nothing_else(site: BlockableSite) -> None:
    done = site.maintenance("enabled", page_message=INJECTED)
    assert not done.get("failed"), done
    for options in ((), ("-H", "Accept: application/json")):
        answer = site.get("/", *options)
        assert answer.status == 503
        assert "x-evil" not in answer.headers
        assert "%[env(PATH)] ${PATH} $http_host" in answer.body
        assert "/usr/bin" not in answer.body
    assert "<script>alert" not in site.get().body
    assert "\x1b" not in site.get().body
    assert not site.maintenance("enabled", page_message=INJECTED)["changed"]
    site.server.reload()
    assert "x-evil" not in site.get().headers
    site.maintenance("disabled")


def test_a_null_in_the_message_reaches_nobody(site: BlockableSite) -> None:
    site.maintenance("enabled", page_message="Back\x00soon")  # refused by Ansible itself from Python 3.12 on
    assert "\x00" not in site.get().body
    site.maintenance("disabled")


@pytest.mark.parametrize("site", ["nginx"], indirect=True)
@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"bypass_token": f"{TOKEN}\r\nX-Evil: 1"}, "maintenance_bad_token"),
        ({"bypass_token": f"../{TOKEN}"}, "maintenance_bad_token"),
        ({"bypass_token": "ä" * 20}, "maintenance_bad_token"),
        ({"bypass_token": "short"}, "maintenance_bad_token"),
        ({"retry_after": -1}, "maintenance_bad_retry_after"),
        ({"retry_after": 10**10}, "maintenance_bad_retry_after"),
        ({"name": "../shop"}, "maintenance_bad_name"),
        ({"name": "shop\n"}, "maintenance_bad_name"),
        ({"probe_url": "file:///etc/passwd"}, "maintenance_bad_url"),
        ({"probe_address": "127.0.0.1\r\nX-Evil: 1"}, "maintenance_bad_url"),
        ({"probe_address": "127.0.0.1:70000"}, "maintenance_bad_url"),
        ({"probe_url": "http://shop.test:port/"}, "maintenance_bad_url"),
        ({"probe_url": "http://shop.test/\r\nX-Evil: 1"}, "maintenance_bad_url"),
    ],
)
def test_values_that_are_none_are_refused(site: BlockableSite, options: dict[str, Any], code: str) -> None:
    failed = site.maintenance("enabled", **options)
    assert failed["error_code"] == code
    assert TOKEN not in failed.output
    assert site.get().body == "Shop"
