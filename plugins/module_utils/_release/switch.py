# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a release the live one, and have the services that cached the old one look again."""

from __future__ import annotations

import os
import secrets
import subprocess
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import SWITCHING, Layout
from ansible_collections.lamp.cluster.plugins.module_utils._release.state import State

RELOAD_SECONDS = 60


def switch(layout: Layout, name: str) -> None:
    """Point ``current`` to the release, in one atomic step."""
    temporary = os.path.join(layout.root, SWITCHING + secrets.token_hex(8))
    os.symlink(os.path.join("releases", name), temporary)
    try:
        os.replace(temporary, layout.current)
    except OSError:
        os.unlink(temporary)
        raise
    _durable.sync_folder(layout.root)


def switch_off(layout: Layout) -> None:
    """Have ``current`` point nowhere."""
    os.unlink(layout.current)
    _durable.sync_folder(layout.root)


def check_services(services: t.Sequence[str]) -> None:
    """:raises LampError: ``release_no_service``, naming one that this host has not, so that no reload would succeed"""
    if not services:
        return
    command = ["systemctl", "show", "--property=LoadState", "--value", "--", *services]
    try:
        answer = subprocess.run(  # noqa: S603 # pylint: disable=ansible-bad-function
            command, capture_output=True, text=True, check=False, timeout=RELOAD_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return  # nothing is known of any
    for service, state in zip(services, answer.stdout.split()):
        if state in ("not-found", "masked"):
            raise LampError(
                "release_no_service",
                f"The service {service}, which a switch is to reload, is {state.replace('-', ' ')} on this host.",
                "Name what runs PHP there in services (release_services of the role), such as apache2 or php8.2-fpm.",
            )


def reload_services(state: State) -> list[str]:
    """Reload what a switch left to reload; returns it. :raises LampError: ``release_reload_failed``"""
    services = list(state.reload)
    if not services:
        return []
    command = ["systemctl", "reload", "--", *services]
    try:
        # Not by the module's run_command: it knows no timeout. The services are the administrator's own words.
        answer = subprocess.run(  # noqa: S603 # pylint: disable=ansible-bad-function
            command, capture_output=True, text=True, check=False, timeout=RELOAD_SECONDS
        )
        problem = (answer.stderr or answer.stdout).strip() if answer.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        answer, problem = None, str(error)
    if answer is None or answer.returncode:
        raise LampError(
            "release_reload_failed",
            f"{state.layout.current} was switched, but {', '.join(services)} could not be reloaded: {problem}.",
            "Mend the service and repeat: the reload is made up for. Until then it may serve the old code.",
            reload_pending=services,
        )
    state.reload = []
    state.save()
    return services
