# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in Redis or Valkey: single servers, a cluster, or the primary that sentinels name."""

from __future__ import annotations

import contextlib
import secrets
import typing as t

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Simple, Tally, addresses
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import (
    PHP_PREFIXES,
    Selection,
    names_on_server,
)

try:
    import redis
    import redis.backoff
    import redis.cluster
    import redis.exceptions
    import redis.retry
    import redis.sentinel
except ImportError:
    redis = None  # type: ignore[assignment]

ABLE = frozenset({"keep_ids"})
PAGE = 2000  # keys that the server looks at in one step of a walk from here, a millisecond or two
HELD = 3  # milliseconds that one step of a walk in the server holds up its other clients
LOCK = "_LOCK"  # phpredis: the lock of a session is its key with this behind it
CHECKS_NAME = "ssl_check_hostname"  # of redis-py

# One step in the server, so that keys need not travel: pages of SCAN until the time is up (20 for a user who may not
# ask for it), of which the sessions (and their locks) are unlinked. Pages are small, for what SCAN has just touched is
# still in the processor's cache then; letters and digits, of which most ids are made, are matched quicker than a set.
# ARGV: cursor, glob, milliseconds, prefix, least and greatest length of an id, remove (0, 1), keys per UNLINK (1 in a
# cluster, where they belong to different slots), then the names to keep.
STEP = """
if redis.replicate_commands then redis.replicate_commands() end
local call, find, sub = redis.call, string.find, string.sub
local cursor, glob, start = ARGV[1], ARGV[2], #ARGV[4] + 1
local least, most = #ARGV[4] + ARGV[5], #ARGV[4] + ARGV[6]
local remove, batch = ARGV[7] == '1', tonumber(ARGV[8])
local kept = {}
for i = 9, #ARGV do kept[ARGV[i]] = true end
local gone, unlocked, ignored, spared, pages = 0, 0, 0, {}, 0
local function now()
  local time = redis.pcall('TIME')
  return time[1] and time[1] * 1000 + time[2] / 1000
end
local begin = now()
local function is_over()
  pages = pages + 1
  if begin then return now() - begin >= tonumber(ARGV[3]) else return pages == 20 end
end
local function is_session(name)
  local length = #name
  return length >= least and length <= most
    and (find(name, '^%w+$', start) or find(name, '^[%w,-]+$', start))
end
local function unlink(names, number)
  if not remove then return number end
  local count = 0
  for i = 1, number, batch do
    count = count + call('UNLINK', unpack(names, i, math.min(i + batch - 1, number)))
  end
  return count
end
repeat
  local page = call('SCAN', cursor, 'MATCH', glob, 'COUNT', 100, 'TYPE', 'string')
  cursor = page[1]
  local names, locks, doomed = page[2], {}, 0
  for i = 1, #names do
    local name = names[i]
    if is_session(name) then
      if kept[name] then
        spared[#spared + 1] = name
      else
        doomed = doomed + 1
        names[doomed] = name
      end
    else
      local owner = sub(name, -5) == '_LOCK' and sub(name, 1, -6)
      if not owner or not is_session(owner) then
        ignored = ignored + 1
      elseif not kept[owner] then
        locks[#locks + 1] = name
      end
    end
  end
  gone, unlocked = gone + unlink(names, doomed), unlocked + unlink(locks, #locks)
until cursor == '0' or is_over()
return {cursor, gone, unlocked, ignored, spared}
"""


