# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared connection code against a real server."""

from __future__ import annotations

import re
import subprocess
from types import SimpleNamespace

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

from tests.support.servers.base import free_port
from tests.support.servers.mariadb import MariaDB


def params(**given: object) -> dict[str, object]:
    """Module params: the defaults of the options, and what the test gives."""
    defaults = {name: option.get("default") for name, option in _mysql.MYSQL_ARGUMENTS.options.items()}
    return {**defaults, **given}


def test_connects_and_knows_the_server(mariadb: MariaDB, database: str) -> None:
    connection = _mysql.connect(params(**mariadb.login, login_db=database))
    flavour = _mysql.Flavour.of(connection)
    connection.close()
    ((told,),) = mariadb.query("SELECT VERSION()")
    assert ".".join(map(str, flavour.version)) == told.split("-")[0]
    assert (flavour.product, flavour.cluster) == ("mariadb", "")


@pytest.mark.parametrize(
    ("given", "code", "named"),
    [
        ({"login_password": "wrong"}, "mysql_access_denied", "root@127.0.0.1"),
        ({"login_db": "nowhere"}, "mysql_unknown_database", "nowhere"),
        ({"login_port": free_port()}, "mysql_unreachable", "127.0.0.1"),
        ({"ca_cert": "/nonexistent/ca.pem"}, "mysql_option_file", "ca_cert"),
        ({"check_hostname": True}, "mysql_no_authority", "ca_cert"),
    ],
)
def test_a_failed_connection_names_the_place_and_hides_the_password(
    mariadb: MariaDB, given: dict[str, object], code: str, named: str
) -> None:
    with pytest.raises(LampError) as failure:
        _mysql.connect(params(**{**mariadb.login, **given}))
    assert failure.value.code == code
    assert named in str(failure.value)
    assert mariadb.password not in str(failure.value)


def test_a_machine_that_is_gone_is_noticed_within_a_minute(mariadb: MariaDB) -> None:
    connection = _mysql.connect(params(**mariadb.login))
    try:
        local = f"{connection._sock.getsockname()[1]}"
        seen = subprocess.run(["ss", "-Htno", "sport", "=", f":{local}"], capture_output=True, text=True, check=True)
        timer = re.search(r"timer:\(keepalive,(\d+)sec,0\)", seen.stdout)  # the system's own is two hours: 119min
        assert timer, seen.stdout
        assert int(timer[1]) <= 20
    finally:
        connection.close()


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mysql, "pymysql", None)
    with pytest.raises(LampError, match="python3-pymysql") as failure:
        _mysql.connect(params(**SimpleNamespace(login_db=None).__dict__))
    assert failure.value.code == "mysql_library_missing"


def test_identifiers_are_quoted() -> None:
    assert _mysql.quote_identifier("a`b") == "`a``b`"
    with pytest.raises(LampError):
        _mysql.quote_identifier("")
