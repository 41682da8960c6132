# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as SQL, for whatever PyMySQL a host has."""

from __future__ import annotations

from typing import Any

from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.sql import Table


class Old:
    """PyMySQL of Debian 12, which knows NO_BACKSLASH_ESCAPES for texts alone."""

    def escape(self, value: Any) -> str:
        """For a server with that sql_mode."""
        if isinstance(value, bytes):
            escaped = value.decode().replace("\\", "\\\\").replace("'", "\\'")
            return f"_binary'{escaped}'"
        quoted = str(value).replace("'", "''")
        return f"'{quoted}'"


def test_a_stored_id_is_said_without_backslashes_that_a_server_may_take_for_signs() -> None:
    table = Table(Old(), "shop.lamp_session")
    assert table.literal(b"\\'\0") == "X'5c2700'"
    assert table.literal("o'clock") == "'o''clock'"
