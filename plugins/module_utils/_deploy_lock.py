# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock that one deploy of an application holds: a file that is made by one process alone, and names it."""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

Holder = t.Dict[str, t.Any]  # user, since, controller, machine, boot, namespace, whole_machine, pid, started
PLACE = ("controller", "machine", "namespace")
FOLDER = "/var/lib/lamp.cluster/locks"


class DeployLock:
    """``<folder>/<name>.json`` while it is held. Changes are made under the kernel's lock on a file beside it."""

    def __init__(self, folder: str, name: str) -> None:
        if not name or not name.isprintable() or "/" in name or name.startswith("."):
            raise LampError("deploy_lock_bad_name", f"{name!r} cannot name a lock.", "Use the application's name.")
        self.path = Path(folder) / f"{name}.json"

    def changing(self) -> t.ContextManager[None]:
        """One process at a time."""
        return _durable.changing(self.path, lambda error: self.failure(str(error.strerror)))

    def holder(self) -> Holder | None:
        """Who holds it; ``{}`` where there is a lock, but it names nobody."""
        try:
            return named(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except UnicodeError:
            return {}
        except OSError as error:
            raise self.failure(str(error.strerror)) from error

    def failure(self, reason: str) -> LampError:
        """The error for a lock that says nothing."""
        return LampError(
            "deploy_lock_io",
            f"The lock {self.path} cannot be read or written: {reason}.",
            "Run the play as root; see that the disk is not full.",
        )

    def write(self, holder: Holder) -> None:
        """Record the holder, durably."""
        _durable.write(self.path, json.dumps(holder))

    def remove(self) -> None:
        """Nobody holds it any more."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
            _durable.sync_folder(self.path.parent)


def named(text: str) -> Holder:
    """The holder that the text of a lock names; ``{}`` where it names nobody."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def see_kept(lock: DeployLock, holder: Holder | None, asker: Holder) -> None:
    """Return when ``asker`` holds the lock. :raises LampError: ``deploy_lock_lost``"""
    if holder is not None and same(holder, asker):
        return
    now = "and nobody holds it any more" if holder is None else f"and is held by {words(holder)}"
    raise LampError(
        "deploy_lock_lost",
        f"The lock {lock.path} was taken from this run by force, {now}.",
        "What this run knew of the site may be out of date: ansible-playbook lamp.cluster.status says where it stands.",
    )


def same(holder: Holder, asker: Holder) -> bool:
    """Whether both are the same process."""
    return all(holder.get(key) == asker.get(key) for key in (*PLACE, "boot", "pid", "started"))


def is_dead(holder: Holder, asker: Holder) -> bool:
    """Whether ``asker``, who knows what runs on its own controller, is sure that the holder does not live.

    A host name alone proves nothing: two controllers may have the same one. Where a process could be out of the
    asker's sight (another machine, another container, another user's on a system that hides them), it counts as alive.
    """
    if not all(asker[key] and holder.get(key) == asker[key] for key in ("controller", "machine")):
        return False
    if holder.get("boot") != asker["boot"]:
        # A machine that booted again took its processes with it; of a container's image there may be many copies.
        return bool(holder.get("whole_machine") and asker["whole_machine"])
    if asker["alive"] is None or not asker["namespace"] or holder.get("namespace") != asker["namespace"]:
        return False
    return bool(asker["alive"].get(holder.get("pid"), "") != holder.get("started"))


def words(holder: Holder) -> str:
    """The holder in words."""
    if not holder:
        return "somebody unknown"
    return (
        f"{holder.get('user')} on {holder.get('controller')} (process {holder.get('pid')}) since {holder.get('since')}"
    )


def shown(holder: Holder | None) -> Holder:
    """The part of a holder that is for people."""
    return {key: holder.get(key) for key in ("user", "controller", "pid", "since")} if holder else {}
