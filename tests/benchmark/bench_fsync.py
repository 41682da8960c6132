# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deltas: applying them with fsync on."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmark.applying import OTHERS, REMARKS, SIZES, measure
from tests.benchmark.peers import Raw, installed, versions
from tests.benchmark.table import Headline, Table
from tests.support.servers.mariadb import MariaDB

REMARK = "*fsync on* is the server's default. yoyo is measured once at 1000 deltas."
HEADLINES = (
    Headline(
        f"{max(SIZES)} deltas applied, the module's own work; *mariadb* runs one script and records nothing",
        f"{max(SIZES)} deltas, fsync on", "engine", (Raw.name, *OTHERS),
    ),
)  # fmt: skip


def bench(table: Table) -> None:
    """All sizes."""
    installed()
    table.remarks.extend([*REMARKS, REMARK, versions()])
    with tempfile.TemporaryDirectory() as name, MariaDB(durable=True) as server:
        for size in SIZES:
            measure(table, "fsync on", server, Path(name), size)
