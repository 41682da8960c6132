# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases may go, and their removal: never the live one, never one that a rollback needs."""

from __future__ import annotations

import contextlib
import os
import secrets

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release import journals
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import TEMPORARY, Layout
from ansible_collections.lamp.cluster.plugins.module_utils._release.paths import check_unmounted, remove_tree
from ansible_collections.lamp.cluster.plugins.module_utils._release.state import State, read_record


def kept_anyway(layout: Layout, state: State) -> set[str]:
    """The live release, the one before it, and what an unfinished deploy would go back to."""
    current = layout.current_release()
    return {name for name in (current, state.previous(current)) if name} | journals.gone_back_to(layout.root)


def superfluous(layout: Layout, state: State, keep: int, wanted: str = "") -> list[str]:
    """The releases beyond the ``keep`` youngest, by when they were staged; rejected ones go first.

    ``wanted`` is a release that stays, and counts, whether it is there already or not.
    """
    safe = kept_anyway(layout, state) | {wanted}
    lived = {name: number for number, name in enumerate(state.lived(layout.current_release()))}
    staged = {name: str(read_record(layout, name).get("staged_at", "")) for name in layout.names()}
    if wanted:
        staged[wanted] = ""

    def age(name: str) -> tuple[bool, bool, str, int]:
        return (name in safe, name not in state.rejected, staged[name], lived.get(name, -1))

    ranked = sorted(staged, key=age, reverse=True)
    return sorted(name for name in ranked[max(keep, 1) :] if name not in safe)


def check_removable(layout: Layout, state: State, name: str) -> None:
    """:raises LampError: ``release_in_use``"""
    if name in kept_anyway(layout, state):
        which = "live" if name == layout.current_release() else "the one to go back to"
        raise LampError(
            "release_in_use",
            f"The release {name} of {layout.root} is {which} and is not removed.",
            "Switch to another release first.",
        )


def remove(layout: Layout, name: str) -> None:
    """The folder leaves its name first: what is left of a removal that died is no release.

    :raises LampError: ``release_mounted``
    """
    check_unmounted(layout.release(name))
    away = layout.release(TEMPORARY + secrets.token_hex(8))
    with contextlib.suppress(FileNotFoundError):
        os.rename(layout.release(name), away)
        remove_tree(away)
    for path in (layout.record(name), layout.manifest(name)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def sweep(layout: Layout) -> None:
    """Remove what dead stagings left; the caller holds the lock, so none of it is in use."""
    for path in layout.leftovers():
        remove_tree(path)
