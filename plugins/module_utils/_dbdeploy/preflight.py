# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server can take deltas now, asked before anything else, and the settings of the session that runs them."""

from __future__ import annotations

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._mysql import Connection, Flavour, is_read_only, query

ER_TABLE_ACCESS_DENIED = 1142
IDLE = 28800  # seconds, MariaDB's own default: the connection with the lock waits while another one does the work
READY = {"wsrep_ready": "ON", "wsrep_cluster_status": "Primary", "wsrep_local_state_comment": "Synced"}
MEMBER = "SELECT MEMBER_STATE FROM performance_schema.replication_group_members WHERE MEMBER_ID IN ('', @@server_uuid)"
PRIMARY = (
    "SELECT CONCAT(MEMBER_HOST, ':', MEMBER_PORT) FROM performance_schema.replication_group_members"
    " WHERE MEMBER_ROLE = 'PRIMARY' AND MEMBER_STATE = 'ONLINE'"
)


def prepare(connection: Connection, flavour: Flavour, lock_wait_timeout: int, server: str) -> None:
    """Set the session up on a server that is ready; ``server`` names it in messages.

    :raises LampError: ``dbdeploy_node_not_ready``, ``dbdeploy_read_only``
    """
    wait = max(1, lock_wait_timeout)
    query(
        connection,
        f"SET SESSION lock_wait_timeout = {wait}, innodb_lock_wait_timeout = {wait},"
        f" wait_timeout = GREATEST(CAST(@@SESSION.wait_timeout AS SIGNED), {IDLE})",
    )
    if flavour.cluster == "galera":
        _galera(connection, server)
    elif flavour.cluster == "group_replication":
        _group(connection, server)
    if is_read_only(connection):
        raise LampError(
            "dbdeploy_read_only",
            f"The server {server} is read-only, as a replica is.",
            "Log in to the server that takes the writes.",
        )


def _galera(connection: Connection, server: str) -> None:
    rows = query(connection, "SHOW GLOBAL STATUS LIKE 'wsrep%'")
    found = {name: value for name, value in rows if name in READY}
    wrong = [f"{name} is {found.get(name)}, not {value}" for name, value in READY.items() if found.get(name) != value]
    if wrong:
        raise LampError(
            "dbdeploy_node_not_ready",
            f"The Galera node {server} is not ready: {', '.join(wrong)}.",
            "Mend the cluster, wait until the node is synced, or log in to another node.",
        )
    # What another node did a moment ago must be seen, the records of its runs above all.
    query(connection, "SET SESSION wsrep_sync_wait = 15")


def _group(connection: Connection, server: str) -> None:
    try:
        state = [row[0] for row in query(connection, MEMBER)]
        primaries = [row[0] for row in query(connection, PRIMARY)]
    except Exception as error:
        if error.args and error.args[0] == ER_TABLE_ACCESS_DENIED:
            return  # this user is not told; a server that is no primary still refuses as read-only
        raise
    if state != ["ONLINE"]:
        raise LampError(
            "dbdeploy_node_not_ready",
            f"The member {server} of the group replication is not ready: it is {state[0] if state else 'OFFLINE'}.",
            f"Mend the group, or log in to another member ({', '.join(primaries) or 'none is known'}).",
        )
    if query(connection, "SELECT @@GLOBAL.super_read_only")[0][0]:
        raise LampError(
            "dbdeploy_read_only",
            f"The member {server} of the group replication is read-only.",
            f"Log in to the primary, {', '.join(primaries) or 'once there is one'}.",
        )
    if len(primaries) > 1:
        query(connection, "SET SESSION group_replication_consistency = 'BEFORE'")
