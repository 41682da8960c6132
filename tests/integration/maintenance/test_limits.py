# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a web server tells of running requests where it tells less, and what is too much for it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.apache import Apache as ApacheBackend
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.haproxy import HAProxy
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.nginx import Nginx as Backend
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import Site

from tests.support.servers.apache import Apache
from tests.support.servers.base import free_port, wait_until
from tests.support.servers.haproxy import HAProxy as Balancer
from tests.support.servers.nginx import Nginx

SLOW = "<?php touch(__DIR__ . '/began'); while (!file_exists(__DIR__ . '/end')) { usleep(2000); clearstatcache(); }"


def test_without_php_fpm_nginx_counts_its_own_requests(tmp_path: Path) -> None:
    port = free_port()
    server = Nginx(tmp_path)
    documents = server.documents = server.folder / "public"  # where the web server's user may enter
    documents.mkdir()
    documents.chmod(0o777)
    (documents / "index.php").write_text(SLOW)
    server.prepare()
    status = f"server {{ listen 127.0.0.1:{port}; location = /server-status {{ stub_status; }} }}"
    (server.folder / "conf.d" / "status.conf").write_text(status)
    backend = Backend(Site("shop", str(tmp_path)), [], port)
    with server:
        assert backend.in_flight(0) == 0
        visitor = http.client.HTTPConnection("127.0.0.1", server.port)
        visitor.request("GET", "/index.php")
        wait_until((documents / "began").exists, "the slow request")
        assert backend.in_flight(0) == 1
        (documents / "end").touch()
        assert visitor.getresponse().read() == b""
        wait_until(lambda: backend.in_flight(0) == 0, "an idle connection")
        visitor.close()
    with pytest.raises(LampError, match="does not tell") as raised:
        backend.in_flight(0)
    assert raised.value.code == "maintenance_no_status"


# Runs, as number n, until the file n.end is there.
NUMBERED = (
    "<?php $n = __DIR__ . '/' . (int) $_GET['n']; touch(\"$n.began\");"
    ' while (!file_exists("$n.end")) { usleep(2000); clearstatcache(); }'
)
FPM_STATUS = """\
server {{ listen 127.0.0.1:{port}; location = /server-status {{
    fastcgi_param REQUEST_METHOD GET; fastcgi_param QUERY_STRING full;
    fastcgi_param SCRIPT_NAME /status; fastcgi_param SCRIPT_FILENAME /status;
    fastcgi_pass unix:{folder}/status.sock;
}} }}
"""


def test_requests_that_wait_in_php_fpms_socket_are_waited_for(tmp_path: Path) -> None:
    port = free_port()
    server = Nginx(tmp_path)
    documents = server.documents = server.folder / "public"
    documents.mkdir()
    documents.chmod(0o777)
    (documents / "index.php").write_text(NUMBERED)
    server.prepare()
    (server.folder / "conf.d" / "status.conf").write_text(FPM_STATUS.format(port=port, folder=server.folder))
    pool = f"[www]\npm.status_path = /status\npm.status_listen = {server.folder}/status.sock\n"
    (server.folder / "pool.d" / "zz-status.conf").write_text(pool)
    backend = Backend(Site("shop", str(tmp_path)), [], port)

    def begun() -> set[int]:
        return {int(file.stem) for file in documents.glob("*.began")}

    with server, ExitStack() as stack:
        for number in range(5):  # one more than there are processes
            url = f"http://127.0.0.1:{server.port}/?n={number}"
            stack.callback(subprocess.Popen(["curl", "-s", url]).wait)
        for number in range(5):
            stack.callback((documents / f"{number}.end").touch)
        wait_until(lambda: len(begun()) == 4, "four requests")
        (last,) = set(range(5)) - begun()
        backend.in_flight(0)
        blocked = time.monotonic()
        assert backend.in_flight(0) == 4
        for number in begun():
            (documents / f"{number}.end").touch()
        wait_until(lambda: last in begun(), "the fifth request")
        for _ in range(3):
            assert backend.in_flight(time.monotonic() - blocked) >= 1
        (documents / f"{last}.end").touch()
        wait_until(lambda: backend.in_flight(time.monotonic() - blocked) == 0, "the end of the fifth request")


# The beginning of a connection of HTTP/2 (its settings), and GET /slow in it.
HEADERS = b"\x82\x86\x04\x05/slow\x41\x01x"
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HTTP2 += bytes([0, 0, len(HEADERS), 1, 5, 0, 0, 0, 1]) + HEADERS
APACHE_STATUS = """\
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
    <Location /server-status>
        SetHandler server-status
    </Location>
</VirtualHost>
"""


