# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What messages say of a session: never its whole id, with which whoever reads the output could take it over."""

from __future__ import annotations

import errno
from typing import Any
from unittest.mock import Mock

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import addresses
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.couchdb import PAGES, CouchDb
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.couchdb_client import Refused
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.memcached import Memcached
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.place import Place
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import Names

from tests.support.purge import DEFAULTS

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(("status", "place"), [(503, "/shop/_all_docs answered 503"), (403, "GET /shop/_all_docs on")])
def test_couchdb_names_the_request_without_where_its_page_began(status: int, place: str) -> None:
    store = CouchDb({**DEFAULTS, "store": "couchdb", "url": "http://localhost:5984", "login_db": "shop"})
    rows = [{"id": ID, "doc": {"_id": ID}}] * (PAGES[0] + 1)

    def ask(method: str, path: str, body: Any) -> Any:
        if "startkey" in path:
            raise Refused(status, "busy")
        return {"rows": rows}

    store.client = Mock(ask=ask, received=1, url="http://localhost:5984")
    with pytest.raises(LampError) as raised:
        list(store._pages())
    assert place in raised.value.message
    assert ID not in raised.value.message


def test_a_file_is_named_by_the_beginning_of_its_name() -> None:
    place = Place("/var/lib/php/sessions", 0, Names("sess_", None))
    message = place.refused(f"sess_{ID}", OSError(errno.EPERM, "Operation not permitted")).message
    assert message.startswith("sess_01234567… in the session folder /var/lib/php/sessions cannot be read or removed: ")
    assert place.refused("a", OSError(errno.EPERM, "x")).message.startswith("a in ")


def test_a_name_that_memcached_cannot_be_told_is_named_by_its_beginning() -> None:
    server = addresses.Address("localhost", 11211)
    params = {**DEFAULTS, "store": "memcached", "id_pattern": ".+"}
    with pytest.raises(LampError, match="the name 'shop:01234567…' cannot be said") as raised:
        Memcached(params, server, Names("shop:", ".+"))._delete(Mock(), [f"shop:{ID} x".encode()])
    assert ID not in raised.value.message
