# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of tests/php, against MariaDB, MySQL and a server of CouchDB's protocol."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.modules import ROOT
from tests.support.servers import php84
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.session_store import create_tables
from tests.support.servers.sql import SqlServer

FOLDER = ROOT / "tests" / "php"
SUITES = sorted(path.name for path in FOLDER.glob("*Test.php"))
ON_MYSQL = [name for name in SUITES if name.startswith("Mysql")]


@pytest.fixture()
def phpunit(tmp_path: Path) -> Callable[..., None]:
    """Run the tests of one class, with a version of PHP; any message of PHP is a failure."""

    def run(version: str, suite: str, **environment: str) -> None:
        program = php84.phpunit() if version == "8.4" else ["phpunit"]
        done = subprocess.run(
            [*program, "--stderr", "--configuration", str(FOLDER / "phpunit.xml"), str(FOLDER / suite)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "TMPDIR": str(tmp_path), **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "\nOK (" in done.stderr, done.stderr

    return run


@contextmanager
def tables(server: SqlServer) -> Iterator[dict[str, str]]:
    """A database with the tables, which takes 16 MiB in one piece."""
    name = f"test_{secrets.token_hex(4)}"
    before = server.query("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    server.query("SET GLOBAL max_allowed_packet = 67108864")
    server.query(f"CREATE DATABASE {name}")
    create_tables(server, name)
    yield {
        "LAMP_MYSQL_PORT": str(server.port), "LAMP_MYSQL_PASSWORD": server.password, "LAMP_MYSQL_DATABASE": name,
    }  # fmt: skip
    server.query(f"DROP DATABASE {name}")
    server.query(f"SET GLOBAL max_allowed_packet = {before}")


@pytest.mark.parametrize("suite", ON_MYSQL)
@pytest.mark.parametrize(("version", "kind"), [("8.2", "mariadb"), ("8.2", "mysql"), ("8.4", "mariadb")])
def test_the_mysql_handlers(
    version: str, suite: str, kind: str, request: pytest.FixtureRequest, phpunit: Callable[..., None]
) -> None:
    with tables(request.getfixturevalue(kind)) as environment:
        phpunit(version, suite, **environment)


@pytest.mark.parametrize("suite", [name for name in SUITES if name not in ON_MYSQL])
@pytest.mark.parametrize("version", ["8.2", "8.4"])
def test_the_others(version: str, suite: str, couchdb: CouchDb, phpunit: Callable[..., None]) -> None:
    phpunit(version, suite, LAMP_COUCHDB_PORT=str(couchdb.port))
