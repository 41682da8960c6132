# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions on one server of Redis or Valkey: which of its keys they are, and how they are counted and removed."""

from __future__ import annotations

import contextlib
import secrets
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import Simple, Tally
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.redis_lua import OLD, STEP
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import (
    Selection,
    lifetime_of,
    names_on_server,
    no_lifetime,
)

try:
    import redis
    import redis.exceptions
except ImportError:
    redis = None  # type: ignore[assignment]

ABLE = frozenset({"keep_ids", "older_than"})
PAGE = 2000  # keys that the server looks at in one step of a walk from here, a millisecond or two
HELD = 3  # milliseconds that one step of a walk in the server holds up its other clients
LOCK = "_LOCK"  # phpredis: the lock of a session is its key with this behind it


class Keys:
    """Which keys of a server are the sessions that a purge is about; the same for all servers."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.selection = Selection(params, ABLE)
        self.names = names_on_server(params)
        self.kept = frozenset(self.names.prefix + text.encode() for text in self.selection.keep_ids)
        self.lifetime = lifetime_of(params)
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
        self.searched = False  # whether a walk through its keys is behind it
        self.tracked: bool | None = None  # whether it records how long a key has not been used; None before it is asked

    def begin(self, check: bool) -> dict[str, t.Any]:
        """See whether the server would let this user remove sessions, by commands that remove nothing."""
        try:
            if self.keys.dedicated:
                self._try_flush()
            else:
                self._try_unlink()
            if self.keys.selection.older_than is not None:
                self._try_age()
        except redis.exceptions.RedisError as error:
            raise failure(error, self.name) from error
        return {}

    def replicate(self, replicas: int, milliseconds: int) -> None:
        """Wait until so many replicas have done what was done here, at most that long, if the user may ask for that."""
        try:
            if replicas:
                self.client.wait(replicas, milliseconds)
        except redis.exceptions.RedisError as error:
            if not _withheld(error):
                raise failure(error, self.name) from error

    def _try_unlink(self) -> None:
        """Unlink a name that nobody has. Another node's slot is no matter: whether the user may is looked at first."""
        with contextlib.suppress(redis.exceptions.AskError):
            self.client.unlink(self._nobody())

    def _try_age(self) -> None:
        """Ask for the age of a name that nobody has."""
        try:
            self._old([self._nobody()], remove=False)
        except redis.exceptions.NoPermissionError:
            raise
        except redis.exceptions.ResponseError as error:
            if _withheld(error):
                reason = str(error).split(",", maxsplit=1)[0]  # behind it are the arguments
                raise LampError(
                    "session_purge_cannot_select",
                    f"{self.name} does not run the script that older_than takes, in which sessions are looked at and"
                    f" removed in one step: {reason}. Nothing was purged.",
                    "Give it EVALSHA and SCRIPT back (rename-command), or leave older_than out.",
                ) from error
            if "non local key" not in str(error):
                raise

    def _nobody(self) -> bytes:
        return self.keys.names.prefix + secrets.token_hex(16).encode()

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
            raise failure(error, self.name) from error

    def _flush(self, remove: bool) -> Tally:
        size = int(self.client.dbsize())
        if remove and size:
            self.client.flushdb(asynchronous=True)
        return Tally(size, size, exact=False)

    def _walk(self, remove: bool) -> Tally:
        found = self._walk_there(remove) if self.scripted else None
        if found is None:
            found = self._walk_here(remove)
        if not (self.searched or found.total or found.beside or found.ignored):
            found = found._replace(ignored=self._others())
        self.searched = True
        return found

    def _others(self) -> int:
        """How many keys begin as sessions' do, where no string does: hashes, as Magento has them, are never removed.

        To ask for the type of each key would make every walk longer by a quarter; this is one more where nothing is.
        """
        return sum(1 for _name in self.client.scan_iter(self.keys.glob, PAGE))

    def _walk_there(self, remove: bool) -> Tally | None:
        """Walk in the server; None where it does not run the steps."""
        step = self.client.register_script(STEP)
        least, most = self.keys.names.lengths or (0, 0)
        cursor: bytes = b"0"
        sessions = locks = ignored = young = 0
        kept: set[bytes] = set()
        while True:
            span = [cursor, self.keys.glob, HELD, self.keys.names.prefix, least, most, int(remove), self.batch]
            try:
                answer = step(args=[*self._age(), *span, *self.keys.kept])
            except redis.exceptions.ResponseError as error:
                if not _withheld(error):
                    raise
                self.scripted = False
                return None
            cursor, gone, unlocked, other, younger, spared = answer
            sessions, locks, ignored, young = sessions + gone, locks + unlocked, ignored + other, young + younger
            kept.update(spared)
            if cursor == b"0":
                return _tally(sessions, locks, ignored, young, len(kept))

    def _walk_here(self, remove: bool) -> Tally:
        """Walk from here: where the server's patterns cannot tell the names, and where it runs no scripts."""
        cursor = 0
        kept: set[bytes] = set()
        number = {"session": 0, "lock": 0, "ignored": 0}
        young = 0
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
            if self.keys.selection.older_than is None:
                for kind, doomed in page.items():
                    number[kind] += self._unlink(doomed) if remove else len(doomed)
            else:
                old, locks = self._old(page["session"], remove)
                number["session"], number["lock"] = number["session"] + old, number["lock"] + locks
                young += len(page["session"]) - old
            if not cursor:
                return _tally(number["session"], number["lock"], number["ignored"], young, len(kept))

    def _age(self) -> list[t.Any]:
        """What the scripts ask of a session's age.

        :raises LampError: ``session_purge_no_lifetime``
        """
        selection, lifetime = self.keys.selection, self.keys.lifetime
        if selection.older_than is None:
            return ["", 0, ""]
        if self.tracked is None:
            policy = ""
            with contextlib.suppress(redis.exceptions.NoPermissionError):
                policy = str(self.client.info("memory").get("maxmemory_policy", ""))
            self.tracked = "lfu" not in policy
            if not self.tracked and lifetime is None:
                raise _untracked(self.name, policy)
        return [selection.age, int(self.tracked), "" if lifetime is None else lifetime]

    def _old(self, names: list[bytes], remove: bool) -> tuple[int, int]:
        """How many of these sessions are old enough (are removed), and how many locks went with them."""
        sessions, locks = self.client.register_script(OLD)(args=[*self._age(), int(remove), *names])
        return sessions, locks

    def _unlink(self, names: list[bytes]) -> int:
        pipeline = self.client.pipeline(transaction=False)
        for first in range(0, len(names), self.batch):
            pipeline.unlink(*names[first : first + self.batch])
        answers = pipeline.execute(raise_on_error=False)  # the library would add the command, with the sessions' ids
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return sum(answers)


