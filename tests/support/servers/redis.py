# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis as processes on loopback: a server, a cluster of three primaries, a primary that a sentinel watches."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Self

import redis

from tests.support import certificates
from tests.support.servers.base import Server, free_port, wait_until


class RedisServer(Server):
    """``with RedisServer() as server: server.client.set("key", "value")``; in memory only."""

    name = "redis"

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.options = options
        self.client: Any = redis.Redis(host="127.0.0.1", port=self.port)

    def command(self) -> list[str]:
        return [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder),
            "--save", "", "--appendonly", "no", *self.options,
        ]  # fmt: skip

    def ready(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.exceptions.ConnectionError:
            return False

    @property
    def address(self) -> str:
        """Its address, as users write it."""
        return f"127.0.0.1:{self.port}"


def tls_options(files: dict[str, Path]) -> list[str]:
    """The part of a command that names a server's certificates, as `certificates` made them."""
    names = {"ca": "ca-cert", "cert": "cert", "key": "key"}
    return [text for name, path in files.items() for text in (f"--tls-{names[name]}-file", str(path))]


def tls_client(port: int, files: dict[str, Path]) -> Any:
    """A client of the test's own, which asks for no name."""
    return redis.Redis(
        host="127.0.0.1", port=port, ssl=True, ssl_ca_certs=str(files["ca"]), ssl_certfile=str(files["cert"]),
        ssl_keyfile=str(files["key"]), ssl_check_hostname=False,
    )  # fmt: skip


class TlsRedisServer(RedisServer):
    """One that takes TLS alone, and wants a certificate of its clients."""

    def __init__(self, files: dict[str, Path] | None = None) -> None:
        super().__init__()
        self.files = files or {}

    def prepare(self) -> None:
        self.files = self.files or certificates.make(self.folder)
        self.client = tls_client(self.port, self.files)

    def command(self) -> list[str]:
        return [*super().command(), "--port", "0", "--tls-port", str(self.port), *tls_options(self.files)]


class RedisNode(RedisServer):
    """A node of a cluster, which takes TLS on a port of its own if it is given certificates."""

    def __init__(self, files: dict[str, Path] | None = None) -> None:
        super().__init__()
        self.bus, self.tls_port = free_port(), free_port()
        self.files = files

    def command(self) -> list[str]:
        cluster = ["--cluster-enabled", "yes", "--cluster-port", str(self.bus), "--cluster-node-timeout", "2000"]
        if not self.files:
            return [*super().command(), *cluster]
        tls = ["--tls-port", str(self.tls_port), "--tls-cluster", "yes", "--tls-auth-clients", "no"]
        return [*super().command(), *cluster, *tls, *tls_options(self.files)]


class RedisCluster:
    """``with RedisCluster() as cluster: cluster.client.set(...)``: three primaries that share the slots."""

    def __init__(self, files: dict[str, Path] | None = None) -> None:
        self.nodes = [RedisNode(files) for _ in range(3)]
        self.client: Any = None

    def __enter__(self) -> Self:
        try:
            for number, node in enumerate(self.nodes):
                node.__enter__()
                first, end = (16384 * step // 3 for step in (number, number + 1))
                node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
                node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus)
            for node in self.nodes:
                wait_until(partial(self._joined, node), "the Redis cluster")
            self.client = redis.RedisCluster(host="127.0.0.1", port=self.nodes[0].port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _joined(self, node: RedisNode) -> bool:
        state = node.client.execute_command("CLUSTER INFO")
        return state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == len(self.nodes)

    def __exit__(self, *_exception: object) -> None:
        for node in self.nodes:
            node.__exit__()


class Sentinel(RedisServer):
    """Watches a primary under the name ``mymaster``; with certificates by TLS alone, as it is asked itself."""

    def __init__(self, primary: RedisServer, files: dict[str, Path] | None = None) -> None:
        super().__init__()
        self.primary = primary
        self.files = files or {}

    def prepare(self) -> None:
        (self.folder / "sentinel.conf").write_text(
            f"bind 127.0.0.1\nport {self.port}\nsentinel monitor mymaster 127.0.0.1 {self.primary.port} 1\n"
        )
        if self.files:
            self.client = tls_client(self.port, self.files)

    def command(self) -> list[str]:
        command = ["redis-server", str(self.folder / "sentinel.conf"), "--sentinel", "--dir", str(self.folder)]
        if not self.files:
            return command
        tls = ["--port", "0", "--tls-port", str(self.port), "--tls-replication", "yes"]
        return [*command, *tls, *tls_options(self.files)]
