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
# What PHP's own extensions begin the keys of sessions with, and nobody else's keys: behind it any id is a session's.
PHP_PREFIXES = {
    "redis": "PHPREDIS_SESSION:",
    "redis cluster": "PHPREDIS_CLUSTER_SESSION:",
    "memcached": "memc.sess.key.",
}


def duration(text: str) -> int:
    """``90``, ``15m``, ``2h``, ``1d`` in seconds. :raises LampError: ``session_purge_bad_duration``"""
    match = DURATION.fullmatch(text.strip())
    if not match:
        raise LampError(
            "session_purge_bad_duration",
            f"older_than {text!r} is no duration.",
            "Give seconds, or a number with s, m, h, d or w, such as 2h.",
        )
    return int(match.group(1)) * SECONDS[match.group(2)]


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

    @property
    def before(self) -> float:
        """Sessions whose time is earlier are old enough; all of them where no age is asked for."""
        return float("inf") if self.older_than is None else time.time() - self.older_than

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


def names_on_server(params: dict[str, t.Any], usual: str) -> Names:
    """The names of the sessions on a server that others may use too; ``usual`` is the prefix where none is given.

    :raises LampError: ``session_purge_ambiguous_prefix``, ``session_purge_bad_pattern``
    """
    prefix = params["prefix"] or usual
    ends = not (prefix[-1].isalnum() or prefix[-1] in "-,")
    if not (ends or params["id_pattern"] or params["dedicated"]):
        raise LampError(
            "session_purge_ambiguous_prefix",
            f"Where the prefix {prefix!r} ends, ids begin alike: the prefix of another application may go on there, and"
            " its names could not be told from this one's. Nothing was purged.",
            "Set id_pattern to what the ids of this application are, such as [A-Za-z0-9,-]{32}, where 32 is"
            " session.sid_length in php.ini; or dedicated, if the server holds nothing else.",
        )
    return Names(prefix, params["id_pattern"])
