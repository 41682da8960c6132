# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role in plays of others: several deploys in one run, tags, a part of the hosts, a load balancer that is lost.

Two web hosts and their load balancer are all this machine, each with folders of its own.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.runtime import Runtime

from tests.integration.deploy.conftest import AWAY, Controller, lose, role
from tests.integration.maintenance.conftest import BlockableSite
from tests.support.modules import ROOT
from tests.support.servers.mariadb import MariaDB


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """One run: something fails on a and is mended, wiki is deployed, then shop, which loses the balancer; b is lost."""
    with BlockableSite("haproxy") as site:
        made = Controller(site, tmp_path_factory.mktemp("controller"))
        (made.folder / "lose.yml").write_text(json.dumps(lose("lb")))
        for host in "ab":
            (made.folder / host / "sessions").mkdir(parents=True)
            (made.folder / host / "sessions" / "sess_a").touch()
        place = f"{made.folder}/{{{{ inventory_hostname }}}}/sessions"
        sessions = {"session_purge_store": "files", "session_purge_save_path": place}
        lost = {"after_block": str(made.folder / "lose.yml")}
        gone = {
            "ansible.builtin.ping": {},
            "vars": AWAY,
            "when": "inventory_hostname == 'b'",
            "any_errors_fatal": False,
        }
        tasks = [
            {
                "block": [{"ansible.builtin.fail": {"msg": "an old story"}, "when": "inventory_hostname == 'a'"}],
                "rescue": [{"ansible.builtin.debug": {"msg": "it goes on"}}],
            },
            made.deploy("wiki", "1", deploy_mode="window", tagged=True, **sessions),
            {
                "block": [made.deploy("shop", "1", deploy_mode="window", deploy_hooks=lost)],
                "rescue": [gone, role("status", deploy_name="shop")],
            },
        ]
        _code, made.output = made.run([made.play(tasks, tags="site")], "--tags", "site")
        yield made


def test_a_deploy_tells_of_itself_alone_whatever_else_is_in_its_run(controller: Controller) -> None:
    for (wiki,), (shop,) in zip(controller.journals("wiki"), controller.journals("shop")):
        assert (wiki["result"], list(wiki["blocked_seconds"])) == ("deployed", ["a", "b"]), wiki
        assert wiki["sessions_dropped"] == 2, "what was only counted beforehand is no drop"
        assert (shop["failure"], shop["blocked_seconds"]) == ("lb could not be reached.", {}), shop


def test_what_a_lost_load_balancer_shows_is_unknown_and_the_status_says_so(controller: Controller) -> None:
    assert [shop["result"] for (shop,) in controller.journals("shop")] == ["failed, not all put back"] * 2
    assert "Not all of it could be put back." in controller.output
    said = controller.output.rpartition("Say where the application stands")[2]
    for words in (
        "Site: unknown",
        "block unknown; lb: ",
        "b: cannot be reached; nothing",
        "So: a deploy is unfinished",
    ):
        assert words in said, controller.output


def test_a_load_balancer_left_between_open_and_blocked_is_mended_by_the_same_deploy(controller: Controller) -> None:
    Runtime(controller.site.variables["maintenance_haproxy_socket"]).tell(
        f"clear map {controller.site.variables['maintenance_state_dir']}/shop/haproxy.map"
    )
    plays = [
        controller.play([role("status", deploy_name="shop")]),
        controller.play([controller.deploy("shop", "1", deploy_mode="window")]),
    ]
    code, output = controller.run(plays)
    said = output.partition("Say where the application stands")[2]
    for words in ("left between open and blocked by a deploy", "So: a deploy is unfinished", "Next: ansible-playbook"):
        assert words in said, output
    assert code == 0, output
    assert [journal[-1]["result"] for journal in controller.journals("shop")] == ["deployed"] * 2
    assert controller.site.get().body == "Shop"


