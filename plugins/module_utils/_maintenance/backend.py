# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a web server must be able to do, and what Apache and nginx do alike."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._http import fetch
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.rules import Rules
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.served import Served
from ansible_collections.lamp.cluster.plugins.module_utils._maintenance.site import Site, State


class Backend(t.Protocol):
    """A web server that blocks one site."""

    rules: Rules

    def publish(self, state: State) -> None:
        """Block the site, or bring its block to ``state``.

        One atomic step after the other, in an order in which a run that ends between two leaves a site that is open or
        blocked; or, where there is no such order, one whose flag says who left it between the two.
        """

    def shows(self, state: State) -> bool:
        """Whether all of ``state`` is in place, and nothing else."""

    def shown(self, state: State) -> State | None:
        """The block that visitors meet: that of ``state``, with its page and its token as they are; else None."""

    def withdraw(self) -> None:
        """Open the site, in such an order."""

    def lingers(self) -> bool:
        """Whether something of a block is in force although the site's state says that it is open."""

    def in_flight(self, elapsed: float) -> int:
        """How many requests that began more than ``elapsed`` seconds ago are not answered yet.

        :raises LampError: ``maintenance_no_status``
        """


class FolderBackend:
    """A web server that looks for a file at each request and serves a folder."""

    def __init__(self, site: Site, files: t.Sequence[str], status_port: int) -> None:
        self.site = site
        self.rules = Rules(files)
        self.served = Served(site.folder)
        self.status_url = f"http://{site.name}.status:{status_port}/server-status"  # several sites share the port

    def publish(self, state: State) -> None:
        self.served.publish(state)
        self.site.write(state)
        self.served.tidy(state)

    def shows(self, state: State) -> bool:
        return self.served.shows(state)

    def shown(self, state: State) -> State | None:
        return self.served.shown(state)

    def withdraw(self) -> None:
        self.site.remove()
        self.served.withdraw()

    def lingers(self) -> bool:
        return False  # without the file nothing is in force

    def in_flight(self, elapsed: float) -> int:
        raise NotImplementedError

    def status(self) -> str:
        """The web server's status page. :raises LampError: ``maintenance_no_status``"""
        try:
            answer = fetch("127.0.0.1", self.status_url)
        except OSError as error:
            raise self.no_status(str(error)) from error
        if answer.status != 200:
            raise self.no_status(f"status {answer.status}")
        return answer.body

    def no_status(self, reason: str) -> LampError:
        """The error for a status page that says nothing."""
        return LampError(
            "maintenance_no_status",
            f"The web server does not tell its running requests at {self.status_url} ({reason}).",
            "Run the role lamp.cluster.maintenance again: it sets that address up. If that does not help, look in the"
            " web server's main configuration for what holds for all sites.",
        )
