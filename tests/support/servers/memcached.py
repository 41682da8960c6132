# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memcached on loopback."""

from __future__ import annotations

import pwd
import re
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pymemcache

from tests.support import certificates
from tests.support.servers.base import Server


class MemcachedServer(Server):
    """``with MemcachedServer() as server: server.client.set("key", "value")``."""

    name = "memcached"

    def __init__(self, *options: str, memory: int = 64, users: str = "") -> None:
        """``users`` is the content of its own file of users, ``name:password`` a line."""
        super().__init__()
        self.options = options
        self.memory = memory
        self.users = users

    def prepare(self) -> None:
        if self.users:
            path = self.folder / "users"
            path.write_text(self.users)
            path.chmod(0o644)

    def command(self) -> list[str]:
        own = ["-Y", str(self.folder / "users")] if self.users else []
        return [
            "memcached", "-u", pwd.getpwuid(65534).pw_name, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0",
            "-m", str(self.memory), *own, *self.options,
        ]  # fmt: skip

    @property
    def client(self) -> pymemcache.Client:
        """A connection to it."""
        return pymemcache.Client(("127.0.0.1", self.port), timeout=10, default_noreply=False)

    @property
    def address(self) -> str:
        """Its address, as users write it."""
        return f"127.0.0.1:{self.port}"


class AgingMemcachedServer(MemcachedServer):
    """One whose items can be made older: it keeps them when it is started again, with its clock put back."""

    def prepare(self) -> None:
        self.memory_file.parent.mkdir()
        self.memory_file.parent.chmod(0o777)  # it notes what it holds when it is nobody's process already

    def command(self) -> list[str]:
        return [*super().command(), "-e", str(self.memory_file)]

    @property
    def memory_file(self) -> Path:
        """Where its items outlive it; what it notes of them is beside it."""
        return self.folder / "memory" / "items"

    def let_pass(self, seconds: int) -> None:
        """Make it that much later for all that is there."""
        assert self.process
        self.process.send_signal(signal.SIGUSR1)
        self.process.wait()
        notes = self.memory_file.with_name("items.meta")
        times = re.compile(r"^K(stop_time|process_started) (\d+)$", re.MULTILINE)
        text, number = times.subn(lambda found: f"K{found[1]} {int(found[2]) - seconds}", notes.read_text())
        assert number == 2, text
        notes.write_text(text)
        self.start()


class SaslMemcachedServer(MemcachedServer):
    """One that takes the user ``shop`` with the password ``shop-secret`` by SASL alone."""

    def prepare(self) -> None:
        users = self.folder / "users.db"
        (self.folder / "memcached.conf").write_text(f"mech_list: plain\nsasldb_path: {users}\n")
        subprocess.run(
            ["saslpasswd2", "-p", "-c", "-a", "memcached", "-u", socket.gethostname(), "-f", str(users), "shop"],
            input="shop-secret", text=True, check=True,
        )  # fmt: skip
        users.chmod(0o644)

    def command(self) -> list[str]:
        return ["env", f"SASL_CONF_PATH={self.folder}", *super().command(), "-S"]


class TlsMemcachedServer(MemcachedServer):
    """One that takes TLS alone."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, Path] = {}

    def prepare(self) -> None:
        self.files = certificates.make(self.folder)

    @property
    def client(self) -> pymemcache.Client:
        context = ssl.create_default_context(cafile=str(self.files["ca"]))
        return pymemcache.Client(("127.0.0.1", self.port), timeout=10, default_noreply=False, tls_context=context)

    def command(self) -> list[str]:
        chain, key = self.files["cert"], self.files["key"]
        return [*super().command(), "-Z", "-o", f"ssl_chain_cert={chain},ssl_key={key}"]