def test_a_part_of_the_web_hosts_gets_code_and_nothing_more(controller: Controller) -> None:
    tagged = controller.play([controller.deploy("wiki", "2", tagged=True)], hosts="web:spare", serial=1)
    code, output = controller.run([tagged], "--limit", "b,c")
    assert code != 0
    assert "Nothing is known of c, which this play is for as well" in output
    assert "--limit leaves out a, which this play is for as well" in output
    (_on_a,), (deployed, refused) = controller.journals("wiki")
    assert (deployed["result"], refused["result"]) == ("deployed", "failed, nothing changed")


def test_a_part_of_the_hosts_that_nobody_has_a_journal_of_is_known_by_the_play_and_its_lock_is_where_all_look(
    controller: Controller,
) -> None:
    code, tagged = controller.deploy("radio", "1"), controller.deploy("radio", "2", tagged=True)
    plays = [controller.play([task], hosts="{{ 'web' }}:spare", any_errors_fatal=True) for task in (code, tagged)]
    failed, output = controller.run(plays, "--limit", "c")
    assert failed != 0
    live, refused = output.split("PLAY [")[1:3]
    assert "failed=0" not in refused
    for each in (live, refused):
        assert "Take the deploy's lock" in each
        assert "[c -> a]" in each.partition("Take the deploy's lock")[2].partition("TASK")[0], each
    assert (controller.folder / "c" / "radio" / "current" / "index.php").read_text() == "<?php echo 'radio 1';"
    assert "New code: not proven to be what is served; see release_document_root" in live
    assert "--limit leaves out a, b, which this play is for as well" in refused, output
    assert "stopped before anything was changed" in refused


def test_a_lost_host_of_the_deltas_is_no_lost_web_host(controller: Controller) -> None:
    deploy = controller.deploy("blog", "1", deploy_deltas="db", dbdeploy_host="c")
    (controller.folder / "blog-1" / "db").mkdir()
    code, output = controller.run([controller.play([*lose("c"), deploy])])
    assert code != 0
    assert "stopped before anything was changed" in output, output
    assert "c could not be reached." in output, output
    assert "a could not be reached" not in output, output
    _on_a, (stopped,) = controller.journals("blog")  # a, which asked it, is out of the play
    told = stopped["result"], stopped["finished"], stopped["failure"]
    assert told == ("failed, nothing changed", True, "c could not be reached.")


def test_a_lost_host_of_the_lock_is_no_lost_web_host(controller: Controller) -> None:
    hook = controller.folder / "lose-lock.yml"
    hook.write_text(json.dumps(lose("c")))
    controller.site.maintenance("disabled", force=True)
    hooks = {"after_block": str(hook)}
    deploy = controller.deploy("lock", "1", deploy_lock_host="c", deploy_mode="window", deploy_hooks=hooks)
    code, output = controller.run([controller.play([deploy])])
    assert code != 0
    for (told,) in controller.journals("lock"):
        assert (told["result"], told["failure"]) == ("failed, put back", "c could not be reached."), output
    assert controller.site.get().body == "Shop"


def test_how_a_deploy_ended_is_recorded_also_where_only_a_hook_failed(controller: Controller) -> None:
    hook = controller.folder / "break.yml"
    hook.write_text('[{"name": "Break", "ansible.builtin.fail": {"msg": "the till is shut"}}]')
    for moment, result in (
        ("before_artifact", "failed, nothing changed"),
        ("before_record", "failed, site open"),
        ("after_record", "deployed"),
    ):
        deploy = controller.deploy("till", "1", deploy_hooks={moment: str(hook)})
        code, output = controller.run([controller.play([deploy])])
        assert code != 0
        for host, journal in zip("ab", controller.journals("till")):
            told = journal[-1]
            assert (told["result"], told["path"]) == (result, f"{controller.folder}/{host}/till"), output
            assert told["finished"] == (result != "failed, site open"), "the same command again brings it to its end"
            assert told["failure"] == ("" if result == "deployed" else "a: the till is shut.")
        assert ("then run the same command again" in output) == (result != "deployed"), output
        assert ("do it by hand. The same command does not run it again." in output) == (result == "deployed"), output
    assert [entry["result"] for entry in controller.journals("till")[0]] == [
        "failed, nothing changed", "failed, site open", "deployed",
    ]  # fmt: skip


