# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of deltas for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.deltas import Folder
from tests.support.servers.mariadb import MariaDB


@pytest.fixture()
def deltas(tmp_path: Path, mariadb: MariaDB, database: str) -> Folder:
    return Folder(tmp_path, mariadb, database)
