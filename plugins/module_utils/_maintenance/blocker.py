# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block a site with proof, and open it with proof."""

from __future__ import annotations

import secrets
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance import probe
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.page import render
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import Site, State

PROOF_SECONDS = 10.0  # a web server that has not seen a file after that time will not


class Backend(t.Protocol):
    """What a web server must be able to do."""

    def check_installed(self) -> None:
        """Raise when requests cannot be blocked."""

    def in_flight(self, elapsed: float) -> int:
        """Requests that began more than ``elapsed`` seconds ago and are not answered."""


class Blocker:
    """The block of one site on this host, proven by requests to ``probe_url``."""

    def __init__(self, site: Site, backend: Backend, probe_url: str) -> None:
        self.site = site
        self.backend = backend
        self.probe_url = probe_url

    def wanted(self, message: str, retry_after: int, token: str, owner: str) -> State:
        """The state that these options ask for, with the nonce and the time of a block that is in force already."""
        if retry_after < 0:
            raise LampError("maintenance_bad_retry_after", f"retry_after is {retry_after}.", "Give seconds, 0 or more.")
        if token and not (token.isascii() and token.isalnum() and 20 <= len(token) <= 128):
            raise LampError(
                "maintenance_bad_token", "bypass_token must be 20 to 128 letters and digits.", "Generate a new one."
            )
        old = self.site.read()
        kept = {"nonce": old["nonce"], "since": old["since"]} if old else {}
        asked = {"owner": owner, "message": message, "retry_after": retry_after, "token": token}
        return {"nonce": secrets.token_hex(16), "since": time.time(), **kept, **asked}

    def enable(self, state: State) -> None:
        """Put ``state`` in force and prove it; put back what was there when the proof fails."""
        before = self.site.read()
        self.site.write(state, render(state["message"], state["retry_after"]))
        try:
            self.prove_blocked(state["nonce"])
        except LampError:
            if before is None:
                self.site.remove()
            else:
                self.site.write(before, render(before["message"], before["retry_after"]))
            raise

    def prove_blocked(self, nonce: str) -> None:
        """Return when this host answers with this block's own marker. :raises LampError: ``maintenance_not_proven``"""
        found = self._ask_until(lambda status, marker: status == 503 and marker == nonce)
        if found is not None:
            raise LampError(
                "maintenance_not_proven",
                f"The block is set, but {self.probe_url} on this host is not blocked ({found}).",
                "Look whether the web server's configuration still includes the snippet of the role maintenance.",
            )

    def prove_open(self) -> None:
        """Return when this host answers without a marker. :raises LampError: ``maintenance_still_blocked``"""
        found = self._ask_until(lambda _status, marker: not marker)
        if found is not None:
            raise LampError(
                "maintenance_still_blocked",
                f"The block is gone, but {self.probe_url} on this host does not answer without it ({found}).",
                "Look at the web server's error log on this host.",
            )

    def drain(self, since: float, timeout: float) -> dict[str, t.Any]:
        """Wait until the requests that began before ``since`` are answered, at most ``timeout`` seconds."""
        started = time.monotonic()
        while True:
            left = self.backend.in_flight(time.time() - since)
            waited = time.monotonic() - started
            if not left or waited >= timeout:
                return {"drained": not left, "in_flight": left, "drain_seconds": round(waited, 3)}
            time.sleep(0.05)

    def _ask_until(self, expected: t.Callable[[int, str], bool]) -> str | None:
        """None once an answer is as ``expected``; else, in the end, what was found instead."""
        deadline = time.monotonic() + PROOF_SECONDS
        while True:
            try:
                status, marker, _body = probe.get(self.probe_url)
                if expected(status, marker):
                    return None
                found = f"status {status}, {'a' if marker else 'no'} marker"
            except OSError as error:
                found = f"no answer: {error}"
            if time.monotonic() > deadline:
                return found
            time.sleep(0.05)
