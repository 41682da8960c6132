# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failed deploy opens and what it does not, where a load balancer blocks for two web hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.deploy.conftest import Controller, role
from tests.integration.maintenance.conftest import BlockableSite
from tests.support.servers.mariadb import MariaDB

BAD = {"deploy_smoke_tests": [{"path": "/", "contains": "what no page says"}]}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory, mariadb: MariaDB) -> Iterator[Controller]:
    """With a database, in which the delta N of a release makes the table tN."""
    with BlockableSite("haproxy") as site:
        made = Controller(site, tmp_path_factory.mktemp("controller"))
        login = {f"dbdeploy_{name}": value for name, value in mariadb.login.items()}
        made.variables |= {"deploy_deltas": "db", "dbdeploy_login_db": "{{ deploy_name }}", **login}
        yield made


def deploy(controller: Controller, name: str, version: str, deltas: str, **variables: Any) -> dict[str, Any]:
    """The task that deploys a version with these deltas."""
    task = controller.deploy(name, version, **variables)
    folder = controller.folder / f"{name}-{version}" / "db"
    folder.mkdir(exist_ok=True)
    for number in deltas:
        (folder / f"{number}.sql").write_text(f"CREATE TABLE t{number} (a INT);\n-- @UNDO\nDROP TABLE t{number};\n")
    return task


def told(controller: Controller, name: str) -> list[tuple[str, bool, bool]]:
    """Of the last deploy, as the hosts recorded it: its result, whether it is finished and the schema in doubt."""
    last = [journal[-1] for journal in controller.journals(name) if journal]
    return [(entry["result"], entry["finished"], entry["deltas_begun"]) for entry in last]


def test_an_undo_opens_nothing_where_the_code_could_not_be_put_back(
    controller: Controller, database: str, mariadb: MariaDB
) -> None:
    hook = controller.folder / "lose.yml"
    lose = {
        "ansible.builtin.shell": "rm -r $(readlink -f {{ deploy_path }}/current)",
        "when": "inventory_hostname == 'b'",
    }
    hook.write_text(json.dumps([{"name": "Lose the old release", **lose}]))
    given = {"deploy_on_failure": "undo", "deploy_hooks": {"before_switch": str(hook)}}
    second = deploy(controller, database, "2", "12", **given, **BAD)
    code, output = controller.run([controller.play([deploy(controller, database, "1", "1"), second])])
    assert code != 0
    assert "Not all of it could be put back." in output, output
    assert mariadb.query(f"SHOW TABLES FROM {database} LIKE 't_'") == [("t1",)], "it was undone"
    assert told(controller, database) == [("failed, not all put back", False, True)] * 2
    assert controller.site.get().status == 503, "b runs code that the schema does not fit"
    again = deploy(controller, database, "2", "12", deploy_on_failure="undo")
    code, output = controller.run([controller.play([again, role("status", deploy_name=database)])])
    assert code == 0, output
    assert controller.site.get().body == "Shop"
    assert "So: all is well" in output


def test_a_first_deploy_that_fails_gives_the_site_back_to_what_was_there(controller: Controller, database: str) -> None:
    before = controller.folder / f"{database}-before"
    before.mkdir()
    (before / "index.php").write_text("<?php echo 'of others';")
    currents = [controller.folder / host / database / "current" for host in "ab"]
    for current in currents:
        current.parent.mkdir(parents=True)
        current.symlink_to(before)
    code, output = controller.run(
        [controller.play([deploy(controller, database, "1", "", deploy_mode="window", **BAD)])]
    )
    assert code != 0
    assert "Nothing had been changed in the database" in output, output
    assert told(controller, database) == [("failed, put back", True, False)] * 2
    assert [current.resolve() for current in currents] == [before] * 2
    assert controller.site.get().status == 200


@pytest.mark.long
def test_an_undo_opens_what_was_open_before_and_not_what_an_operator_had_blocked(
    controller: Controller, database: str, mariadb: MariaDB
) -> None:
    own = {"hosts": "a", "vars": {**controller.variables, "maintenance_balancers": []}}  # the web host blocks itself
    second = deploy(controller, database, "2", "12", deploy_on_failure="undo", **BAD)
    code, output = controller.run([controller.play([deploy(controller, database, "1", "1"), second], **own)])
    assert (code != 0, "The deltas of this deploy were undone" in output) == (True, True), output
    assert told(controller, database) == [("failed, undone", True, False)]
    assert controller.site.get().body == "Shop"
    enable = {"ansible.builtin.include_role": {"name": "lamp.cluster.maintenance", "tasks_from": "enable"}}
    for tasks in ([enable, second], [second]):  # the second run finds a block of the deploy
        code, output = controller.run([controller.play(tasks, **own)])
        assert "It was not undone: An operator had blocked the site before" in output, output
        assert controller.site.get().status == 503
        assert mariadb.query(f"SHOW TABLES FROM {database} LIKE 't_'") == [("t1",), ("t2",)]
    code, output = controller.run([controller.play([deploy(controller, database, "2", "12")], **own)])
    assert code == 0, output
    assert controller.site.get().body == "Shop"


def test_nothing_that_fails_is_ignored_because_the_play_ignores_errors(
    controller: Controller, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignoring = {"ignore_errors": True, "ignore_unreachable": True}
    first = deploy(controller, database, "1", "1")
    second = deploy(controller, database, "2", "1")
    (controller.folder / f"{database}-2" / "db" / "2.sql").write_text("CREATE TABEL t2 (a INT);\n")
    back = role("rollback", deploy_name=database, **BAD)
    for tasks in ([first, second], [deploy(controller, database, "3", "1"), back]):
        code, output = controller.run([controller.play(tasks, **ignoring)])
        assert code != 0, output
        assert told(controller, database) == [("failed, put back", True, False)] * 2, output
    monkeypatch.setitem(controller.defaults, "deploy_lock", {"path": "/proc/locks"})
    code, output = controller.run([controller.play([first], **ignoring)])
    assert code != 0
    assert "Stage" not in output, "without the lock nothing begins"