def test_a_deploy_that_one_host_could_not_record_has_not_come_to_its_end(controller: Controller) -> None:
    journal = controller.folder / "b" / "journal"
    spoil = [
        {"ansible.builtin.command": f"mv {journal} {journal}.away"},
        {"ansible.builtin.command": f"touch {journal}"},
    ]
    hook = controller.folder / "spoil.yml"
    hook.write_text(json.dumps([{**task, "name": "Spoil", "run_once": True} for task in spoil]))
    deploy = controller.deploy("safe", "1", deploy_hooks={"before_record": str(hook)})
    code, output = controller.run([controller.play([deploy])])
    journal.unlink()
    (controller.folder / "b" / "journal.away").rename(journal)
    assert code != 0
    for (told,), (result, finished) in zip(
        controller.journals("safe"), (("failed, site open", False), ("unfinished", False))
    ):
        assert (told["result"], told["finished"]) == (result, finished), output
    assert "could not be brought to its end. b: " in output
    assert "then run the same command again" in output


def test_the_status_tells_of_the_only_host_left_where_the_one_with_the_lock_is_away(controller: Controller) -> None:
    status = controller.play([*lose("a"), role("status", deploy_name="wiki")], any_errors_fatal=False)
    _code, output = controller.run([status])
    for words in ("a: cannot be reached", "b: ", "Lock: unknown: "):
        assert words in output.rpartition("Say where the application stands")[2], output


@pytest.fixture()
def elsewhere(controller: Controller) -> Iterator[tuple[MariaDB, dict[str, Any]]]:
    """A server and variables of an application whose deltas run on the host c, which does not see the releases of a."""
    python = controller.folder / "python-of-c"
    hidden = f'mount -t tmpfs none {controller.folder}/a && exec {sys.executable} "$@"'
    python.write_text(f'#!/bin/sh\nexec unshare -m sh -c {shlex.quote(hidden)} sh "$@"\n')
    python.chmod(0o755)
    (controller.folder / "host_vars").mkdir()
    (controller.folder / "host_vars" / "c.json").write_text(json.dumps({"own_python": str(python)}))
    with MariaDB() as server:
        server.query("CREATE DATABASE news")
        yield server, {
            "dbdeploy_host": "c", "dbdeploy_login_db": "news", "deploy_deltas": "db",
            "ansible_python_interpreter": f"{{{{ own_python | default('{sys.executable}') }}}}",
            **{f"dbdeploy_{name}": value for name, value in server.login.items()},
        }  # fmt: skip


@pytest.mark.long
def test_deltas_run_where_no_release_is(controller: Controller, elsewhere: tuple[MariaDB, dict[str, Any]]) -> None:
    server, variables = elsewhere

    def deploy(version: str, numbers: str) -> dict[str, Any]:
        task = controller.deploy("news", version)
        for number in numbers:
            file = controller.folder / f"news-{version}" / "db" / f"{number}.sql"
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"CREATE TABLE t{number} (a INT);\n-- @UNDO\nDROP TABLE t{number};\n")
        return task

    tasks = [
        deploy("1", "1"),
        {"ansible.builtin.set_fact": {"first_release": "{{ deploy__artifact.release }}"}},
        deploy("2", "12"),
        deploy("3", "123"),
        role("status", deploy_name="news"),
        role(
            "rollback",
            deploy_name="news",
            rollback_release="{{ first_release }}",
            rollback_undo=True,
            deploy_smoke_tests=[{"path": "/", "contains": "what only the newest release says"}],
            rollback_smoke_tests=[{"path": "/", "contains": "Shop", "headers": {"X-Proto": "https"}}],
            deploy_request_headers={"X-Forwarded-Proto": "https"},
        ),
    ]
    code, output = controller.run([controller.play(tasks, vars={**controller.variables, **variables})])
    assert code == 0, output
    assert "Deltas pending: none" in output.rpartition("Say where the application stands")[2], output
    for first, _second, third, rollback in controller.journals("news"):
        assert (rollback["result"], rollback["release"], rollback["left"]) == (
            "rolled back", first["release"], third["release"],
        )  # fmt: skip
    assert server.query("SHOW TABLES FROM news LIKE 't_'") == [("t1",)]


