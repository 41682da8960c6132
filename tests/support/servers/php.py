# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PHP's own web server over one folder of documents."""

from __future__ import annotations

from pathlib import Path

from tests.support.servers.base import Server


class PhpServer(Server):
    """``with PhpServer(release / "public", ini={...}, environment={...}) as server: server.url``."""

    name = "php"

    def __init__(
        self, documents: Path, ini: dict[str, str] | None = None, environment: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self.documents = documents
        self.ini = {"session.save_path": str(self.folder), "display_errors": "0", **(ini or {})}
        self.environment = environment or {}

    def command(self) -> list[str]:
        settings = [part for name, value in self.ini.items() for part in ("-d", f"{name}={value}")]
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", *variables, "php", *settings, "-S", f"127.0.0.1:{self.port}", "-t", str(self.documents)]

    @property
    def url(self) -> str:
        """The address of the document root, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"
