# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx with php-fpm behind it, laid out as on Debian below a folder of the test's own."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.servers.base import Server

MAIN = """\
daemon off;
pid {folder}/nginx.pid;
user www-data;
error_log {folder}/error.log warn;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    fastcgi_hide_header X-Powered-By;
    client_body_temp_path {folder}/body; fastcgi_temp_path {folder}/fastcgi; proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/conf.d/*.conf;
    include {folder}/sites-available/*;
}}
"""
SITE = """\
server {{
    listen 127.0.0.1:{port};
    listen [::1]:{port};
    server_name _;
    root {documents};
    index index.php;
    {settings}
    location / {{ try_files $uri $uri/ /index.php?$args; }}
    location ~ \\.php$ {{
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass unix:{folder}/fpm.sock;
    }}
}}
"""
POOL = """\
[global]
error_log = {folder}/fpm.log
daemonize = no
include = {folder}/pool.d/*.conf
"""
WWW = """\
[www]
user = www-data
group = www-data
listen = {folder}/fpm.sock
listen.owner = www-data
pm = static
pm.max_children = 4
"""


class PhpFpm(Server):
    """The php-fpm that an nginx below ``folder`` asks."""

    name = "php-fpm"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.place = folder

    def command(self) -> list[str]:
        return ["php-fpm8.2", "--nodaemonize", "--fpm-config", str(self.place / "fpm.conf")]

    def ready(self) -> bool:
        return (self.place / "fpm.sock").exists()


class Nginx(Server):
    """``with Nginx(documents, "server's own settings") as server``; a role may run after ``prepare()``."""

    name = "nginx"

    def __init__(self, documents: Path, settings: str = "") -> None:
        super().__init__()
        self.documents = documents
        self.settings = settings
        self.fpm = PhpFpm(self.folder)

    def prepare(self) -> None:
        for name in ("conf.d", "sites-available", "pool.d"):
            (self.folder / name).mkdir(exist_ok=True)
        filled = {"folder": self.folder, "port": self.port, "documents": self.documents, "settings": self.settings}
        for name, text in {
            "nginx.conf": MAIN, "sites-available/shop": SITE, "fpm.conf": POOL, "pool.d/www.conf": WWW,
        }.items():  # fmt: skip
            (self.folder / name).write_text(text.format(**filled))

    @property
    def site(self) -> Path:
        """The file of the virtual host."""
        return self.folder / "sites-available" / "shop"

    def command(self) -> list[str]:
        return ["nginx", "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf"]

    def start(self) -> None:
        self.fpm.start()
        super().start()

    def reload(self) -> None:
        """A graceful reload, as the service does it."""
        assert self.process
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        super().kill()
        self.fpm.kill()

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.fpm.__exit__()
