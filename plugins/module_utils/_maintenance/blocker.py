# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block a site with proof, and open it with proof."""

from __future__ import annotations

import re
import secrets
import time
import typing as t
from urllib.parse import urljoin, urlsplit

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._http import (
    Answer,
    fetch,
    is_address,
    is_place,
    without_login,
)
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.backend import Backend
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.rules import AGAIN
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import TOKEN, Site, State

MARKER = "x-lamp-maintenance"
RULES_ID = "x-lamp-rules"


class Blocker:
    """The block of one site on this host, proven by requests for ``probe_url`` to ``probe_address``."""

    def __init__(self, site: Site, backend: Backend, probe_url: str, probe_address: str, patience: float) -> None:
        if not is_address(probe_url) or not is_place(probe_address):
            raise LampError(
                "maintenance_bad_url",
                f"There is no asking for probe_url {without_login(probe_url)!r} at probe_address {probe_address!r}.",
                "Give them as http://name/path and as address, address:port or [IPv6]:port.",
            )
        self.site = site
        self.backend = backend
        self.probe_url = probe_url
        self.probe_address = probe_address
        self.patience = patience
        self.answer: Answer | None = None  # the last one

    def wanted(self, message: str, retry_after: int, token: str, owner: str) -> State:
        """The state that these options ask for, with the nonce and the time of a block that is in force already."""
        if not 0 <= retry_after <= 10**9:
            raise LampError("maintenance_bad_retry_after", f"retry_after is {retry_after}.", "Give seconds, 0 or more.")
        if token and not TOKEN.fullmatch(token):
            raise LampError(
                "maintenance_bad_token", "bypass_token must be 20 to 128 letters and digits.", "Generate a new one."
            )
        old = self.site.read()
        kept = {"nonce": old["nonce"], "since": old["since"]} if old else {}
        asked = {"owner": owner, "message": message, "retry_after": retry_after, "token": token}
        return {"nonce": secrets.token_hex(16), "since": time.time(), **kept, **asked}

    def check_rules(self) -> None:
        """Return when this host's web server answers for the site by the rules of the role, as they were written.

        :raises LampError: ``maintenance_not_installed``, ``maintenance_edited``, ``maintenance_not_in_force``
        """
        found = self._without_rules(self.probe_url)
        if found is not None:
            raise LampError(
                "maintenance_not_in_force",
                f"The web server of this host does not answer by the rules of the block for {self.probe_url}: {found}.",
                "Whether the site would be blocked is unknown. Is that an address of the site, does what serves it have"
                " the rules (maintenance_vhosts, or maintenance_haproxy_frontends), is it reloaded, and does it listen"
                f" at {self.probe_address}? {AGAIN}",
            )

    def check_way_on(self) -> None:
        """Return when visitors whom the open site sends on from ``probe_url`` stay in reach of the rules.

        The usual case is a virtual host that only leads from HTTP to HTTPS: blocked, it would prove nothing.

        :raises LampError: ``maintenance_not_everywhere``
        """
        self._ask_until(lambda _answer: True, self.probe_url)
        there = self.elsewhere()
        if not there:
            return
        try:
            fetch(self._place(there), there)
        except ConnectionRefusedError:
            return  # nothing of this host: what stands before it serves that
        except OSError:
            pass
        found = self._without_rules(there)
        if found is not None:
            raise LampError(
                "maintenance_not_everywhere",
                f"The site sends who asks for probe_url, {self.probe_url}, to {there}; there this host does not answer"
                f" by the rules of the block: {found}. Visitors would go on using the site while it is blocked.",
                "Have the role put the rules there, too (maintenance_vhosts, or maintenance_haproxy_frontends). If that"
                " address is not of this site, give as probe_url a page at which visitors stay.",
            )

    def _without_rules(self, address: str) -> str | None:
        """What the web server of this host answers at ``address`` instead of by the rules; None if it is by them."""
        wanted = self.backend.rules.identify()
        url = f"{'/'.join(address.split('/', 3)[:3])}/.lamp-maintenance/{self.site.name}/rules"
        return self._ask_until(lambda answer: (answer.status, answer.headers.get(RULES_ID)) == (204, wanted), url)

    def examine(self) -> State | None:
        """The state of the site, proven; an open one by the rules that are in force.

        :raises LampError: ``maintenance_unknown_state``, with the owner of a block that is not wholly there; or that of
            ``check_rules``
        """
        self.check_rules()
        state = self.site.read()
        if state is None:
            found = "something of a block is in force" if self.backend.lingers() else None
        else:
            shown = self.backend.shown(state)
            found = "that is not what it shows" if shown is None else self._seen(_is_blocked(state))
            state = shown or state
        if found is not None:
            raise LampError(
                "maintenance_unknown_state",
                f"{self.site.flag} says that the site is {'blocked' if state else 'open'}, but {found}.",
                "Was it a deploy or a rollback that was cut off, the same command again mends it. Else run"
                " ansible-playbook lamp.cluster.maintenance -e maintenance_state=enabled, or disabled: that brings all"
                " of it to one state.",
                **({"owner": state["owner"], "blocked_since": state["since"]} if state else {}),
            )
        return state

    def enable(self, state: State) -> None:
        """Put ``state`` in force and prove it; put back what was there when that fails."""
        before = self.site.read()
        try:
            self.backend.publish(state)
            self.prove_blocked(state)
        except (LampError, OSError):
            if before is None:
                self.backend.withdraw()
            else:
                self.backend.publish(before)
            raise

    def prove_blocked(self, state: State) -> None:
        """Return when this host answers with this block's own marker. :raises LampError: ``maintenance_not_proven``"""
        found = self._seen(_is_blocked(state))
        if found is not None:
            raise LampError(
                "maintenance_not_proven",
                f"The block was set, but {self.probe_url} on this host is not blocked ({found}). What was before is"
                " left in place.",
                "Is it an address of this site that is not open by health_paths or allow, and can the web server's user"
                f" look into {self.site.folder}?",
            )

    def prove_open(self, was: State | None) -> None:
        """Return when this host answers without the marker. :raises LampError: ``maintenance_still_blocked``"""
        found = self._seen(_is_open(was["nonce"] if was else ""))
        if found is not None:
            raise LampError(
                "maintenance_still_blocked",
                f"The block is gone, but {self.probe_url} on this host does not answer without it ({found}).",
                "Look at the web server's error log on this host.",
            )

    def elsewhere(self) -> str:
        """Where the last answer sends visitors, if that has another scheme, name or port than ``probe_url``."""
        if self.answer is None or self.answer.status not in (301, 302, 303, 307, 308):
            return ""
        targets = (urljoin(self.probe_url, self.answer.headers.get("location", "")), self.probe_url)
        if not all(map(is_address, targets)):
            return ""
        there, here = (f"{parts.scheme}://{parts.netloc.lower()}/" for parts in map(urlsplit, targets))
        return there if there != here else ""

    def drain(self, timeout: float) -> dict[str, t.Any]:
        """Wait until the requests that run now are answered, at most ``timeout`` seconds.

        :raises LampError: as ``in_flight`` of the backend, when it is the last word; one look that fails is not
        """
        started = time.monotonic()
        again = False  # what has just answered the proof may still count at the first look
        while True:
            left, failed = 0, None
            try:
                left = self.backend.in_flight(time.monotonic() - started)
            except LampError as error:
                failed = error
            waited = time.monotonic() - started
            last = again and waited >= timeout
            if failed and last:
                raise LampError(failed.code, f"The site is blocked. {failed.message}", failed.next_step) from failed
            if not failed and (last or not left):
                return {"drained": not left, "in_flight": left, "drain_seconds": round(waited, 3)}
            again = True
            time.sleep(0.05)

    def _place(self, url: str) -> str:
        """Where on this host to ask for ``url``: a port in ``probe_address`` stands for that of ``probe_url`` alone."""
        asked, proven = urlsplit(url), urlsplit(self.probe_url)
        if (asked.scheme, asked.port) == (proven.scheme, proven.port):
            return self.probe_address
        return re.sub(r":\d+$", "", self.probe_address)

    def _seen(self, expected: t.Callable[[Answer], bool]) -> str | None:
        return self._ask_until(expected, self.probe_url)

    def _ask_until(self, expected: t.Callable[[Answer], bool], url: str) -> str | None:
        """None once an answer is as ``expected``; else, in the end, what was found instead."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                answer = self.answer = fetch(self._place(url), url)
                if expected(answer):
                    return None
                onward = f" to {self.elsewhere()}" if self.elsewhere() else ""
                found = f"status {answer.status}{onward}, {'a' if MARKER in answer.headers else 'no'} marker"
            except OSError as error:
                found = f"no answer: {error}"
            if time.monotonic() > deadline:
                return found
            time.sleep(0.05)


def _is_open(nonce: str) -> t.Callable[[Answer], bool]:
    # Another marker is another's: an application's, or that of a web server behind this one.
    return lambda answer: not nonce or answer.headers.get(MARKER) != nonce


def _is_blocked(state: State) -> t.Callable[[Answer], bool]:
    return lambda answer: answer.status == 503 and answer.headers.get(MARKER) == state["nonce"]