class Keys:
    """Which keys of a server are the sessions that a purge is about; the same for all servers."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.selection = Selection(params, ABLE)
        self.names = names_on_server(
            params, PHP_PREFIXES["redis cluster" if params["topology"] == "cluster" else "redis"]
        )
        self.kept = frozenset(self.names.prefix + text.encode() for text in self.selection.keep_ids)
        self.dedicated = params["dedicated"] and self.selection.everything

    @property
    def glob(self) -> str:
        """The pattern of SCAN that finds them, and maybe more."""
        return "".join("\\" + sign if sign in "*?[]^\\" else sign for sign in self.names.prefix.decode()) + "*"

    def kind(self, name: bytes) -> str:
        """``session``, ``lock``, ``kept``, ``kept lock`` or ``ignored``."""
        session = name[: -len(LOCK)] if name.endswith(LOCK.encode()) else name
        if self.names.id_of(session) is None:
            return "ignored"
        if session in self.kept:
            return "kept" if session == name else "kept lock"
        return "session" if session == name else "lock"


class Redis(Simple):
    """The sessions on one server."""

    def __init__(self, client: t.Any, name: str, keys: Keys, batch: int) -> None:
        self.client = client
        self.name = f"redis {name}"
        self.keys = keys
        self.batch = batch
        self.scripted = keys.names.lengths is not None

    def begin(self, check: bool) -> dict[str, t.Any]:
        """See whether the server would let this user remove sessions, by commands that remove nothing."""
        try:
            if self.keys.dedicated:
                self._try_flush()
            else:
                self._try_unlink()
        except redis.exceptions.RedisError as error:
            raise _failure(error, self.name) from error
        return {}

    def _try_unlink(self) -> None:
        """Unlink a name that nobody has. Another node's slot is no matter: whether the user may is looked at first."""
        with contextlib.suppress(redis.exceptions.AskError):
            self.client.unlink(self.keys.names.prefix + secrets.token_hex(16).encode())

    def _try_flush(self) -> None:
        """Have a flush queued, which the server refuses already if it would refuse the flush, and take it back.

        Should anything execute it all the same, the server would not know its last argument.
        """
        with self.client.client() as one:
            connection = one.connection
            try:
                connection.send_command("MULTI")
                try:
                    connection.read_response()
                except redis.exceptions.ResponseError:
                    return  # this user may not ask that way
                connection.send_command("FLUSHDB", "ASYNC", "not-at-all")
                connection.read_response()
            finally:
                connection.disconnect()

    def count(self) -> Tally:
        """Sessions, by their names; all keys of a dedicated database."""
        return self._guarded(remove=False)

    def purge(self) -> Tally:
        """Unlink what one walk through the keys finds."""
        return self._guarded(remove=True)

    def _guarded(self, remove: bool) -> Tally:
        try:
            return self._flush(remove) if self.keys.dedicated else self._walk(remove)
        except redis.exceptions.RedisError as error:
            raise _failure(error, self.name) from error

    def _flush(self, remove: bool) -> Tally:
        size = int(self.client.dbsize())
        if remove and size:
            self.client.flushdb(asynchronous=True)
        return Tally(size, size, exact=False)

    def _walk(self, remove: bool) -> Tally:
        if self.scripted:
            try:
                return self._walk_there(remove)
            except redis.exceptions.NoPermissionError:
                self.scripted = False  # this user may run no scripts
        return self._walk_here(remove)

    def _walk_there(self, remove: bool) -> Tally:
        """Walk in the server."""
        step = self.client.register_script(STEP)
        least, most = self.keys.names.lengths or (0, 0)
        cursor: bytes = b"0"
        sessions = locks = ignored = 0
        kept: set[bytes] = set()
        while True:
            arguments = [cursor, self.keys.glob, HELD, self.keys.names.prefix, least, most, int(remove), self.batch]
            cursor, gone, unlocked, other, spared = step(args=[*arguments, *self.keys.kept])
            sessions, locks, ignored = sessions + gone, locks + unlocked, ignored + other
            kept.update(spared)
            if cursor == b"0":
                return Tally(sessions + len(kept), sessions, beside=locks, ignored=ignored)

    def _walk_here(self, remove: bool) -> Tally:
        """Walk from here: where the server's patterns cannot tell the names, and for users without scripts."""
        cursor = 0
        kept: set[bytes] = set()
        number = {"session": 0, "lock": 0, "ignored": 0}
        while True:
            cursor, names = self.client.scan(cursor, match=self.keys.glob, count=PAGE, _type="string")
            page: dict[str, list[bytes]] = {"session": [], "lock": []}
            for name in names:
                kind = self.keys.kind(name)
                if kind in page:
                    page[kind].append(name)
                elif kind == "kept":
                    kept.add(name)
                elif kind == "ignored":
                    number[kind] += 1
            for kind, doomed in page.items():
                number[kind] += self._unlink(doomed) if remove else len(doomed)
            if not cursor:
                break
        sessions = number["session"]
        return Tally(sessions + len(kept), sessions, beside=number["lock"], ignored=number["ignored"])

    def _unlink(self, names: list[bytes]) -> int:
        pipeline = self.client.pipeline(transaction=False)
        for first in range(0, len(names), self.batch):
            pipeline.unlink(*names[first : first + self.batch])
        return sum(pipeline.execute())


