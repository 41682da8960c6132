# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that all tests share: servers are started once a run, each test gets an empty database."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.support.servers.couchdb import CouchDb
from tests.support.servers.galera import Galera, Replicated
from tests.support.servers.mariadb import MariaDB
from tests.support.servers.mysql import Group, MySQL


class OneCluster(LoadFileScheduling):
    """Each file in one worker, as with ``--dist loadfile``, and all that boot a cluster in the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return "a cluster" if nodeid.startswith("tests/e2e/") else str(super()._split_scope(nodeid))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two clusters at once are too many for two cores that other tests keep busy, and each takes minutes to set up."""
    parser.addoption("--one-cluster", action="store_true", help="run all tests of tests/e2e in one worker")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneCluster | None:
    """What ``--one-cluster`` asks for; xdist's own way otherwise."""
    return OneCluster(config, log) if config.getoption("one_cluster") else None


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """One MariaDB server for the run."""
    with MariaDB() as server:
        assert isinstance(server, MariaDB)
        yield server


@pytest.fixture()
def database(mariadb: MariaDB) -> Iterator[str]:
    """The name of an empty database on that server."""
    name = f"test_{secrets.token_hex(4)}"
    mariadb.query(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    yield name
    mariadb.query(f"DROP DATABASE `{name}`")


@pytest.fixture(scope="session")
def galera() -> Iterator[Galera]:
    """A Galera cluster of three nodes for the run; who kills a node lets it rejoin."""
    with Galera() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def replicated() -> Iterator[Replicated]:
    """A MariaDB primary with a replica."""
    with Replicated() as pair:
        yield pair


@pytest.fixture(scope="session")
def mysql() -> Iterator[MySQL]:
    """One Oracle MySQL 9."""
    with MySQL() as server:
        assert isinstance(server, MySQL)
        yield server


@pytest.fixture(scope="session")
def mysql_group() -> Iterator[Group]:
    """A Group Replication of three MySQL 9."""
    with Group() as group:
        yield group


@pytest.fixture(scope="session")
def couchdb_server() -> Iterator[CouchDb]:
    """One server of CouchDB's protocol for the run."""
    with CouchDb() as server:
        yield server


@pytest.fixture()
def couchdb(couchdb_server: CouchDb) -> CouchDb:
    """That server, started anew if it ended in an earlier test, which then is the only one that fails by it."""
    couchdb_server.revive()
    return couchdb_server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Sum up what tests counted with ``record_property("counted ...", number)``."""
    sums: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        sums.update({name: value for name, value in report.user_properties if name.startswith("counted ")})
    for name, number in sorted(sums.items()):
        terminalreporter.write_line(f"{number} {name.partition(' ')[2]}")
