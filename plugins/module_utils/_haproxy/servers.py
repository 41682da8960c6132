# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server in the backends of one or several HAProxies: what state it is in, how to change it, when it is done."""

from __future__ import annotations

import re
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.runtime import Runtime, cut_off

# The bits of srv_admin_state: each state may be forced by an operator or inherited from a server that is tracked.
FORCED_MAINT, FORCED_DRAIN = 0x01, 0x08
INHERITED = 0x02 | 0x10
MAINT = FORCED_MAINT | 0x02 | 0x20 | 0x40
DRAIN = FORCED_DRAIN | 0x10
RUNNING = ("1", "2")  # srv_op_state: 1 is a server that starts slowly, 0 and 3 take no new requests
CHECKED = 0x04  # the bit of srv_check_state: its health is checked
WORDS = {"drained": "drain", "disabled": "maint", "enabled": "ready"}  # ours, and those of the runtime API
POLL_SECONDS = 0.05


class Member(t.NamedTuple):
    """A server in a backend, as HAProxy sees it now."""

    backend: str
    name: str
    admin: int
    running: bool
    checked: bool
    weight: int

    @property
    def state(self) -> str:
        """``enabled``, ``drained`` or ``disabled``; whether its health checks pass is another matter."""
        return "disabled" if self.admin & MAINT else "drained" if self.admin & DRAIN else "enabled"

    @property
    def usable(self) -> bool:
        """Whether it gets new requests."""
        return self.state == "enabled" and self.running and self.weight > 0


class Place:
    """The server in one backend of one HAProxy."""

    def __init__(self, runtime: Runtime, backend: str, name: str) -> None:
        self.runtime = runtime
        self.backend = backend
        self.name = name

    def __str__(self) -> str:
        return f"{self.backend}/{self.name} at {self.runtime.address}"

    def look(self) -> Member:
        """Its state now. :raises LampError: ``haproxy_cut_off`` when HAProxy does not tell of it any more"""
        for member in members(self.runtime, self.backend):
            if member.name == self.name:
                return member
        raise cut_off(f"no server {self}")

    def others(self) -> list[str]:
        """The backend's other servers that get new requests."""
        return [m.name for m in members(self.runtime, self.backend) if m.name != self.name and m.usable]

    def set(self, state: str) -> None:
        """Change the state. :raises LampError: ``haproxy_refused``

        Who leaves ``disabled`` counts as healthy until the first check: it is told to be down before it is told to take
        requests, so that it gets none, and is not ``usable``, before its checks have passed anew.
        """
        server = f"set server {self.backend}/{self.name}"
        before = self.look()
        unproven = state == "enabled" and before.state == "disabled" and before.checked
        first = [f"{server} state {WORDS['drained']}", f"{server} health down"] if unproven else []
        self.runtime.tell("; ".join([*first, f"{server} state {WORDS[state]}"]))

    def requests(self) -> int:
        """Requests (of TCP: connections) that it works on, or that wait for it alone."""
        rows = self.runtime.table("show stat")
        row = next((r for r in rows if (r["pxname"], r["svname"]) == (self.backend, self.name)), None)
        if row is None:
            raise cut_off(f"no requests of {self}")
        return int(row["scur"] or 0) + int(row["qcur"] or 0)


def members(runtime: Runtime, backend: str = "") -> list[Member]:
    """All servers, or those of one backend."""
    return [
        Member(
            row["be_name"], row["srv_name"], int(row["srv_admin_state"]), row["srv_op_state"] in RUNNING,
            bool(int(row["srv_check_state"]) & CHECKED), int(row["srv_uweight"]),
        )
        for row in runtime.table(f"show servers state {backend}".rstrip())
    ]  # fmt: skip


def find(runtimes: t.Sequence[Runtime], server: str, backends: t.Sequence[str]) -> list[Place]:
    """Where the server is: in ``backends``, or in all that have it.

    :raises LampError: ``haproxy_bad_name``, ``haproxy_no_server`` naming what there is instead
    """
    for name in (server, *backends):
        if not re.fullmatch(r"[A-Za-z0-9_.:-]+", name):
            raise LampError(
                "haproxy_bad_name",
                f"{name!r} is no name of a server or a backend.",
                "HAProxy's names are of letters, digits and the signs - _ . :",
            )
    places = []
    for runtime in runtimes:
        there = members(runtime)
        having = [member.backend for member in there if member.name == server]
        missing = [backend for backend in backends if backend not in having]
        if missing or not having:
            known = ", ".join(f"{member.backend}/{member.name}" for member in there) or "none"
            wanted = ", ".join(f"{backend}/{server}" for backend in missing) or server
            raise LampError(
                "haproxy_no_server",
                f"HAProxy at {runtime.address} has no server {wanted}; it has {known}.",
                "Give the names as HAProxy's configuration has them.",
            )
        places += [Place(runtime, backend, server) for backend in (backends or having)]
    return places


def check_others(places: t.Sequence[Place], least: int) -> None:
    """:raises LampError: ``haproxy_last_server`` where fewer than ``least`` other servers could take the requests"""
    for place in places:
        others = place.others()
        if len(others) < least:
            raise LampError(
                "haproxy_last_server",
                f"Without {place} only {len(others)} servers of that backend take requests"
                f" ({', '.join(others) or 'none'}); {least} must remain. Nothing was changed.",
                "Bring the other servers up first, or lower min_others.",
            )


def apply(places: t.Sequence[Place], state: str) -> None:
    """Bring the server into ``state`` everywhere, and see that it is.

    :raises LampError: ``haproxy_not_set`` where HAProxy took the command and still says otherwise
    """
    for place in places:
        place.set(state)
        found = place.look()
        if found.state != state:
            inherited = found.admin & INHERITED
            raise LampError(
                "haproxy_not_set",
                f"{place} is in state {found.state} after it was set to {state}"
                f"{', which it inherits from the server that it tracks' if inherited else ''}.",
                "Change the tracked server instead."
                if inherited
                else "Look at HAProxy's configuration of this server.",
            )


def await_drained(places: t.Sequence[Place], timeout: float) -> dict[str, t.Any]:
    """Wait until the server works on no request, at most ``timeout`` seconds.

    A request that HAProxy had just assigned when the state changed may not be counted yet: none counts twice.
    """
    started = time.monotonic()
    quiet = 0
    while True:
        left = sum(place.requests() for place in places)
        quiet = 0 if left else quiet + 1
        waited = time.monotonic() - started
        if quiet == 2 or (left and waited >= timeout):
            return {"drained": not left, "in_flight": left, "drain_seconds": round(waited, 3)}
        time.sleep(POLL_SECONDS)


def await_usable(places: t.Sequence[Place], timeout: float) -> None:
    """Wait until the server gets requests everywhere. :raises LampError: ``haproxy_not_up``"""
    deadline = time.monotonic() + timeout
    while True:
        waiting = [place for place in places if not place.look().usable]
        if not waiting:
            return
        if time.monotonic() >= deadline:
            raise LampError(
                "haproxy_not_up",
                f"{waiting[0]} is enabled, but gets no requests after {timeout:g} s: its health check has not passed"
                " as often as `rise` says, or its weight is 0.",
                "Ask the server for the path of HAProxy's health check. If that works, give enable_timeout more than"
                " `rise` times the interval of the checks.",
            )
        time.sleep(POLL_SECONDS)