def _failure(error: Exception, place: str) -> LampError:
    """The LampError for what redis-py raised."""
    refused = isinstance(error, (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError))
    # redis-py 4 has no class for the first, the finder of a cluster's nodes has one class for all (the second and the
    # last), and the server no word of its own for what a script may not do (the third and the fourth, from 7.2 on).
    words = (
        "WRONGPASS",
        "invalid username-password pair",
        "user executing the script can't",
        "ACL failure in script",
        "has no permissions to run",
    )
    if refused or any(word in str(error) for word in words):
        return LampError(
            "session_purge_denied",
            f"The user may not purge sessions on {place}: {error}.",
            "Check login_user and login_password; it must be allowed to scan, unlink and eval (or dbsize and flushdb).",
        )
    known = redis.exceptions
    if isinstance(error, (known.ConnectionError, known.TimeoutError, known.RedisClusterException, OSError)):
        return LampError(
            "session_purge_unreachable",
            f"No connection to {place}: {error}.",
            "Check that it runs, that servers names it, and tls with ca_cert.",
        )
    if isinstance(error, (known.AskError, known.MovedError)) or "non local key" in str(error):
        return LampError(
            "session_purge_failed",
            f"The cluster moves keys between its nodes, {place} holds some that are not its own: {error}.",
            "Wait until no slot is open (redis-cli --cluster check, or fix if that was cut off), then run it again.",
        )
    return LampError(
        "session_purge_failed",
        f"The sessions on {place} cannot be purged: {error}.",
        "Redis 6.0 or later is needed, and the primary, not a replica; see servers and topology.",
    )


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


def stores(params: dict[str, t.Any]) -> list[Redis]:
    """The servers that ``topology`` finds, each a place of its own.

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
    try:
        return _FINDERS[topology](params, servers, keys)
    except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException, OSError) as error:
        raise _failure(error, f"redis {', '.join(map(str, servers))}") from error


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
    found = []
    database = _database(params)
    for address in servers:
        options = _options(params)
        if address.socket:
            place: dict[str, t.Any] = {"unix_socket_path": address.socket}
            options = {name: value for name, value in options.items() if not name.startswith("ssl")}
        else:
            place = {"host": address.host, "port": address.port}
        client = redis.Redis(db=database, **place, **options)
        found.append(Redis(client, f"{address} database {database}", keys, PAGE))
    return found


def _cluster(params: dict[str, t.Any], servers: list[addresses.Address], keys: Keys) -> list[Redis]:
    """Its primaries; a part of the keys that no primary serves is an error."""
    _database(params)
    if CHECKS_NAME not in redis.cluster.REDIS_ALLOWED_KEYS:  # redis-py 4 would leave it away, and check no node's name
        redis.cluster.REDIS_ALLOWED_KEYS += (CHECKS_NAME,)  # type: ignore[assignment]
    nodes = [redis.cluster.ClusterNode(address.host, address.port) for address in servers]
    cluster = redis.cluster.RedisCluster(startup_nodes=nodes, require_full_coverage=True, **_options(params))
    return [
        Redis(cluster.get_redis_connection(node), f"{node.host}:{node.port}", keys, 1)
        for node in sorted(cluster.get_primaries(), key=lambda node: (node.host, node.port))
    ]


def _sentinel(params: dict[str, t.Any], servers: list[addresses.Address], keys: Keys) -> list[Redis]:
    options = _options(params)
    login = {"username": params["sentinel_user"] or None, "password": params["sentinel_password"] or None}
    sentinels = redis.sentinel.Sentinel(
        [(address.host, address.port) for address in servers], sentinel_kwargs={**options, **login}
    )
    host, port = sentinels.discover_master(params["sentinel_service"])
    return _single(params, [addresses.Address(host, int(port))], keys)


_FINDERS = {"single": _single, "cluster": _cluster, "sentinel": _sentinel}
