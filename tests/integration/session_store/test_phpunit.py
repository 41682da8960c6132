# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of tests/php, against a MariaDB and a server of CouchDB's protocol."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.modules import ROOT
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.session_store import create_tables

FOLDER = ROOT / "tests" / "php"
SUITES = sorted(path.name for path in FOLDER.glob("*Test.php"))


@pytest.fixture(scope="module")
def large_packets(mariadb: MariaDB) -> Iterator[None]:
    before = mariadb.query("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    mariadb.query("SET GLOBAL max_allowed_packet = 67108864")
    yield
    mariadb.query(f"SET GLOBAL max_allowed_packet = {before}")


@pytest.mark.usefixtures("large_packets")
@pytest.mark.parametrize("suite", SUITES)
def test_phpunit(suite: str, mariadb: MariaDB, database: str, couchdb: CouchDb, tmp_path: Path) -> None:
    create_tables(mariadb, database)
    done = subprocess.run(
        ["phpunit", "--stderr", "--configuration", str(FOLDER / "phpunit.xml"), str(FOLDER / suite)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={
            **os.environ, "LAMP_MYSQL_PORT": str(mariadb.port), "LAMP_MYSQL_PASSWORD": mariadb.password,
            "LAMP_MYSQL_DATABASE": database, "LAMP_COUCHDB_PORT": str(couchdb.port), "TMPDIR": str(tmp_path),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nOK (" in done.stderr, done.stderr
