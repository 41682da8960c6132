# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All PHP of the collection by each version of PHP; the tests of tests/php, on MariaDB, MySQL, CouchDB's protocol."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._release.probe import SCRIPT

from tests.support.modules import ROOT
from tests.support.php_versions import VERSIONS, php, phpunit
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.session_store import create_tables
from tests.support.servers.sql import SqlServer

FOLDER = ROOT / "tests" / "php"
SUITES = sorted(path.name for path in FOLDER.glob("*Test.php"))
ON_MYSQL = [name for name in SUITES if name.startswith("Mysql")]


def run_tests(version: str, suite: str, folder: Path, **environment: str) -> None:
    """Run the tests of one class with a version of PHP; any message of PHP is a failure."""
    done = subprocess.run(
        [*phpunit(version), "--stderr", "--configuration", str(FOLDER / "phpunit.xml"), str(FOLDER / suite)],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "TMPDIR": str(folder), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nOK (" in done.stderr, done.stderr


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
@pytest.mark.parametrize("version", VERSIONS)
def test_the_mysql_handlers_on_mariadb(
    version: str, suite: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with tables(request.getfixturevalue("mariadb")) as environment:
        run_tests(version, suite, tmp_path, **environment)


@pytest.mark.parametrize("suite", ON_MYSQL)
def test_the_mysql_handlers_on_mysql(suite: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    with tables(request.getfixturevalue("mysql")) as environment:
        run_tests(VERSIONS[0], suite, tmp_path, **environment)


@pytest.mark.parametrize("suite", [name for name in SUITES if name not in ON_MYSQL])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_others(version: str, suite: str, couchdb: CouchDb, tmp_path: Path) -> None:
    run_tests(version, suite, tmp_path, LAMP_COUCHDB_PORT=str(couchdb.port))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_file_of_php_compiles_without_a_word(version: str, tmp_path: Path) -> None:
    files = [path for folder in ("roles", "molecule", "tests") for path in (ROOT / folder).rglob("*.php")]
    assert len(files) > 40
    probe = tmp_path / "probe.php"  # plugins/module_utils/_release/probe.py writes it into releases
    probe.write_text(SCRIPT)
    command = [*php(version), "-d", "display_errors=1", "-d", "error_reporting=-1", "-d", "html_errors=0", "-l"]

    def check(path: Path) -> tuple[str, str]:
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        return done.stdout.strip(), done.stderr

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(check, [*files, probe]))
    assert said == [(f"No syntax errors detected in {path}", "") for path in [*files, probe]]
    told = subprocess.run([*php(version), "-r", "echo PHP_VERSION;"], capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"{version}."), told
