# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several files of these tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.servers.redis import RedisServer


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for a file of tests, each of which empties it."""
    with RedisServer() as server:
        yield server
