# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and its playbook, run by Ansible itself."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import yaml

from tests.support.modules import BIN, COLLECTIONS, ROOT
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.redis import RedisServer


def play(folder: Path, playbook: str, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "-i", "web1,web2,", "-c", "local", playbook, *arguments],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_every_host_purges_its_own_files_and_what_was_put_aside_is_swept(tmp_path: Path) -> None:
    sites = {}
    for host in ("web1", "web2"):
        sites[host] = tmp_path / host / "sessions"
        sites[host].mkdir(parents=True)
        (sites[host] / "sess_a").touch()
    variables = {
        "deploy_hosts": "all", "session_purge_store": "files", "session_purge_dedicated": True,
        "session_purge_save_path": f"{tmp_path}/{{{{ inventory_hostname }}}}/sessions",
        "ansible_python_interpreter": str(BIN / "python"),
    }  # fmt: skip
    window = {**variables, "session_purge_leftovers": "leave"}
    output = play(tmp_path, "lamp.cluster.purge_sessions", "-e", json.dumps(window), "--diff")
    assert output.count("changed=1") == 2
    assert f"-files {sites['web1']}: 1 session\n" in output
    for site in sites.values():
        assert list(site.iterdir()) == []
        assert len(list(site.parent.iterdir())) == 2
    (tmp_path / "sweep.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - ansible.builtin.import_role:\n        name: lamp.cluster.session_purge\n        tasks_from: sweep\n"
    )
    assert play(tmp_path, "sweep.yml", "-e", json.dumps(variables)).count("changed=1") == 2
    for site in sites.values():
        assert list(site.parent.iterdir()) == [site]
    assert play(tmp_path, "sweep.yml", "-e", json.dumps(variables)).count("changed=0") == 2


def test_every_host_purges_the_server_of_its_own_and_a_shared_one_is_purged_once(tmp_path: Path) -> None:
    with RedisServer() as one, RedisServer() as other:
        ports = {"web1": one.port, "web2": other.port}
        variables = {
            "deploy_hosts": "all", "session_purge_store": "redis", "ansible_python_interpreter": str(BIN / "python"),
            "ports": ports, "session_purge_servers": ["127.0.0.1:{{ ports[inventory_hostname] }}"],
        }  # fmt: skip
        for server in (one, other):
            server.client.set("PHPREDIS_SESSION:a", "user|i:1;")
        output = play(tmp_path, "lamp.cluster.purge_sessions", "-e", json.dumps(variables))
        assert (output.count("changed=1"), one.client.dbsize(), other.client.dbsize()) == (2, 0, 0)
        one.client.set("PHPREDIS_SESSION:a", "user|i:1;")
        shared = {
            **variables,
            "session_purge_servers": [f"0.0.0.0:{one.port}"],
        }  # reaches it, and is no loopback address
        output = play(tmp_path, "lamp.cluster.purge_sessions", "-e", json.dumps(shared))
        assert (output.count("changed=1"), output.count("skipped=1"), one.client.dbsize()) == (1, 1, 0)


