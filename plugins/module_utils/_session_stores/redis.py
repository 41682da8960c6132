# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in Redis or Valkey: single servers, a cluster, or the primary that sentinels name."""

from __future__ import annotations

import functools
import typing as t

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Store, addresses
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_cluster import CHECKS_NAME, Slots
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_moving import Moving
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_sentinel import Sentinels
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_server import PAGE, Keys, Redis

try:
    import redis
    import redis.backoff
    import redis.retry
except ImportError:
    redis = None  # type: ignore[assignment]


def _options(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Keyword arguments of redis-py for every connection to a server."""
    options: dict[str, t.Any] = {
        "username": params["login_user"] or None,
        "password": params["login_password"] or None,
        "socket_connect_timeout": params["connect_timeout"],
        "socket_timeout": max(30, params["connect_timeout"]),
        "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 1),
    }
    if params["tls"] or params["ca_cert"]:
        options.update(
            ssl=True,
            ssl_cert_reqs="required",
            **{CHECKS_NAME: params["check_hostname"] is not False},
            ssl_ca_certs=params["ca_cert"],
            ssl_certfile=params["client_cert"],
            ssl_keyfile=params["client_key"],
        )
    return options


def stores(params: dict[str, t.Any]) -> t.Sequence[Store]:
    """The servers that ``topology`` finds: each of a list is a place of its own, those of a cluster are one.

    :raises LampError: ``session_purge_library_missing``, ``session_purge_unreachable``, ``session_purge_denied``
    """
    if redis is None:
        raise LampError(
            "session_purge_library_missing",
            missing_required_lib("redis"),
            "Install python3-redis there (Debian), or redis with pip.",
        )
    topology = params["topology"]
    keys = Keys(params)
    servers = addresses.parse(params["servers"] or ["127.0.0.1"], 26379 if topology == "sentinel" else 6379)
    return _FINDERS[topology](params, servers, keys)


def _database(params: dict[str, t.Any]) -> int:
    text = params["login_db"] or "0"
    if not text.isdigit() or (params["topology"] == "cluster" and int(text)):
        raise LampError(
            "session_purge_bad_database",
            f"login_db {text!r} is no number of a database of this Redis.",
            "Give one, such as 0; a cluster has no other.",
        )
    return int(text)


def _single(params: dict[str, t.Any], servers: list[addresses.Address], keys: Keys) -> list[Redis]:
    return [_server(params, keys, address) for address in servers]


def _server(params: dict[str, t.Any], keys: Keys, address: addresses.Address) -> Redis:
    database = _database(params)
    options = _options(params)
    if address.socket:
        place: dict[str, t.Any] = {"unix_socket_path": address.socket}
        options = {name: value for name, value in options.items() if not name.startswith("ssl")}
    else:
        place = {"host": address.host, "port": address.port}
    client = redis.Redis(db=database, **place, **options)
    return Redis(client, f"{address} database {database}", keys, PAGE)


def _cluster(params: dict[str, t.Any], servers: list[addresses.Address], keys: Keys) -> list[Moving]:
    _database(params)
    return [Moving(Slots(servers, keys, _options(params)))]


def _sentinel(params: dict[str, t.Any], servers: list[addresses.Address], keys: Keys) -> list[Moving]:
    login = {"username": params["sentinel_user"] or None, "password": params["sentinel_password"] or None}
    options = {**_options(params), **login}
    connect = functools.partial(_server, params, keys)
    return [Moving(Sentinels(servers, params["sentinel_service"], options, connect))]


_FINDERS: dict[str, t.Callable[[dict[str, t.Any], list[addresses.Address], Keys], t.Sequence[Store]]] = {
    "single": _single,
    "cluster": _cluster,
    "sentinel": _sentinel,
}
