# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apache with PHP in it, laid out as on Debian below a folder of the test's own."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from tests.support.servers.base import Server, answers_http

MAIN = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/apache2.pid
DefaultRuntimeDir {folder}
Mutex file:{folder}
User www-data
Group www-data
ErrorLog {folder}/error.log
Listen 127.0.0.1:{port}
Listen [::1]:{port}
IncludeOptional {folder}/mods-enabled/*.load
IncludeOptional {folder}/mods-enabled/*.conf
IncludeOptional {folder}/conf-enabled/*.conf
Include {folder}/sites-available/*.conf
"""
SITE = """\
<VirtualHost *:{port}>
    DocumentRoot {documents}
    DirectoryIndex index.php
    FallbackResource /index.php
    {settings}
    <Directory {documents}>
        Require all granted
    </Directory>
</VirtualHost>
"""
MODULES = ("mpm_prefork", "authz_core", "authz_host", "dir", "env", "mime", "setenvif", "php8.2")


class Apache(Server):
    """``with Apache(documents, "virtual host's own settings") as server``."""

    name = "apache"

    def __init__(self, documents: Path, settings: str = "", modules: Sequence[str] = MODULES) -> None:
        super().__init__()
        self.documents = documents
        self.modules = modules
        self.settings = settings

    @property
    def environment(self) -> dict[str, str]:
        """What Debian's configuration files and a2enmod want to know."""
        names = {name: str(self.folder) for name in ("APACHE_CONFDIR", "APACHE_RUN_DIR", "APACHE_LOG_DIR")}
        return {**names, "APACHE_PID_FILE": f"{self.folder}/apache2.pid"}

    def prepare(self) -> None:
        for name in ("mods-enabled", "conf-available", "conf-enabled", "sites-available"):
            (self.folder / name).mkdir(exist_ok=True)
        (self.folder / "mods-available").symlink_to("/etc/apache2/mods-available")
        for module in self.modules:
            for kind in ("load", "conf"):
                if Path(f"/etc/apache2/mods-available/{module}.{kind}").exists():
                    (self.folder / "mods-enabled" / f"{module}.{kind}").symlink_to(f"../mods-available/{module}.{kind}")
        filled = {"folder": self.folder, "port": self.port, "documents": self.documents, "settings": self.settings}
        for name, text in {"apache2.conf": MAIN, "sites-available/shop.conf": SITE}.items():
            (self.folder / name).write_text(text.format(**filled))

    @property
    def site(self) -> Path:
        """The file of the virtual host."""
        return self.folder / "sites-available" / "shop.conf"

    def command(self) -> list[str]:
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", *variables, "apache2", "-D", "FOREGROUND", "-f", f"{self.folder}/apache2.conf"]

    def ready(self) -> bool:
        return answers_http(self.port)  # it listens before it knows what to do with a signal

    def reload(self) -> None:
        """A graceful reload, as the service does it."""
        assert self.process
        self.process.send_signal(signal.SIGUSR1)
