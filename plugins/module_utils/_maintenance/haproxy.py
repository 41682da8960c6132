# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy: the page and its headers are a map that its rules read at each request.

A change reaches the map in memory at once and as a whole, by HAProxy's runtime API; the same map lies in a file, which
HAProxy reads when it is reloaded or started.
"""

from __future__ import annotations

import json
import re
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy import processes
from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.runtime import Runtime
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.files import folder, has
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.page import render
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.rules import Rules
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import Site, State

PAGE_LIMIT = 12000  # bytes; page and headers must fit into one buffer of HAProxy, which is of 16 KiB by default
RELOAD_SECONDS = 30
BYPASS = "bypass"  # what a token in the map stands for


class HAProxy:
    """The HAProxy of this host."""

    def __init__(self, site: Site, files: t.Sequence[str], socket: str, backends: t.Sequence[str]) -> None:
        mark = f"lamp-maintenance {re.escape(site.name)} in"
        part = rf"^# BEGIN {mark} (?P<section>\S+)\n(?P<text>.*?)^# END {mark} (?P=section)$"
        self.site = site
        self.rules = Rules(files, part)
        self.map = site.folder / "haproxy.map"
        self.runtime = Runtime(socket)
        self.backends = backends

    def publish(self, state: State) -> None:
        entries = _entries(state)
        for name in (self.map.parent.parent, self.map.parent):
            folder(name, 0o755 if name == self.map.parent.parent else 0o711)
        anew = not self.site.flag.exists()
        if anew:
            self.site.write(state)
        _durable.write(self.map, _text(entries), 0o600)
        self._commit(entries)
        if not anew:
            self.site.write(state)

    def shows(self, state: State) -> bool:
        entries = _entries(state)
        return has(self.map, _text(entries)) and self._loaded() == entries

    def shown(self, state: State) -> State | None:
        """The file may hold the page of a later run that was cut off: the next reload would show it."""
        loaded = self._loaded()
        try:
            page = json.loads(loaded["json"])
            token = next((key for key, value in loaded.items() if value == BYPASS), "")
            found = {**state, "message": page["message"], "retry_after": page["retry_after"], "token": token}
            whole = _entries(found) == loaded and processes.read(str(self.map)).startswith(f"nonce {state['nonce']}\n")
            return found if whole else None
        except (ValueError, KeyError, TypeError):
            return None

    def withdraw(self) -> None:
        _durable.write(self.map, "", 0o600)
        self._commit({})
        self.site.remove()

    def lingers(self) -> bool:
        return not has(self.map, "") or bool(self._loaded())

    def in_flight(self, elapsed: float) -> int:
        rows = [row for row in self.runtime.table("show stat") if row["svname"] == "BACKEND"]
        counts = {row["pxname"]: int(row["scur"] or 0) for row in rows}
        missing = [name for name in self.backends if name not in counts]
        if missing:
            raise LampError(
                "maintenance_no_status",
                f"HAProxy at {self.runtime.address} has no backend {', '.join(missing)}; it has {', '.join(counts)}.",
                "Name in haproxy_backends those that the site's requests go to.",
            )
        # Workers of before a reload do not learn of a block that began since, and no table counts their requests.
        return sum(counts[name] for name in self.backends) + processes.look(self.runtime).leaving

    def _await_reload(self) -> None:
        """A worker that is about to take over may have read the map's file before it was written: what is told to its
        predecessor it would never learn. A reload that begins now reads the new file.

        :raises LampError: ``maintenance_reloading``
        """
        deadline = time.monotonic() + RELOAD_SECONDS
        while processes.look(self.runtime).reloading:
            if time.monotonic() > deadline:
                raise LampError(
                    "maintenance_reloading",
                    f"HAProxy at {self.runtime.address} is being reloaded, for more than {RELOAD_SECONDS} s, and may go"
                    " on by the map as it was.",
                    "Look what keeps it (systemctl status haproxy); run the same command again when it is done.",
                )
            time.sleep(0.05)

    def _commit(self, entries: dict[str, str]) -> None:
        """Exchange the map in memory as a whole; its file is written."""
        self._await_reload()
        answer = self.runtime.ask(f"prepare map {self.map}")
        version = answer.strip().rpartition(" ")[2]
        if not version.isdigit():
            raise LampError(
                "maintenance_not_installed",
                f"HAProxy at {self.runtime.address} has no map {self.map} ({answer.strip()}).",
                "Run the role lamp.cluster.maintenance there again (ansible-playbook lamp.cluster.setup does).",
            )
        for key, value in entries.items():
            self.runtime.tell(f"add map @{version} {self.map} <<\n{key} {value}\n")
        self.runtime.tell(f"commit map @{version} {self.map}")

    def _loaded(self) -> dict[str, str]:
        """The map in memory."""
        lines = [line.split(" ", 2) for line in self.runtime.ask(f"show map {self.map}").splitlines() if line]
        return {line[1]: line[2] for line in lines if len(line) == 3}


def _entries(state: State) -> dict[str, str]:
    pages = render(state["message"], state["retry_after"])
    pages = {"html": " ".join(pages["html"].split()), "json": pages["json"].strip()}  # a value is one line
    if max(len(text.encode()) for text in pages.values()) > PAGE_LIMIT:
        raise LampError(
            "maintenance_message_too_long",
            f"The page has more than {PAGE_LIMIT} bytes, which HAProxy cannot send.",
            "Say it in fewer words.",
        )
    tokens = {state["token"]: BYPASS} if state["token"] else {}
    return {"nonce": state["nonce"], "retry_after": str(state["retry_after"]), **pages, **tokens}


def _text(entries: dict[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in entries.items())