def test_a_session_store_that_the_window_could_not_purge_stops_the_deploy_in_front_of_it(
    controller: Controller,
) -> None:
    store = {"session_purge_store": "files", "session_purge_save_path": f"{controller.folder}/nowhere"}
    code, output = controller.run([controller.play([controller.deploy("forum", "1", tagged=True, **store)])])
    assert code != 0
    assert "stopped before anything was changed" in output, output
    assert "nowhere cannot be opened" in output, output
    assert "Block the site" not in output


def test_a_delta_that_empties_the_table_that_a_drop_purges_drops_the_sessions(
    controller: Controller, mariadb: MariaDB, database: str
) -> None:
    login = {
        f"{role}_{name}": value
        for role in ("dbdeploy", "session_purge")
        for name, value in {**mariadb.login, "login_db": database}.items()
    }
    stock = controller.deploy("market", "1", deploy_deltas="db", **login)
    other = controller.deploy("market", "1", deploy_deltas="db", session_purge_layout="symfony", **login)
    deltas = controller.folder / "market-1" / "db"
    deltas.mkdir()
    (deltas / "1_empties.sql").write_text("TRUNCATE lamp_session;\n")
    code, output = controller.run([controller.play([stock, other], hosts="a")], "--check")
    assert code == 0, output
    assert output.count("Sessions: dropped, as the build is tagged so") == 1, output
    assert output.count("Sessions: kept") == 1, output


def documented() -> tuple[list[str], list[str]]:
    """The moments of a deploy and of a rollback, in the order in which docs/howto/hooks.md has them."""
    section = (ROOT / "docs" / "howto" / "hooks.md").read_text().partition("## The moments\n")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    deploy = [re.findall(r"`(\w+)`", row[1]) for row in rows]
    rollback = [all_ if "yes" in row[3] else re.findall(r"`(\w+)`", row[3]) for row, all_ in zip(rows, deploy)]
    return list(chain(*deploy)), list(chain(*rollback))


@pytest.mark.long
def test_each_moment_is_met_in_the_order_in_which_it_is_documented(controller: Controller) -> None:
    deploy, rollback = documented()
    hook = controller.folder / "record.yml"
    record = {
        "ansible.builtin.shell": "echo {{ deploy_event.moment }} >> {{ inventory_dir }}/{{ met }}",
        "run_once": True,
    }
    hook.write_text(json.dumps([{"name": "Record", **record}]))
    place = f"{controller.folder}/{{{{ inventory_hostname }}}}/sessions"
    given = {
        "session_purge_store": "files", "session_purge_save_path": place, "deploy_mode": "window",
        "deploy_hooks": dict.fromkeys(deploy, str(hook)),
    }  # fmt: skip
    bad = [{"path": "/", "contains": "nowhere"}]
    tasks = [
        controller.deploy("wiki", "3", tagged=True, met="deployed", **given),
        role("rollback", deploy_name="wiki", met="rolled-back", **given),
        controller.deploy("wiki", "4", tagged=True, met="failed", deploy_smoke_tests=bad, **given),
    ]
    _code, output = controller.run([controller.play(tasks)])
    assert [journal[-1]["result"] for journal in controller.journals("wiki")] == ["failed, put back"] * 2, output

    def met(name: str) -> list[str]:
        return (controller.folder / name).read_text().split()

    assert len(deploy) == 19
    assert met("deployed") == deploy[:-1]
    assert met("rolled-back") == rollback[:-1]
    assert met("failed") == [*deploy[: deploy.index("before_switch") + 1], "on_failure"]
