# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One site behind each of the web servers that can block it: prepared by the role, blocked and opened by the module."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.modules import BIN, COLLECTIONS, ModuleResult, run_module
from tests.support.servers.apache import MODULES, Apache
from tests.support.servers.base import free_port
from tests.support.servers.haproxy import HAProxy
from tests.support.servers.nginx import Nginx

MESSAGE = 'Back <soon>, für 100 % "sure"'
TOKEN = "abcdefghij0123456789abcdefghij"
APPLICATION = {
    "index.php": "<?php header('X-Client: ' . $_SERVER['REMOTE_ADDR']);"
    " header('X-Proto: ' . ($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? 'http')); header('X-Powered-By: Shop'); echo 'Shop';",
    "health.php": "<?php echo 'ok';",
    # Says that it runs, and ends when it is told to.
    "slow.php": (
        "<?php touch('{folder}/began'); while (!file_exists('{folder}/end')) {{ usleep(2000); clearstatcache(); }}"
        " unlink('{folder}/end'); echo 'done';"
    ),
    # An application's own block, which knows what this collection's looks like.
    "own.php": (
        "<?php http_response_code(503); header('X-Lamp-Maintenance: 0123456789abcdef0123456789abcdef');"
        " header('Retry-After: 5'); echo 'We will be right back';"
    ),
    "onward.php": "<?php header('Location: ' . $_GET['to']);",
    "style.css": "body {{ color: red }}",
}
# What sites have of their own, none of which may reach the page: it is text/html and JSON, below a name with a dot,
# with a script and a style of its own, and must not be kept.
APACHE = """
    SetEnvIf Request_URI "^/redirected$" REDIRECT_STATUS=503
    Header always set Content-Security-Policy "default-src 'self'"
    ErrorDocument 503 "The site's own"
    AddHandler application/x-httpd-php .html .json
    AddCharset iso-8859-1 .html
    RewriteRule "^/switched-off$" /style.css [L]
    RewriteRule "^/\\." /index.php [L]
    RedirectMatch permanent "\\.(html|json)$" https://shop.test/
    CacheEnable disk /style.css
    CacheMinExpire 3600
    CacheHeader On
    <Location "/own-rules">
        RewriteEngine Off
    </Location>
    # As at the very beginning of a block: the request itself was let through.
    <Location "/just-before">
        <If "true">
            RewriteEngine Off
        </If>
    </Location>
    <Location "/own-engine">
        RewriteEngine On
    </Location>
    <LocationMatch "/\\.">
        Require all denied
        Order allow,deny
        Deny from all
    </LocationMatch>
    <FilesMatch "\\.(html|json)$">
        Require all denied
        Header set Cache-Control max-age=3600
    </FilesMatch>
"""
# For all virtual hosts, as in the days of Apache 2.2.
DENIED = "<Directory />\nOrder deny,allow\nDeny from all\n</Directory>\n"
ALLOWED = "Order allow,deny\nAllow from all"
NGINX = """
    gzip on; expires 1h; etag on;
    add_header Content-Security-Policy "default-src 'self'" always;
    location ~ /\\. { deny all; }
    if (!-e $request_filename) { rewrite ^ /index.php last; }
"""
HAPROXY = """\
 http-after-response set-header Cache-Control max-age=3600
 http-after-response set-header Content-Security-Policy "default-src 'self'"
"""


class Answer:
    """What curl got."""

    def __init__(self, text: str) -> None:
        head, _blank, self.body = text.replace("\r\n", "\n").partition("\n\n")
        status, *lines = head.splitlines()
        self.status = int(status.split()[1])
        self.headers: dict[str, str] = {}
        for name, _colon, value in (line.partition(":") for line in lines):
            before = self.headers.get(name.lower())
            self.headers[name.lower()] = f"{before}, {value.strip()}" if before else value.strip()