class Application:
    """Sessions in files, and the playbook of the purge, which looks for locks of deploys in a folder beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "locks" / "shop.json"
        self.session = folder / "sessions" / "sess_a"
        for file in (self.lock, self.session):
            file.parent.mkdir()
        self.session.touch()
        (purge,) = yaml.safe_load((ROOT / "playbooks" / "purge_sessions.yml").read_text())
        locks = {"lamp.cluster.deploy_lock": {"path": str(self.lock.parent)}}
        (folder / "purge.yml").write_text(yaml.safe_dump([{**purge, "module_defaults": locks}]))

    def purge(self, path: Path, code: int, *arguments: str) -> str:
        """What the playbook says."""
        variables = {
            "deploy_hosts": "all", "deploy_name": "shop", "session_purge_store": "files",
            "session_purge_save_path": str(path), "ansible_python_interpreter": str(BIN / "python"),
        }  # fmt: skip
        return play(self.folder, "purge.yml", "-e", json.dumps(variables), *arguments, code=code)


def test_while_a_deploy_runs_the_playbook_purges_nothing(tmp_path: Path) -> None:
    shop = Application(tmp_path)
    shop.lock.write_text(json.dumps({"user": "ann", "controller": "deploy1", "pid": 7}))
    assert "ann on deploy1 (process 7)" in shop.purge(shop.session.parent, code=2)
    assert (shop.session.exists(), shop.lock.exists()) == (True, True)


def test_a_purge_keeps_deploys_out_until_it_is_done_or_has_failed(tmp_path: Path) -> None:
    shop = Application(tmp_path)
    assert "Take the deploy's lock" in shop.purge(shop.session.parent, code=0)
    assert (shop.session.exists(), shop.lock.exists()) == (False, False)
    assert "nowhere cannot be opened" in shop.purge(tmp_path / "nowhere", code=2)
    assert not shop.lock.exists()


def test_a_purge_of_a_part_of_the_hosts_takes_the_lock_where_deploys_of_all_of_them_do(tmp_path: Path) -> None:
    shop = Application(tmp_path)
    output = shop.purge(shop.session.parent, 0, "--limit", "web2")
    for task in ("Take the deploy's lock", "Free the deploy's lock"):
        assert "[web2 -> web1]" in output.partition(task)[2].partition("TASK")[0], output


PURGE = """
- hosts: all
  gather_facts: false
  vars:
    session_purge_store: redis
    session_purge_servers: ["0.0.0.0:{{ ports[inventory_hostname] }}"]
  tasks:
    - ansible.builtin.include_role: {name: lamp.cluster.session_purge}
      when: inventory_hostname != 'web0'
- hosts: all
  gather_facts: false
  vars:
    session_purge_store: redis
    session_purge_topology: sentinel
    session_purge_sentinel_service: "{{ {'web2': 'blog'}[inventory_hostname] | default('shop') }}"
  tasks:
    - ansible.builtin.include_role: {name: lamp.cluster.session_purge, tasks_from: place, public: true}
    - ansible.builtin.debug: {msg: "told of by {{ session_purge__together | sort | join(' and ') }}."}
"""


def test_each_server_is_purged_by_the_first_of_the_hosts_that_name_it(tmp_path: Path) -> None:
    (tmp_path / "purge.yml").write_text(PURGE)
    with RedisServer() as one, RedisServer() as other:
        ports = {"web0": 9, "web1": one.port, "web2": other.port, "web3": one.port}
        variables = {"ports": ports, "ansible_python_interpreter": str(BIN / "python")}
        for server in (one, other):
            server.client.set("PHPREDIS_SESSION:a", "user|i:1;")
        output = play(tmp_path, "purge.yml", "-i", "web0,web3,", "-e", json.dumps(variables))
        assert (one.client.dbsize(), other.client.dbsize()) == (0, 0)
        recap = output.rpartition("PLAY RECAP")[2]
        assert [line.split()[0] for line in recap.splitlines() if "changed=1" in line] == ["web1", "web2"], output
        assert output.count("told of by web0 and web1 and web3.") == 3, output
        assert output.count("told of by web2.") == 1, output


LATER = """
- hosts: all
  gather_facts: false
  vars: {session_purge_store: mysql, session_purge_layout: symfony, session_purge_leftovers: only}
  tasks:
    - ansible.builtin.include_role: {name: lamp.cluster.session_purge}
- hosts: all
  gather_facts: false
  vars: {session_purge_store: mysql, session_purge_layout: symfony}
  tasks:
    - ansible.builtin.include_role: {name: lamp.cluster.session_purge}
      when: inventory_hostname != 'web1'
      vars: {session_purge_login_db: "{{ databases[inventory_hostname] }}"}
