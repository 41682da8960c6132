# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that all tests share: servers are started once a run, each test gets an empty database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.support.servers.mariadb import MariaDB


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
