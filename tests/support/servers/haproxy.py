# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy, with the sections that a test gives and a runtime API."""

from __future__ import annotations

import signal

from tests.support.servers.base import Server


class HAProxy(Server):
    """``with HAProxy("frontend http\\n bind 127.0.0.1:{port}\\n …") as server``.

    ``{port}`` and ``{folder}`` are filled in; ``checks`` gives every server a health check.
    """

    name = "haproxy"

    def __init__(self, sections: str, checks: bool = False) -> None:
        super().__init__()
        self.sections = sections
        self.checks = checks

    @property
    def config(self) -> str:
        """Path of the configuration."""
        return str(self.folder / "haproxy.cfg")

    @property
    def socket(self) -> str:
        """The runtime API, with all rights."""
        return str(self.folder / "admin.sock")

    def reload(self) -> None:
        """A reload as the service does it: new workers, the map read from its file."""
        assert self.process
        self.process.send_signal(signal.SIGUSR2)

    def prepare(self) -> None:
        text = (
            "global\n stats socket {folder}/admin.sock level admin expose-fd listeners\n"
            " stats socket {folder}/user.sock level user\n"
            "defaults\n mode http\n timeout connect 1s\n timeout client 60s\n timeout server 60s\n"
            " default-server {checks} inter 50ms fastinter 50ms fall 1 rise 1\n" + self.sections
        )
        checks = "check" if self.checks else ""
        (self.folder / "haproxy.cfg").write_text(
            text.replace("{port}", str(self.port)).replace("{folder}", str(self.folder)).replace("{checks}", checks)
        )

    def command(self) -> list[str]:
        # The master outlives a reload (SIGUSR2), as the service does.
        return ["haproxy", "-W", "-db", "-f", self.config]
