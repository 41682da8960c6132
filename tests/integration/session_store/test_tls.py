# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS: a server that cannot prove who it is gets neither password nor session; one that asks gets a certificate."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.session_store.conftest import Site, run_role
from tests.support import certificates
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.haproxy import HAProxy
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.session_store import create_tables, mysql_settings

# Both protocols as they are on 127.0.0.1, and on 127.0.0.2, which the certificate does not name.
COUCHDB = """
listen couchdb
  bind 127.0.0.1:{port},127.0.0.2:{port} ssl crt %s ca-file %s verify %s
  server couchdb 127.0.0.1:%d
"""
MYSQL = """
listen mysql
  mode tcp
  bind 127.0.0.1:{port},127.0.0.2:{port}
  server mysql 127.0.0.1:%d
"""
Settings = dict[str, Any]


@pytest.fixture(scope="module")
def files() -> Iterator[dict[str, Path]]:
    """The servers' certificate, and another authority's."""
    folder = Path(tempfile.mkdtemp(prefix="lamp-tls-"))
    folder.chmod(0o755)  # the database server is not root
    other = folder / "other"
    other.mkdir()
    made = certificates.make(folder)
    (folder / "both.pem").write_text(made["cert"].read_text() + made["key"].read_text())
    yield {**made, "both": folder / "both.pem", "other": certificates.make(other)["ca"]}
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def secure_mysql(files: dict[str, Path]) -> Iterator[MariaDB]:
    """One that speaks to nobody without TLS."""
    options = (f"--ssl-cert={files['cert']}", f"--ssl-key={files['key']}", f"--ssl-ca={files['ca']}")
    with MariaDB(*options) as server:
        server.query("CREATE DATABASE shop")
        create_tables(server, "shop")
        server.query("SET GLOBAL require_secure_transport = ON")
        yield server


@pytest.fixture(params=["mysql", "mysql_variable", "couchdb"])
def start(
    request: pytest.FixtureRequest, secure_mysql: MariaDB, couchdb: CouchDb, files: dict[str, Path]
) -> Iterator[Callable[[bool], Settings]]:
    """``start(True)``: the settings of a handler for a server with TLS that wants to see a certificate, too."""
    with ExitStack() as stack:

        def started(mutual: bool) -> Settings:
            if request.param == "couchdb":
                couchdb.drop("phpsessid")
                wish = "required" if mutual else "none"
                section = COUCHDB % (files["both"], files["ca"], wish, couchdb.port)
                port = stack.enter_context(HAProxy(section)).port
                return {"handler": "couchdb", "servers": [{"host": "127.0.0.1", "port": port}]}
            port = stack.enter_context(HAProxy(MYSQL % secure_mysql.port)).port
            secure_mysql.query(
                "CREATE OR REPLACE USER shop IDENTIFIED BY 'pw' REQUIRE " + ("X509" if mutual else "SSL")
            )
            secure_mysql.query("GRANT ALL ON shop.* TO shop")
            settings = mysql_settings(secure_mysql, "shop", handler=request.param, user="shop", password="pw")
            return {**settings, "servers": [{"host": "127.0.0.1", "port": port}]}

        yield started


def test_only_a_server_that_proves_itself_is_spoken_to(
    start: Callable[[bool], Settings], serve: Callable[..., Site], files: dict[str, Path]
) -> None:
    settings = {**start(False), "ca_cert": str(files["ca"])}
    shop = serve(settings)
    assert [shop.session(count="1")["count"] for _ in range(2)] == [1, 2]
    assert shop.errors == ""
    unnamed = [{**settings["servers"][0], "host": "127.0.0.2"}]
    for wrong in ({"ca_cert": str(files["other"])}, {"servers": unnamed}):
        fooled = serve({**settings, **wrong})
        fooled.browser = shop.browser
        assert fooled.session(count="1") == {"count": 1}, "the session was not read"
        assert "could not read a session" in fooled.errors
    assert shop.session(count="1") == {"count": 3}


def test_a_server_that_wants_a_certificate_gets_it(
    start: Callable[[bool], Settings], serve: Callable[..., Site], files: dict[str, Path]
) -> None:
    settings = {**start(True), "ca_cert": str(files["ca"])}
    shop = serve({**settings, "client_cert": str(files["cert"]), "client_key": str(files["key"])})
    assert [shop.session(count="1")["count"] for _ in range(2)] == [1, 2]
    assert shop.errors == ""
    nobody = serve(settings)
    nobody.browser = shop.browser
    assert nobody.session(count="1") == {"count": 1}, "the session was not read"
    assert "could not read a session" in nobody.errors


def test_the_role_makes_the_tables_over_tls(secure_mysql: MariaDB, files: dict[str, Path], tmp_path: Path) -> None:
    secure_mysql.query("CREATE OR REPLACE USER maker IDENTIFIED BY 'pw' REQUIRE X509")
    secure_mysql.query("CREATE DATABASE made")
    secure_mysql.query("GRANT ALL ON made.* TO maker")
    run_role(
        tmp_path, "schema", session_store_servers=[{"host": "127.0.0.1", "port": secure_mysql.port}],
        session_store_database="made", session_store_user="maker", session_store_password="pw",
        session_store_ca_cert=str(files["ca"]), session_store_client_cert=str(files["cert"]),
        session_store_client_key=str(files["key"]),
    )  # fmt: skip
    assert ("lamp_session",) in secure_mysql.query("SHOW TABLES", database="made")
