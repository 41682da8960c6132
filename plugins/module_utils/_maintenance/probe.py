# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a web server on this host one question over HTTP, without following anything."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

MARKER = "X-Lamp-Maintenance"


def get(url: str, *, address: str = "", timeout: float = 10) -> tuple[int, str, str]:
    """Status, marker and body of a GET of ``url``, sent to ``address`` (this host). :raises OSError: no answer"""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LampError(
            "maintenance_bad_url", f"probe_url {url!r} is no address of a web site.", "Give it as http://name/path."
        )
    place = address or "127.0.0.1"
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        # The question is whether this host answers, not whether its certificate is good for this name.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(place, parts.port or 443, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(place, parts.port or 80, timeout=timeout)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers={"Host": parts.netloc, "Connection": "close"})
        response = connection.getresponse()
        body = response.read(1 << 20).decode("utf-8", "replace")
        return response.status, response.getheader(MARKER) or "", body
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()
