# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With ca_cert, a server that cannot prove who it is gets neither password nor session."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.session_store.conftest import Site
from tests.support import certificates
from tests.support.servers.couchdb import CouchDb
from tests.support.servers.haproxy import HAProxy
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.session_store import create_tables, mysql_settings

SECTIONS = "listen couchdb\n bind 127.0.0.1:{port} ssl crt %s\n server couchdb 127.0.0.1:%d\n"


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
def mysql_over_tls(files: dict[str, Path]) -> Iterator[dict[str, Any]]:
    options = (f"--ssl-cert={files['cert']}", f"--ssl-key={files['key']}", f"--ssl-ca={files['ca']}")
    with MariaDB(*options) as server:
        server.query("CREATE DATABASE shop")
        create_tables(server, "shop")
        server.query("SET GLOBAL require_secure_transport = ON")
        yield mysql_settings(server, "shop", handler="mysql")


@pytest.fixture()
def couchdb_over_tls(couchdb: CouchDb, files: dict[str, Path]) -> Iterator[dict[str, Any]]:
    with HAProxy(SECTIONS % (files["both"], couchdb.port)) as server:
        yield {
            "handler": "couchdb",
            "servers": [{"host": "127.0.0.1", "port": server.port}],
            "user": "",
            "password": "",
        }


@pytest.mark.parametrize("kind", ["mysql_over_tls", "couchdb_over_tls"])
def test_only_a_server_that_proves_itself_is_spoken_to(
    kind: str, request: pytest.FixtureRequest, serve: Callable[..., Site], files: dict[str, Path]
) -> None:
    settings: dict[str, Any] = request.getfixturevalue(kind)
    shop = serve({**settings, "ca_cert": str(files["ca"])})
    assert [shop.session(count="1")["count"] for _ in range(2)] == [1, 2]
    assert shop.errors == ""
    wrong = [{**settings, "ca_cert": str(files["other"])}]
    if kind == "couchdb_over_tls":  # of MySQL, localhost is the socket
        server = {**settings["servers"][0], "host": "localhost"}
        wrong.append({**settings, "ca_cert": str(files["ca"]), "servers": [server]})
    for settings in wrong:
        fooled = serve(settings)
        fooled.browser = shop.browser
        assert fooled.session(count="1") == {"count": 1}, "the session was not read"
        assert "could not read a session" in fooled.errors
    assert shop.session(count="1") == {"count": 3}
