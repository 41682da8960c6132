# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deploys to a real cluster while visitors keep coming. The tests build upon each other, in their order."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.cluster import DEMO_APP, Cluster, address
from tests.support.servers.base import wait_until
from tests.support.traffic import Traffic, User

WEB1 = address("web1")


def deployed(cluster: Cluster, *arguments: str, source: str | Path = "v3") -> str:
    run = cluster.deploy(source, *arguments)
    assert run.code == 0, run.output
    return run.output


def refused(cluster: Cluster, *arguments: str, source: str | Path = "v3") -> str:
    run = cluster.deploy(source, *arguments)
    assert run.code != 0, run.output
    return run.output


def kinds(cluster: Cluster) -> set[str]:
    """What visitors get now, from every web host."""
    with Traffic(cluster.url, rate=40) as traffic:
        wait_until(lambda: len(traffic.responses) >= 12, "twelve responses")
    return set(traffic.kinds())


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of v3, to which the tests add in turn."""
    made = Path(tmp_path_factory.mktemp("next") / "release")
    shutil.copytree(DEMO_APP / "v3", made)
    return made


@pytest.fixture(scope="module")
def user(cluster: Cluster) -> User:
    return User(cluster.url)


@pytest.fixture(scope="module", autouse=True)
def _nothing_deployed(cluster: Cluster) -> None:
    """Other tests may have used the cluster: these begin before the first deploy."""
    for host in ("web1", "web2", "web3"):
        cluster.ssh(address(host), "rm -rf /var/lib/lamp.cluster/deploys; find /var/www/shop -mindepth 1 -delete")
    tables = "product, shop_user, changelog, changelog_state, changelog_drop, changelog_lock"
    drop = f"DROP TABLE IF EXISTS {tables}; DROP PROCEDURE IF EXISTS discount"
    cluster.ssh(address("db1"), f"mariadb shop -e {shlex.quote(drop)}")


def test_before_the_first_deploy_bad_input_is_named(cluster: Cluster) -> None:
    run = cluster.playbook("lamp.cluster.deploy", "-e", "deploy_source=")
    assert (run.code != 0, "deploy_source" in run.output) == (True, True), run.output
    output = refused(cluster, source=Path("/nonexistent/shop"))
    assert "artifact_no_source" in output
    assert "/nonexistent/shop" in output
    output = refused(cluster, "-e", "dbdeploy_login_port=9", source="v1")
    assert "mysql_unreachable" in output
    assert "block " not in output


def test_the_first_release_serves_a_session_from_all_hosts(cluster: Cluster, user: User) -> None:
    deployed(cluster, source="v1")
    assert kinds(cluster) == {"v1"}
    user.login()
    answers = [user.count() for _ in range(36)]
    assert {answer["host"] for answer in answers} == {"web1", "web2", "web3"}
    first = answers[0]["count"]
    assert [answer["count"] for answer in answers] == list(range(first, first + 36))
    assert {answer["user"] for answer in answers} == {"demo"}


def test_a_plan_touches_nothing_and_says_what_the_run_then_does(cluster: Cluster, user: User) -> None:
    plan = deployed(cluster, "--check", "--diff", source="v2")
    assert kinds(cluster) == {"v1"}
    assert user.count()["user"] == "demo"
    for line in ("003_split_price_into_cents.sql", "Sessions: dropped", "Maintenance window: yes", "ADD COLUMN"):
        assert line in plan, plan


def test_a_tagged_release_blocks_every_request_and_logs_users_out(cluster: Cluster, user: User) -> None:
    with Traffic(cluster.url) as traffic:
        deployed(cluster, source="v2")
    assert set(traffic.kinds()) == {"v1", "maintenance", "v2"}
    order = [response.kind for response in traffic.responses]
    assert order.index("v2") > max(place for place, kind in enumerate(order) if kind == "v1")
    assert user.count()["user"] is None
    user.login()


def test_code_alone_needs_no_block_and_logs_nobody_out(cluster: Cluster, user: User) -> None:
    with Traffic(cluster.url) as traffic:
        deployed(cluster, source="v3")
    assert set(traffic.kinds()) == {"v2", "v3"}
    assert user.count()["user"] == "demo"


def test_nothing_to_do_means_nothing_done(cluster: Cluster) -> None:
    with Traffic(cluster.url) as traffic:
        run = cluster.deploy("v3")
    assert (run.code, run.changed) == (0, 0)
    assert "nothing to do" in run.output
    assert set(traffic.kinds()) == {"v3"}


def test_a_first_delta_that_fails_is_put_back(cluster: Cluster, next_release: Path) -> None:
    bad = next_release / "db" / "deltas" / "010_bad.sql"
    bad.write_text("ALTER TABEL product ADD x INT;\n")
    output = refused(cluster, source=next_release)
    for said in ("010_bad.sql, line 1", "dbdeploy_statement_failed", "Nothing had been changed in the database"):
        assert said in output, output
    assert kinds(cluster) == {"v3"}
    bad.unlink()


def test_a_delta_that_fails_later_keeps_the_block_until_it_is_mended(
    cluster: Cluster, next_release: Path, user: User
) -> None:
    deltas = next_release / "db" / "deltas"
    (deltas / "010_good.sql").write_text("ALTER TABLE product ADD e2e_one INT;\n")
    (deltas / "011_bad.sql").write_text("ALTER TABLE product ADD e2e_two INT;\nALTER TABLE product ADD e2e_two INT;\n")
    output = refused(cluster, source=next_release)
    assert "011_bad.sql, line 2 (statement 2)" in output
    assert "The site stays blocked" in output
    assert kinds(cluster) == {"maintenance"}
    assert "blocked by deploy" in cluster.playbook("lamp.cluster.status").output
    older = refused(cluster)
    assert "is older than the database, which has deltas 10, 11" in older
    assert kinds(cluster) == {"maintenance"}, "the code that ran before must not meet the new schema"
    (deltas / "011_bad.sql").write_text(
        "ALTER TABLE product ADD e2e_two INT;\nALTER TABLE product ADD e2e_three INT;\n"
    )
    deployed(cluster, source=next_release)
    assert kinds(cluster) == {"v3"}
    assert user.count()["user"] == "demo"
    assert "deployed" in cluster.playbook("lamp.cluster.status").output


def test_a_controller_that_is_killed_in_the_window_is_continued_and_drops_once(
    cluster: Cluster, next_release: Path, user: User
) -> None:
    (next_release / "db" / "deltas" / "012_slow.sql").write_text("-- @DROP-SESSIONS\nDO SLEEP(5);\n")
    process = subprocess.Popen(
        cluster.command("lamp.cluster.deploy", "-e", f"deploy_source={next_release}"),
        env=cluster.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with Traffic(cluster.url) as traffic:
        wait_until(lambda: traffic.kinds()["maintenance"] > 20, "the block")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(300)
    assert kinds(cluster) == {"maintenance"}
    deployed(cluster, source=next_release)
    assert kinds(cluster) == {"v3"}
    assert user.count()["user"] is None
    user.login()
    assert cluster.deploy(next_release).changed == 0
    assert user.count()["user"] == "demo"


def test_a_dead_web_host_stops_the_deploy_before_the_block(cluster: Cluster, next_release: Path) -> None:
    (next_release / "db" / "deltas" / "013_more.sql").write_text("ALTER TABLE product ADD e2e_four INT;\n")
    cluster.bed("power-off", "web3")
    try:
        wait_until(lambda: kinds(cluster) == {"v3"}, "the load balancer to notice")
        with Traffic(cluster.url) as traffic:
            output = refused(cluster, source=next_release)
        assert "web3" in output
        assert set(traffic.kinds()) == {"v3"}
    finally:
        cluster.bed("power-on", "web3")
    wait_until(lambda: kinds(cluster) == {"v3"}, "web3")


@pytest.mark.long
def test_a_tag_in_the_release_drops_once_with_a_database_or_without(
    cluster: Cluster, next_release: Path, user: User
) -> None:
    for number, options in enumerate(((), ("-e", "deploy_deltas="))):
        user.login()
        (next_release / ".lamp.yml").write_text(f"drop_sessions: true # {number}\n")
        assert "Sessions: dropped" in deployed(cluster, *options, source=next_release)
        assert user.count()["user"] is None
        user.login()
        assert cluster.deploy(next_release, *options).changed == 0
        assert user.count()["user"] == "demo"
    (next_release / ".lamp.yml").unlink()


def test_a_release_that_was_rolled_back_is_refused_before_the_block(cluster: Cluster, next_release: Path) -> None:
    note = next_release / "note.txt"
    note.write_text("to be left again")
    deployed(cluster, source=next_release)
    run = cluster.playbook("lamp.cluster.rollback")
    assert run.code == 0, run.output
    with Traffic(cluster.url) as traffic:
        assert "not to come back to" in refused(cluster, source=next_release)
    assert set(traffic.kinds()) == {"v3"}
    note.unlink()


def test_an_operator_can_block_and_open(cluster: Cluster) -> None:
    run = cluster.playbook("lamp.cluster.maintenance")
    assert (run.code != 0, "maintenance_state" in run.output) == (True, True), run.output
    for state, seen in (("enabled", "maintenance"), ("disabled", "v3")):
        run = cluster.playbook("lamp.cluster.maintenance", "-e", f"maintenance_state={state}")
        assert run.code == 0, run.output
        assert kinds(cluster) == {seen}


def test_all_users_can_be_logged_out_by_hand(cluster: Cluster, user: User) -> None:
    user.login()
    run = cluster.playbook("lamp.cluster.purge_sessions")
    assert run.code == 0, run.output
    assert user.count()["user"] is None


def test_the_lock_names_its_holder(cluster: Cluster, next_release: Path) -> None:
    lock = '{"user": "ann", "controller": "elsewhere", "pid": 1, "started": "1", "boot": "x", "since": "today"}'
    cluster.ssh(WEB1, f"echo '{lock}' > /var/lib/lamp.cluster/locks/shop.json")
    output = refused(cluster, source=next_release)
    assert "ann on elsewhere (process 1) since today" in output
    assert "deploy_force_lock=true" in output
    for state in ("enabled", "disabled"):
        run = cluster.playbook("lamp.cluster.maintenance", "-e", f"maintenance_state={state}")
        assert (run.code != 0, "ann on elsewhere" in run.output) == (True, True), run.output
    run = cluster.playbook("lamp.cluster.maintenance", "-e", "maintenance_state=disabled maintenance_force=true")
    assert (run.code, run.changed) == (0, 0), run.output
    deployed(cluster, "-e", "deploy_force_lock=true", source=next_release)


def test_no_secret_is_shown_or_left_readable(cluster: Cluster, next_release: Path) -> None:
    password = cluster.variables["shop_db_password"]
    (next_release / "note.txt").write_text("so that there is something to switch")
    output = deployed(cluster, "-vvv", "-e", "ansible_inject_invocation=true", source=next_release)
    assert password not in output
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in output
    readable = cluster.ssh(
        WEB1, f"su -s /bin/sh nobody -c 'grep -rls {password} /etc /var/lib/lamp.cluster /var/www /tmp' || true"
    )
    assert readable.strip() == ""