def _withheld(error: Exception) -> bool:
    """Whether the server has no such command for this user, or at all, and so did nothing.

    ``rename-command`` takes one away. Some servers (Dragonfly) run no script that does not name its keys in advance.
    """
    words = ("unknown command", "undeclared key")
    return isinstance(error, redis.exceptions.NoPermissionError) or any(word in str(error).lower() for word in words)


def _tally(sessions: int, locks: int, ignored: int, young: int, kept: int) -> Tally:
    """What a walk found. A young session is counted twice if the server resized its table of keys meanwhile."""
    return Tally(sessions + young + kept, sessions, beside=locks, ignored=ignored, exact=not young)


def _untracked(place: str, policy: str = "") -> LampError:
    """The LampError for a server with an LFU policy; without its name, for a user who may not ask for it."""
    return no_lifetime(
        f"{place} does not record how long a key has not been used, maxmemory-policy being {policy or 'an LFU one'}",
        f"{'' if policy else ' and allow the user info'}, or give the server a policy without LFU",
    )


@contextlib.contextmanager
def named_errors(place: str) -> t.Iterator[None]:
    """What redis-py raises becomes the LampError for it."""
    try:
        yield
    except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException, OSError) as error:
        raise failure(error, place) from error


def failure(error: Exception, place: str) -> LampError:
    """The LampError for what redis-py raised."""
    if "LFU maxmemory policy is selected" in str(error):
        return _untracked(place)
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
            "Check login_user and login_password; it must be allowed to scan, unlink and eval (or dbsize and flushdb);"
            " for older_than also object|idletime, and pttl with lifetime.",
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
        "Redis 6.0 or later is needed, its commands under their own names, and the primary, not a replica; see servers"
        " and topology.",
    )
