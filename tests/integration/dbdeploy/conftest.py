# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of deltas for each test, and connections that cost little."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deltas import Folder
from tests.support.servers.mariadb import MariaDB


@pytest.fixture()
def deltas(tmp_path: Path, mariadb: MariaDB, database: str) -> Folder:
    return Folder(tmp_path, mariadb, database)


@pytest.fixture(scope="session", autouse=True)
def without_authorities() -> Iterator[None]:
    """To load the machine's certificates costs a connection many times what the rest of it does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl.SSLContext, "load_default_certs", lambda *_arguments: None)
        yield