class Application(BaseHTTPRequestHandler):
    """Answers at once, but at /slow."""

    began, go = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.began.set()
            self.go.wait(60)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


def test_a_request_in_a_connection_of_http2_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    backend = ApacheBackend(Site("shop", str(tmp_path)), [], port)
    with ThreadingHTTPServer(("127.0.0.1", 0), Application) as application:
        threading.Thread(target=application.serve_forever, daemon=True).start()
        behind = f"Protocols h2c http/1.1\n ProxyPass / http://127.0.0.1:{application.server_port}/"
        server = Apache(
            tmp_path, behind, ("mpm_event", "authz_core", "authz_host", "dir", "http2", "proxy", "proxy_http", "status")
        )
        server.prepare()
        (server.folder / "conf-enabled" / "status.conf").write_text(APACHE_STATUS.format(port=port))
        server.start()
        try:
            with socket.create_connection(("127.0.0.1", server.port)) as visitor:
                visitor.sendall(HTTP2)
                assert Application.began.wait(60)
                blocked = time.monotonic()
                assert backend.in_flight(0) == 1
                wait_until(lambda: time.monotonic() > blocked + 1, "the age by which others are told")
                assert backend.in_flight(time.monotonic() - blocked) == 1
                Application.go.set()
                wait_until(lambda: backend.in_flight(time.monotonic() - blocked) == 0, "an idle connection")
        finally:
            server.__exit__()
            application.shutdown()


def test_a_page_that_does_not_fit_into_haproxys_buffer_is_refused(tmp_path: Path) -> None:
    backend = HAProxy(Site("shop", str(tmp_path)), [], str(tmp_path / "none.sock"), [])
    state = {"nonce": "0", "retry_after": 1, "token": "", "message": "x" * 20000}
    with pytest.raises(LampError) as raised:
        backend.publish(state)
    assert raised.value.code == "maintenance_message_too_long"
    assert not list(tmp_path.iterdir())


MAP = """\
frontend http
 bind 127.0.0.1:{{port}}
 http-request return status 503 if {{ str(nonce),map_str({map}) -m found }}
 http-request deny if {{ src -f {{folder}}/slow }}
 http-request return status 200
"""


def test_a_worker_that_read_the_map_before_a_change_does_not_take_over_without_it(tmp_path: Path) -> None:
    site = Site("shop", str(tmp_path))
    site.folder.mkdir()
    state = {"nonce": "0", "retry_after": 1, "token": "", "message": "Soon", "owner": "ann", "since": 0.0}
    server = Balancer(MAP.format(map=site.folder / "haproxy.map"))
    backend = HAProxy(site, [], server.socket, [])
    backend.map.touch()
    held = -1
    slow = server.folder / "slow"  # HAProxy reads this to its end, that is as long as somebody holds it open
    os.mkfifo(slow)

    def hold() -> int:
        nonlocal held
        held = os.open(slow, os.O_WRONLY | os.O_NONBLOCK)  # an error while nobody reads
        return held

    def worker() -> str:
        return next(line for line in backend.runtime.ask("show info").splitlines() if line.startswith("Pid:"))

    def hears() -> bool:
        """Whether the master has come to wait for signals: it loses those that come before."""
        assert server.process
        place = Path(f"/proc/{server.process.pid}")
        (caught,) = re.findall(r"^SigCgt:\t(\w+)$", (place / "status").read_text(), re.MULTILINE)
        handled = int(caught, 16) & 1 << (signal.SIGUSR2 - 1)
        return bool(handled) and "HAPROXY_MWORKER_WAIT_ONLY=1" in (place / "environ").read_text()

    server.prepare()
    changes: list[tuple[Callable[[], None], int]] = [(lambda: backend.publish(state), 503), (backend.withdraw, 200)]
    with ThreadPoolExecutor(1) as other:
        starting = other.submit(server.start)
        try:
            wait_until(hold, "the start of HAProxy")
            os.close(held)
            starting.result()
            for change, status in changes:
                before, text = worker(), backend.map.read_text()
                wait_until(hears, "a master that hears a reload")
                server.reload()
                wait_until(hold, "the reload")
                changing = other.submit(change)
                wait_until(lambda: backend.map.read_text() != text, "the map's file")  # noqa: B023 (called at once)
                os.close(held)
                changing.result()
                wait_until(lambda: worker() != before, "the new worker")  # noqa: B023 (called at once)
                visitor = http.client.HTTPConnection("127.0.0.1", server.port)
                visitor.request("GET", "/")
                assert visitor.getresponse().status == status
                visitor.close()
        finally:
            server.__exit__()
