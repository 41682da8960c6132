# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sessions a purge is about, and which names are sessions."""

from __future__ import annotations

import re
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

DURATION = re.compile(r"(\d+)([smhdw]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
PHP_ID = r"[A-Za-z0-9,-]+"
GENERATED = (22, 256)  # the lengths that session.sid_length allows
SHOWN = 8  # characters of an id that a message may have
# What PHP's own extensions begin the keys of sessions with, and nobody else's keys: behind it any id is a session's.
PHP_PREFIXES = {
    "redis": "PHPREDIS_SESSION:",
    "redis cluster": "PHPREDIS_CLUSTER_SESSION:",
    "memcached": "memc.sess.key.",
}


def duration(text: str, option: str = "older_than") -> int:
    """``90``, ``15m``, ``2h``, ``1d`` in seconds. :raises LampError: ``session_purge_bad_duration``"""
    match = DURATION.fullmatch(text.strip())
    if not match:
        raise LampError(
            "session_purge_bad_duration",
            f"{option} {text!r} is no duration.",
            "Give seconds, or a number with s, m, h, d or w, such as 2h.",
        )
    return int(match.group(1)) * SECONDS[match.group(2)]


def lifetime_of(params: dict[str, t.Any]) -> int | None:
    """Seconds that a session lives after it was written, if they are known."""
    return duration(params["lifetime"], "lifetime") if params["lifetime"] else None


def no_lifetime(cause: str, choice: str = "") -> LampError:
    """The LampError for sessions whose age cannot be told without their lifetime."""
    return LampError(
        "session_purge_no_lifetime",
        f"How old sessions are cannot be told: {cause}.",
        f"Set lifetime to the session.gc_maxlifetime of php.ini{choice}.",
    )


class Selection:
    """All sessions, but for those that ``where``, ``older_than``, ``keep_ids`` and ``keep_users`` spare."""

    def __init__(self, params: dict[str, t.Any], able: frozenset[str]) -> None:
        """:raises LampError: ``session_purge_cannot_select`` when the store is not able to select that way,
        ``session_purge_empty_entry``
        """
        for name in ("keep_ids", "keep_users"):
            if "" in (params[name] or ()):
                raise LampError(
                    "session_purge_empty_entry",
                    f"An entry of {name} is empty, as a variable that is not set leaves it: nobody would be kept by it."
                    " Nothing was purged.",
                    f"Set it, or leave the entry out of {name}.",
                )
        for name in ("where", "older_than"):
            if params[name] is not None and not params[name].strip():
                raise LampError(
                    "session_purge_empty_entry",
                    f"{name} is empty, as a variable that is not set leaves it: everybody would be logged out."
                    " Nothing was purged.",
                    f"Set it, or leave {name} out.",
                )
        asked = {name for name in ("where", "older_than", "keep_ids", "keep_users") if params[name]}
        unable = sorted(asked - able)
        if unable:
            raise LampError(
                "session_purge_cannot_select",
                f"Sessions in this store ({params['store']}) cannot be selected by {', '.join(unable)}.",
                f"It can select by {', '.join(sorted(able))}. Nothing was purged.",
            )
        self.where: str = params["where"] or ""
        self.keep_ids = frozenset(params["keep_ids"] or ())
        self.keep_users = frozenset(params["keep_users"] or ())
        self.older_than = duration(params["older_than"]) if params["older_than"] else None
        # Sessions whose time is earlier are old enough; all of them where no age is asked for. It stays as it is, or
        # each pass would find sessions that have meanwhile grown as old.
        self.before = float("inf") if self.older_than is None else time.time() - self.older_than
        self.begun = time.monotonic()

    @property
    def age(self) -> int:
        """Sessions that are older now, in seconds, are old enough, as far as an age was asked for."""
        return (self.older_than or 0) + int(time.monotonic() - self.begun)

    @property
    def everything(self) -> bool:
        """Whether nothing is spared."""
        return not (self.where or self.keep_ids or self.keep_users or self.older_than is not None)

    @property
    def all_but_ids(self) -> bool:
        """Whether some ids are spared, and nothing else."""
        return bool(self.keep_ids) and not (self.where or self.keep_users or self.older_than is not None)


class Names:
    """How the names of a store's sessions are made: a prefix and an id."""

    def __init__(self, prefix: str, id_pattern: str | None) -> None:
        """Without a pattern, an id is what PHP takes for one, and where the prefix is not one of PHP's own, as long as
        those that PHP makes.

        :raises LampError: ``session_purge_bad_pattern``
        """
        self.prefix = prefix.encode()
        # Of PHP's ids, which Redis itself can tell, the least and the greatest length.
        lengths = (1, 2**31) if prefix in PHP_PREFIXES.values() else GENERATED
        self.lengths = None if id_pattern else lengths
        pattern = self.pattern = id_pattern or f"[A-Za-z0-9,-]{{{lengths[0]},{lengths[1]}}}"
        try:
            self._is_id = re.compile(pattern.encode()).fullmatch
        except re.error as error:
            raise LampError(
                "session_purge_bad_pattern",
                f"id_pattern {pattern!r} is no regular expression: {error}.",
                "Give one in Python's syntax that matches a whole session id.",
            ) from error

    def id_of(self, name: bytes) -> str | None:
        """The id of the session with that name; None when it is not a session's name."""
        rest = name[len(self.prefix) :]
        if name.startswith(self.prefix) and self._is_id(rest):
            return rest.decode("utf-8", "surrogateescape")
        return None

    def shown(self, name: bytes) -> str:
        """A name as a message may have it. With a whole id, whoever reads the message could take the session over."""
        end = len(self.prefix) + SHOWN
        cut = name.startswith(self.prefix) and len(name) > end
        return (name[:end] if cut else name).decode(errors="backslashreplace") + ("…" if cut else "")


def prefix_of(params: dict[str, t.Any]) -> str:
    """What the names of sessions on a server begin with; by default as PHP's own extensions have it."""
    clustered = params["store"] == "redis" and params["topology"] == "cluster"
    return params["prefix"] or PHP_PREFIXES["redis cluster" if clustered else params["store"]]


def names_on_server(params: dict[str, t.Any]) -> Names:
    """The names of the sessions on a server that others may use too.

    :raises LampError: ``session_purge_ambiguous_prefix``, ``session_purge_bad_pattern``, ``session_purge_no_prefix``
    """
    prefix = prefix_of(params)
    spares = [name for name in ("keep_ids", "older_than") if params[name]]
    if params["dedicated"] and spares and not params["prefix"]:
        raise LampError(
            "session_purge_no_prefix",
            f"With {' and '.join(spares)}, dedicated cannot empty the store at once: sessions are told by their names,"
            f" and whatever does not begin with PHP's own prefix {prefix!r} would stay. Nothing was purged.",
            f"Set prefix to what the names of sessions begin with there, be it {prefix!r}.",
        )
    ends = not (prefix[-1].isalnum() or prefix[-1] in "-,")
    if not (ends or params["id_pattern"] or params["dedicated"]):
        raise LampError(
            "session_purge_ambiguous_prefix",
            f"Where the prefix {prefix!r} ends, ids begin alike: the prefix of another application may go on there, and"
            " its names could not be told from this one's. Nothing was purged.",
            "Set id_pattern to what the ids of this application are, such as [A-Za-z0-9,-]{26}, where 26 is"
            " session.sid_length of the web server's PHP (php-fpm -i); or dedicated, if the server holds nothing else.",
        )
    return Names(prefix, params["id_pattern"])


def misfit(params: dict[str, t.Any], result: dict[str, t.Any]) -> str | None:
    """A warning where no session was found, and yet names that begin as theirs do: ids may be made otherwise."""
    if params["store"] not in {"redis", "memcached"} or params["leftovers"] == "only":
        return None
    if result["before"] or result["changed"] or not result["ignored"]:
        return None
    prefix = prefix_of(params)
    least, most = Names(prefix, None).lengths or GENERATED
    length = "" if prefix in PHP_PREFIXES.values() else f", {least} to {most} of them"
    usual = f"what PHP makes its ids of (letters, digits, comma and minus{length})"
    others = f"{result['ignored']} other key{'' if result['ignored'] == 1 else 's'}"
    rule = f"id_pattern {params['id_pattern']!r}" if params["id_pattern"] else usual
    types = " and see whether they are strings (TYPE)" if params["store"] == "redis" else ""
    return (
        f"There are no sessions behind the prefix {prefix!r} by {rule}, but {others}, left alone. If"
        f" sessions are among them, nobody is logged out: compare id_pattern with the users' cookies{types}."
    )
