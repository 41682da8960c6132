# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of this host's HAProxy: a master, the worker that answers, those of before a reload, that of the next.

Only the kernel tells of them all. Where HAProxy is behind TCP or has no master (``-W`` or ``-Ws``), none is seen.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils._haproxy.runtime import Runtime

WORKER_READS = [3, 1]  # from this version on the new worker reads the configuration, before it the master


class Process(t.NamedTuple):
    """A process of HAProxy's."""

    pid: str
    parent: str
    began: int  # in ticks of the kernel


class Family(t.NamedTuple):
    """What the processes are about to do."""

    leaving: int  # workers besides the one that answers: those of before a reload end with their last request
    reloading: bool  # another worker, which may have read its files before now, is about to take over


def look(runtime: Runtime) -> Family:
    """What they do now. :raises LampError: as ``ask`` of the runtime"""
    info = runtime.ask("show info")
    told = dict(re.findall(r"^(Pid|Version): ([\d.]+)", info, re.MULTILINE))
    worker = _find(told.get("Pid", "")) if runtime.address.startswith("/") else None
    master = _find(worker.parent) if worker else None
    if not worker or not master:
        return Family(0, False)
    children = [_find(child) for child in read(f"/proc/{master.pid}/task/{master.pid}/children").split()]
    others = [child for child in children if child and child.pid != worker.pid]
    younger = any(other.began > worker.began for other in others)
    by_master = [int(part) for part in re.findall(r"\d+", told.get("Version", ""))] < WORKER_READS
    return Family(len(others), younger or (by_master and _is_replacing(master, worker)))


def read(file: str) -> str:
    """What a file holds; nothing of one that is gone."""
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _is_replacing(master: Process, worker: Process) -> bool:
    """Whether a master reads the configuration, of which it will then make another worker.

    It has run itself anew with `-sf` and the workers to be replaced, and does so again as soon as it only waits.
    """
    replaces = re.search(rf"\0-s[ft]\0(\d+\0)*{worker.pid}\0", read(f"/proc/{master.pid}/cmdline"))
    waits = "HAPROXY_MWORKER_WAIT_ONLY=1" in read(f"/proc/{master.pid}/environ").split("\0")
    return bool(replaces) and not waits


def _find(pid: str) -> Process | None:
    """A process of HAProxy's that has not ended."""
    name, _bracket, rest = read(f"/proc/{pid}/stat").rpartition(")")
    state, parent, *more = rest.split() or ("", "")
    return Process(pid, parent, int(more[17])) if name.endswith("(haproxy") and state not in "ZX" else None
