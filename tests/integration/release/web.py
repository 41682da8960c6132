# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Web servers whose document root is public/ of the live release, and the `systemctl` that reloads them."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from pathlib import Path

from tests.support.servers.base import Server, wait_until

MODULES = "/usr/lib/apache2/modules"
WORKERS = 4
APACHE = """
ServerRoot {folder}
PidFile {folder}/pid
Listen 127.0.0.1:{port}
ServerName localhost
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule php_module {modules}/libphp8.2.so
ErrorLog /dev/stderr
User www-data
Group www-data
StartServers {workers}
MinSpareServers {workers}
MaxSpareServers {workers}
MaxRequestWorkers {workers}
Mutex file:{folder}
<VirtualHost *>
    DocumentRoot {folder}/app/current/public
</VirtualHost>
DirectoryIndex index.php
<Directory {folder}/app>
    Require all granted
</Directory>
<FilesMatch "[.]php$">
    SetHandler application/x-httpd-php
</FilesMatch>
# Caches also what was staged a moment ago: the worst case.
php_admin_value opcache.file_update_protection 0
{settings}
"""
FPM = """
[global]
pid = {folder}/fpm.pid
error_log = {folder}/fpm.log
[www]
user = www-data
listen = {folder}/fpm.sock
listen.owner = www-data
pm = static
pm.max_children = {workers}
php_admin_value[opcache.file_update_protection] = 0
"""
NGINX = """
daemon off;
user www-data;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/app/current/public;
        index index.php;
        location ~ [.]php$ {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME {settings}$fastcgi_script_name;
            fastcgi_pass unix:{folder}/fpm.sock;
        }}
    }}
}}
"""


class Web(Server):
    """A site over ``root``; ``settings`` is what the configuration says about where PHP finds scripts."""

    name = "web"
    template = ""

    def __init__(self, settings: str) -> None:
        super().__init__()
        self.root = self.folder / "app"
        self.settings = settings

    def write(self, name: str, template: str) -> Path:
        """A file of configuration."""
        made = self.folder / name
        values = {"folder": self.folder, "port": self.port, "workers": WORKERS, "modules": MODULES}
        made.write_text(template.format(settings=self.settings, **values))
        return made

    def prepare(self) -> None:
        """The configuration, and a `systemctl` that reloads and tells that it did."""
        self.configuration = self.write("web.conf", self.template)
        (self.folder / "bin").mkdir()
        script = self.folder / "bin" / "systemctl"
        script.write_text(
            f"#!/bin/sh\n[ $1 = show ] && exec echo loaded\necho $* >> {self.folder}/reloads\n{self.reload_command()}\n"
        )
        script.chmod(0o755)

    def reload_command(self) -> str:
        """The shell command of a reload."""
        return f"kill -USR1 $(cat {self.folder}/pid)"

    @property
    def path(self) -> str:
        """The PATH with that `systemctl`."""
        return f"{self.folder}/bin:{os.environ['PATH']}"

    @property
    def reloads(self) -> int:
        """How often it reloaded."""
        log = self.folder / "reloads"
        return len(log.read_text().splitlines()) if log.exists() else 0

    @property
    def url(self) -> str:
        """The site."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, source: str = "127.0.0.1") -> tuple[int, str]:
        """Status and text, asked from an address of this machine."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=(source, 0))
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


class ModPhp(Web):
    """Apache with PHP in its workers."""

    template = APACHE

    def command(self) -> list[str]:
        """Apache in the foreground."""
        return ["apache2", "-f", str(self.configuration), "-DFOREGROUND"]


class Fpm(Web):
    """nginx in front of php-fpm."""

    template = NGINX

    def prepare(self) -> None:
        """php-fpm runs before nginx starts."""
        super().prepare()
        configuration = self.write("fpm.conf", FPM)
        with self.log.open("ab") as log:
            self.fpm = subprocess.Popen(["php-fpm8.2", "-F", "-y", str(configuration)], stdout=log, stderr=log)
        wait_until((self.folder / "fpm.sock").exists, "the start of php-fpm")

    def reload_command(self) -> str:
        """php-fpm is what remembers."""
        return f"kill -USR2 $(cat {self.folder}/fpm.pid)"

    def command(self) -> list[str]:
        """Nginx in the foreground."""
        return ["nginx", "-c", str(self.configuration)]

    def kill(self) -> None:
        """php-fpm goes with nginx."""
        super().kill()
        if self.fpm.poll() is None:
            self.fpm.send_signal(signal.SIGTERM)
            self.fpm.wait()