"""


def test_each_database_is_purged_by_the_first_host_that_runs_the_role_in_this_very_play(
    tmp_path: Path, mariadb: MariaDB, database: str
) -> None:
    (tmp_path / "purge.yml").write_text(LATER)
    other = f"{database}_other"
    login = {f"session_purge_{name}": value for name, value in mariadb.login.items()}
    databases = {"web2": database, "web3": other, "web4": database}
    variables = {
        **login, "session_purge_login_db": database, "databases": databases,
        "ansible_python_interpreter": str(BIN / "python"),
    }  # fmt: skip
    mariadb.query(f"CREATE DATABASE {other}")
    try:
        for name in (database, other):
            mariadb.query("CREATE TABLE sessions (sess_id VARCHAR(64) PRIMARY KEY, sess_time INT)", database=name)
            mariadb.query("INSERT INTO sessions VALUES ('a', 1)", database=name)
        given = tmp_path / "variables.json"
        given.write_text(
            json.dumps({name: value for name, value in variables.items() if name != "session_purge_login_db"})
        )
        (tmp_path / "group_vars").mkdir()
        (tmp_path / "group_vars" / "all.json").write_text(json.dumps({"session_purge_login_db": database}))
        output = play(tmp_path, "purge.yml", "-i", "web3,web4,", "-e", f"@{given}")
        for name in (database, other):
            assert mariadb.query("SELECT * FROM sessions", database=name) == [], output
    finally:
        mariadb.query(f"DROP DATABASE {other}")
    recap = output.rpartition("PLAY RECAP")[2]
    assert [line.split()[0] for line in recap.splitlines() if "changed=1" in line] == ["web2", "web3"], output


def test_a_list_with_a_server_of_the_host_itself_and_a_shared_one_is_purged_by_each_host(tmp_path: Path) -> None:
    with RedisServer() as own, RedisServer() as shared:
        variables = {
            "deploy_hosts": "all", "session_purge_store": "redis", "ansible_python_interpreter": str(BIN / "python"),
            "session_purge_servers": [f"127.0.0.1:{own.port}", f"0.0.0.0:{shared.port}"],
        }  # fmt: skip
        for server in (own, shared):
            server.client.set("PHPREDIS_SESSION:a", "user|i:1;")
        output = play(tmp_path, "lamp.cluster.purge_sessions", "-e", json.dumps(variables))
        assert (own.client.dbsize(), shared.client.dbsize()) == (0, 0)
    said = output.partition("TASK [lamp.cluster.session_purge : Purge the sessions]")[2].partition("\n\n")[0]
    assert ("[web1]" in said, "[web2]" in said, "skipping" in said) == (True, True, False), output


PLAN = """
- hosts: web1
  gather_facts: false
  vars_files: [variables.json]
  tasks:
    - name: A table that the deltas make
      ansible.builtin.include_role: {name: lamp.cluster.deploy, tasks_from: plan_drop, rolespec_validate: false}
      vars: {dbdeploy_plan: {pending: [{name: 1_sessions.sql}]}}
    - block:
        - name: A table that nobody makes
          ansible.builtin.include_role: {name: lamp.cluster.deploy, tasks_from: plan_drop, rolespec_validate: false}
          vars: {dbdeploy_plan: {pending: []}}
      rescue:
        - ansible.builtin.debug: {msg: "refused, {{ ansible_failed_result.msg }}"}
    - name: A login that no delta makes
      block:
        - ansible.builtin.include_role: {name: lamp.cluster.deploy, tasks_from: plan_drop, rolespec_validate: false}
          vars: {dbdeploy_plan: {pending: [{name: 1_sessions.sql}]}, session_purge_login_password: wrong}
      rescue:
        - ansible.builtin.debug: {msg: "refused, {{ ansible_failed_result.msg }}"}
"""


def test_a_plan_is_refused_for_what_the_purge_lacks_unless_deltas_may_make_it(
    tmp_path: Path, mariadb: MariaDB, database: str
) -> None:
    (tmp_path / "plan.yml").write_text(PLAN)
    login = {f"session_purge_{name}": value for name, value in mariadb.login.items()}
    variables = {
        **login, "session_purge_login_db": database, "session_purge_layout": "symfony",
        "ansible_python_interpreter": str(BIN / "python"),
    }  # fmt: skip
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    output = play(tmp_path, "plan.yml")
    missing = f"A table is missing: Table '{database}.sessions' doesn't exist"
    assert output.count(missing) >= 3, output
    assert output.count("The deltas may change that.") == 1, output
    assert f"refused, {missing}" in output, output
    assert "refused, The database server refused" in output, output
