# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database whose tables of sessions are purged."""

from __future__ import annotations

from typing import Any

from tests.support.servers.mariadb import MariaDB


class Database:
    """``database`` on a server of the tests."""

    def __init__(self, server: MariaDB, database: str) -> None:
        self.server = server
        self.database = database

    def sql(self, sql: str) -> list[tuple[Any, ...]]:
        return self.server.query(sql, database=self.database)
