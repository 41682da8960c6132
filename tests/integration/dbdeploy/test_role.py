# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role dbdeploy, with every connection option, against a server that asks for a client's certificate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import certificates
from tests.support.deltas import TABLE
from tests.support.modules import BIN, COLLECTIONS, run_module
from tests.support.servers.mariadb import MariaDB

PASSWORD = "only-with-a-certificate"


class Secured:
    """A server that only lets clients with a certificate in, and the options to log in with."""

    def __init__(self, server: MariaDB, files: dict[str, Path]) -> None:
        self.server = server
        self.files = files

    @property
    def login(self) -> dict[str, Any]:
        return {
            "login_host": "127.0.0.1", "login_port": self.server.port, "login_user": "deploy",
            "login_password": PASSWORD, "login_db": "secured", "connect_timeout": 7, "check_hostname": False,
            "ca_cert": str(self.files["ca"]), "client_cert": str(self.files["cert"]),
            "client_key": str(self.files["key"]),
        }  # fmt: skip


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    server = MariaDB()
    files = certificates.make(server.folder, "DNS:db.example.com")  # not the address that the tests log in to
    server.options = (f"--ssl-ca={files['ca']}", f"--ssl-cert={files['cert']}", f"--ssl-key={files['key']}")
    with server:
        server.query("CREATE DATABASE secured")
        server.query(f"CREATE USER deploy@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE X509")
        server.query("GRANT ALL ON secured.* TO deploy@'127.0.0.1'")
        yield Secured(server, files)


def play(folder: Path, entries: tuple[str, ...], variables: dict[str, Any], *options: str, code: int = 0) -> str:
    """What a play says that imports these entry points of the role."""
    tasks = "".join(
        f"    - ansible.builtin.import_role: {{name: lamp.cluster.dbdeploy, tasks_from: {entry}}}\n"
        for entry in entries
    )
    (folder / "play.yml").write_text(f"- hosts: localhost\n  gather_facts: false\n  tasks:\n{tasks}")
    (folder / "variables.json").write_text(json.dumps(variables))
    done = subprocess.run(
        [
            str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", "@variables.json",
            "-e", f"ansible_python_interpreter={sys.executable}", *options, "play.yml",
        ],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_role_passes_every_option_of_the_connection_on(tmp_path: Path, secured: Secured) -> None:
    deltas = tmp_path / "deltas"
    deltas.mkdir()
    (deltas / "1_item.sql").write_text(TABLE + "-- @DROP-SESSIONS\n-- @UNDO\nDROP TABLE item;")
    (deltas / "2_cipher.sql").write_text(
        "CREATE TABLE cipher AS SELECT VARIABLE_VALUE AS used FROM information_schema.SESSION_STATUS"
        " WHERE VARIABLE_NAME = 'SSL_CIPHER';\n-- @UNDO\nDROP TABLE cipher;"
    )
    variables = {f"dbdeploy_{name}": value for name, value in secured.login.items()} | {"dbdeploy_src": str(deltas)}
    planned = play(tmp_path, ("plan",), variables, "--check", "--diff")
    assert "CREATE TABLE item" in planned
    assert secured.server.query("SHOW TABLES", database="secured") == []
    script = tmp_path / "do.sql"
    assert "changed=1" in play(tmp_path, ("script",), {**variables, "dbdeploy_output_file": str(script)})
    assert "CREATE TABLE item" in script.read_text()
    assert secured.server.query("SHOW TABLES", database="secured") == []
    said = play(tmp_path, ("main", "acknowledge"), variables)
    assert "changed=2" in said
    assert secured.server.query("SELECT LENGTH(used) > 0 FROM cipher", database="secured") == [(1,)]
    assert "changed=0" in play(tmp_path, ("main", "acknowledge"), variables)
    forget = {**variables, "dbdeploy_drop_tags": ["1_item.sql"]}
    assert "changed=1" in play(tmp_path, ("forget", "forget"), forget)
    assert secured.server.query("SELECT tag FROM changelog_drop", database="secured") == []
    assert "changed=1" in play(tmp_path, ("undo",), {**variables, "dbdeploy_to": 0})
    assert ("item",) not in secured.server.query("SHOW TABLES", database="secured")
    assert PASSWORD not in planned + said


@pytest.mark.parametrize("entry", ["main", "plan", "undo"])
def test_a_folder_that_is_not_named_is_an_error_and_not_an_empty_one(tmp_path: Path, entry: str) -> None:
    mistyped = {"dbdeploy_source": str(tmp_path), "dbdeploy_login_db": "shop", "dbdeploy_to": 0}
    assert "the following are missing: src, deltas" in play(tmp_path, (entry,), mistyped, code=2)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"check_hostname": None}, "mysql_tls_failed"),  # the default: the name must be the certificate's
        ({"ca_cert": "somebody else's"}, "mysql_tls_failed"),
        ({"client_cert": None, "client_key": None}, "mysql_access_denied"),
        ({"client_key": "/nonexistent"}, "mysql_option_file"),
    ],
)
def test_a_server_or_a_client_without_the_right_certificate_is_refused(
    secured: Secured, tmp_path: Path, options: dict[str, Any], code: str
) -> None:
    if "ca_cert" in options:
        options = {"ca_cert": str(certificates.make(tmp_path)["ca"])}
    (tmp_path / "1_item.sql").write_text(TABLE)
    arguments = {**secured.login, "src": str(tmp_path), **options}
    refused = run_module(
        "dbdeploy", {name: value for name, value in arguments.items() if value is not None}, check=True
    )
    assert refused["error_code"] == code
    assert PASSWORD not in refused.output


def test_a_host_that_is_named_wins_over_the_socket_of_the_option_file(
    tmp_path: Path, secured: Secured, mariadb: MariaDB, database: str
) -> None:
    option_file = tmp_path / "my.cnf"
    option_file.write_text(f"[client]\nuser=root\npassword={mariadb.password}\nsocket={secured.server.socket}\n")
    (tmp_path / "1_item.sql").write_text(TABLE)
    done = run_module(
        "dbdeploy",
        {
            "src": str(tmp_path), "config_file": str(option_file), "login_host": "127.0.0.1",
            "login_port": mariadb.port, "login_db": database,
        },
    )  # fmt: skip
    assert done["changed"]
    assert mariadb.query("SELECT change_number FROM changelog", database=database) == [(1,)]