class BlockableSite:
    """The site ``shop`` of one web server. ``variables`` are those of the role, ``options`` those of the module."""

    def __init__(self, backend: str, **variables: Any) -> None:
        self.backend = backend
        self.folder = Path(tempfile.mkdtemp(prefix="lamp-site-"))
        self.folder.chmod(0o755)
        self.documents = self.folder / "public"
        self.documents.mkdir()
        shutil.chown(self.folder, "www-data")
        for name, text in APPLICATION.items():
            (self.documents / name).write_text(text.format(folder=self.folder))
        self.server = self._server()
        self.variables = self._variables() | variables

    def _server(self) -> Apache | Nginx | HAProxy:
        if self.backend == "apache":
            modules = (*MODULES, "access_compat", "alias", "cache", "cache_disk")
            own = f"CacheRoot {self.folder}\n<Directory {self.documents}>\n{ALLOWED}\n</Directory>"
            return Apache(self.documents, f"{APACHE}\n{own}", modules)
        if self.backend == "nginx":
            return Nginx(self.documents, NGINX)
        self.behind = Nginx(self.documents)
        return HAProxy(
            "frontend http\n bind 127.0.0.1:{port}\n bind [::1]:{port}\n default_backend web\n"
            + HAPROXY
            + f"backend web\n server web1 127.0.0.1:{self.behind.port}\n"
        )

    def _variables(self) -> dict[str, Any]:
        place = self.server.folder
        return {
            "maintenance_name": "shop",
            "maintenance_backend": self.backend,
            "maintenance_state_dir": str(self.folder / "state"),
            "maintenance_probe_url": f"http://shop.test:{self.server.port}/",
            "maintenance_conf_dir": str(place),
            "maintenance_status_port": free_port(),
            "maintenance_reload_command": ["true"],
            "maintenance_fpm_pool_dir": f"{place}/pool.d",
            "maintenance_fpm_service": "",
            "maintenance_fpm_status_socket": f"{place}/status.sock",
            "maintenance_haproxy_socket": f"{place}/admin.sock",
        }

    @property
    def options(self) -> dict[str, Any]:
        """What the module must be told beyond what the role left on the host; and less patience."""
        return {"name": "shop", "state_dir": str(self.folder / "state"), "proof_timeout": 2}

    @property
    def rules(self) -> Path:
        """The file with the rules of the block."""
        name = "haproxy.cfg" if self.backend == "haproxy" else "lamp-maintenance-shop.rules"
        return self.server.folder / name

    def role(self, tasks: str = "main", *arguments: str, **variables: Any) -> tuple[int, str]:
        """Run the role on this machine: exit code and output."""
        role = {"ansible.builtin.import_role": {"name": "lamp.cluster.maintenance", "tasks_from": tasks}}
        said = {"ansible.builtin.debug": {"var": "maintenance_status | default(maintenance_result | default({}))"}}
        return self.play([{**role, "vars": self.variables | variables}, said], *arguments)

    def play(self, tasks: list[dict[str, Any]], *arguments: str) -> tuple[int, str]:
        """Run tasks on this machine."""
        playbook = self.folder / "play.json"
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "environment": {
                "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                **(self.server.environment if isinstance(self.server, Apache) else {}),
            },
            "tasks": tasks,
        }
        playbook.write_text(json.dumps([play]))
        done = subprocess.run(
            [str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(playbook), *arguments],
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1",
                 "ANSIBLE_PYTHON_INTERPRETER": str(BIN / "python"), "ANSIBLE_LOCALHOST_WARNING": "0"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def maintenance(self, state: str, *, check: bool = False, **options: Any) -> ModuleResult:
        """Block it or open it by the module."""
        return run_module("maintenance", {**self.options, "state": state, **options}, check=check, diff=True)

    def status(self, **options: Any) -> ModuleResult:
        """What maintenance_info says."""
        return run_module("maintenance_info", {**self.options, **options})

    @property
    def address(self) -> str:
        """Where visitors find it."""
        return f"http://127.0.0.1:{self.server.port}/"

    def get(self, path: str = "/", *arguments: str, host: str = "127.0.0.1") -> Answer:
        """One request by curl."""
        url = f"http://{host}:{self.server.port}{path}"
        done = subprocess.run(
            ["curl", "-gsi", "--path-as-is", "--max-time", "30", *arguments, url],
            capture_output=True,
            text=True,
            check=True,
        )
        return Answer(done.stdout)

    def __enter__(self) -> BlockableSite:
        self.stack = ExitStack()
        try:
            self.server.prepare()
            if self.backend == "apache":
                (self.server.folder / "conf-enabled" / "all.conf").write_text(DENIED)
            for name in ("began", "end"):
                (self.folder / name).unlink(missing_ok=True)
            code, output = self.role()
            assert code == 0, output
            if self.backend == "haproxy":
                self.stack.enter_context(self.behind)
            self.stack.callback(self.server.__exit__)
            self.server.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stack.close()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session", params=["apache", "nginx", "haproxy"])
def site(request: pytest.FixtureRequest) -> Iterator[BlockableSite]:
    """An open site; a test leaves it open."""
    variables = {
        "maintenance_allow": [*(f"198.18.{number}.0/24" for number in range(70)), "127.7.0.0/16", "2001:db8::/32"],
        "maintenance_trusted_proxies": ["127.0.0.1", "127.7.0.9"],
        "maintenance_health_paths": ["/health.php", "/up"],
    }
    with BlockableSite(request.param, **variables) as made:
        yield made


@pytest.fixture()
def blocked(site: BlockableSite) -> Iterator[BlockableSite]:
    """The site, blocked with a token."""
    done = site.maintenance("enabled", bypass_token=TOKEN, page_message=MESSAGE, retry_after=77)
    assert not done.get("failed"), done
    yield site
    assert not site.maintenance("disabled").get("failed")
