# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a web server tells of running requests where it tells less, and what is too much for it."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.haproxy import HAProxy
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.nginx import Nginx as Backend
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import Site

from tests.support.servers.base import free_port, wait_until
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


def test_a_page_that_does_not_fit_into_haproxys_buffer_is_refused(tmp_path: Path) -> None:
    backend = HAProxy(Site("shop", str(tmp_path)), [], str(tmp_path / "none.sock"), [])
    state = {"nonce": "0", "retry_after": 1, "token": "", "message": "x" * 20000}
    with pytest.raises(LampError) as raised:
        backend.publish(state)
    assert raised.value.code == "maintenance_message_too_long"
    assert not list(tmp_path.iterdir())
