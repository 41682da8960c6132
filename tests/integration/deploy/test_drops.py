# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a tag drops sessions, and when it does so again: over rollbacks, undone deltas, older releases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.deploy.test_plays import Controller, role
from tests.integration.maintenance.conftest import BlockableSite
from tests.support.servers.mariadb import MariaDB


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with BlockableSite("haproxy") as site:
        made = Controller(site, tmp_path_factory.mktemp("controller"))
        for host in "ab":
            (made.folder / host / "sessions").mkdir(parents=True)
        place = f"{made.folder}/{{{{ inventory_hostname }}}}/sessions"
        made.variables |= {"session_purge_store": "files", "session_purge_save_path": place}
        (made.folder / "break.yml").write_text('[{"name": "Break", "ansible.builtin.fail": {"msg": "it broke"}}]')
        yield made


def visit(controller: Controller) -> dict[str, Any]:
    """A task after which there is a session on each host."""
    return {
        "name": "Visit",
        "ansible.builtin.file": {
            "path": f"{controller.folder}/{{{{ inventory_hostname }}}}/sessions/sess_a",
            "state": "touch",
        },
    }


def add(controller: Controller, version: str, **deltas: str) -> None:
    """Give this version of the museum these deltas."""
    folder = controller.folder / f"museum-{version}" / "db"
    folder.mkdir(parents=True)
    (folder / "1_first.sql").write_text("CREATE TABLE first (a INT);\n")
    for name, text in deltas.items():
        (folder / f"{name.lstrip('_')}.sql").write_text(text)


@pytest.mark.long
def test_a_tag_drops_whenever_what_bears_it_takes_the_place_of_code_that_lacks_it(
    controller: Controller, mariadb: MariaDB, database: str
) -> None:
    login = {f"dbdeploy_{name}": value for name, value in {**mariadb.login, "login_db": database}.items()}
    undoes = "CREATE TABLE {0} (a INT);\n-- @UNDO\nDROP TABLE {0};\n"
    second = {"_2_second": "-- @DROP-SESSIONS\n" + undoes.format("second")}
    for version, deltas in {
        "1": {}, "2": {}, "3": second, "4": second, "5": {**second, "_3_third": undoes.format("third")}, "6": second,
    }.items():  # fmt: skip
        add(controller, version, **deltas)

    def deploy(version: str, *, tagged: bool = False, **more: Any) -> dict[str, Any]:
        return controller.deploy("museum", version, tagged=tagged, deploy_deltas="db", release_force=True, **more)

    broken = {"deploy_on_failure": "undo", "deploy_hooks": {"before_unblock": str(controller.folder / "break.yml")}}
    back = role("rollback", deploy_name="museum")
    undo = role("rollback", deploy_name="museum", rollback_undo=True)
    tasks = [
        deploy("1"),
        visit(controller), deploy("2", tagged=True),
        deploy("1"), visit(controller), deploy("2", tagged=True),
        visit(controller), deploy("3"),
        back, visit(controller), deploy("4"),
        undo, visit(controller), deploy("4"),
        visit(controller), {"block": [deploy("5", tagged=True, **broken)], "rescue": [visit(controller)]},
        deploy("6"),
    ]  # fmt: skip
    variables = {**controller.variables, **login, "deploy_deltas": "db"}
    code, output = controller.run([controller.play(tasks, hosts="a", vars=variables)])
    assert code == 0, output
    journal, _of_b = controller.journals("museum")
    assert [(entry["result"], entry.get("sessions_dropped", 0)) for entry in journal] == [
        ("deployed", 0),
        ("deployed", 1), ("deployed", 0), ("deployed", 1),
        ("deployed", 1), ("rolled back", 0), ("deployed", 1),
        ("rolled back", 0), ("deployed", 1),
        ("failed, undone", 1), ("deployed", 0),
    ]  # fmt: skip
    assert "Sessions: kept, also those of newer code; lamp.cluster.purge_sessions ends them" in output
    assert mariadb.query("SELECT COUNT(*) FROM changelog_drop WHERE done_at IS NULL", database=database) == [(0,)]
