# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role session_store makes on hosts, for tests that have none: its tables, its settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.modules import ROOT
from tests.support.servers.sql import SqlServer

FILES = ROOT / "roles" / "session_store" / "files"
ENTRY = FILES / "php" / "session.php"


def create_tables(server: SqlServer, database: str) -> None:
    """The do parts of the delta set."""
    for delta in sorted((FILES / "deltas").glob("*.sql")):
        done = server.client(delta.read_text().split("-- //@UNDO")[0], database)
        assert done.returncode == 0, done.stderr


def write_settings(path: Path, settings: dict[str, Any]) -> None:
    """The file that LAMP_SESSION_CONFIG names."""
    path.write_text(f"<?php return json_decode('{json.dumps(settings)}', true);")


def mysql_settings(server: SqlServer, database: str, **settings: Any) -> dict[str, Any]:
    """Settings of a MySQL handler that logs in as root."""
    return {
        "servers": [{"host": "127.0.0.1", "port": server.port}], "database": database,
        "user": "root", "password": server.password, **settings,
    }  # fmt: skip
