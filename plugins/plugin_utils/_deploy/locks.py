# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks of the same application on other hosts: each keeps out those alone that look there."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._deploy_lock import words

from .journal import Look


def elsewhere(looks: t.Mapping[str, Look], lock: t.Mapping[str, t.Any], host: str) -> dict[str, str]:
    """Who holds one on which host, but for ``host``, where ``lock`` was asked for.

    One machine may have two names: what this run holds itself is no other lock.
    """
    own = words(lock.get("holder") or {})
    return {
        name: look["lock"]["by"]
        for name, look in looks.items()
        if look.get("lock") and name != host and look["lock"]["by"] != own
    }


def way_out(looks: t.Mapping[str, Look], others: t.Mapping[str, str]) -> str:
    """What to do about them."""
    files = ", ".join(f"{looks[name]['lock']['file']} on {name}" for name in others)
    return f"wait for that deploy, and give all deploys the same deploy_lock_host; if it is surely dead, remove {files}"


def refusals(looks: t.Mapping[str, Look], others: t.Mapping[str, str]) -> list[str]:
    """Why nothing is begun, if there are any."""
    if not others:
        return []
    held = ", ".join(f"on {name} by {by}" for name, by in others.items())
    advice = way_out(looks, others)
    return [f"Another lock of this application is held, {held}. {advice[0].upper()}{advice[1:]}."]
