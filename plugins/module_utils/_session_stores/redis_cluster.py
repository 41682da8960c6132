# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The primaries of a cluster of Redis, and the slots that each of them has."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.addresses import Address
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_moving import Primaries
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_server import (
    Keys,
    Redis,
    named_errors,
)

try:
    import redis.cluster
except ImportError:
    redis = None  # type: ignore[assignment]

CHECKS_NAME = "ssl_check_hostname"  # of redis-py


class Slots:
    """Who knows the primaries of a cluster: its nodes."""

    def __init__(self, servers: t.Sequence[Address], keys: Keys, options: dict[str, t.Any]) -> None:
        self.name = f"redis {', '.join(map(str, servers))}"
        self.servers = servers
        self.keys = keys
        self.options = options
        self.heard: dict[Address, int] = {}  # of the primaries, how many replicas each has
        if CHECKS_NAME not in redis.cluster.REDIS_ALLOWED_KEYS:  # redis-py 4 would leave it away, and check no names
            redis.cluster.REDIS_ALLOWED_KEYS += (CHECKS_NAME,)  # type: ignore[assignment]

    def primaries(self) -> Primaries:
        """With their slots; one that no primary serves is an error.

        :raises LampError: ``session_purge_unreachable``, ``session_purge_denied``, ``session_purge_failed``
        """
        known = dict.fromkeys([*self.servers, *self.heard])
        nodes = [redis.cluster.ClusterNode(address.host, address.port) for address in known]
        with named_errors(self.name):
            self.cluster = redis.cluster.RedisCluster(startup_nodes=nodes, require_full_coverage=True, **self.options)
        slots: dict[Address, list[int]] = {}
        self.heard = {}
        for slot, (primary, *replicas) in sorted(self.cluster.nodes_manager.slots_cache.items()):
            address = Address(primary.host, primary.port)
            slots.setdefault(address, []).append(slot)
            self.heard[address] = len(replicas)
        return {address: tuple(slots[address]) for address in sorted(slots)}

    def connect(self, address: Address) -> Redis:
        """One of those that were named last."""
        node = self.cluster.get_node(address.host, address.port)
        return Redis(self.cluster.get_redis_connection(node), str(address), self.keys, 1)

    def replicas(self, address: Address) -> int:
        """How many of them the cluster takes for alive."""
        return self.heard[address]
