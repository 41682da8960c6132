# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deltas: applying them without fsync, and finding nothing to do."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmark.applying import (
    OTHERS,
    QUICK,
    REMARKS,
    SIZES,
    Engine,
    Process,
    Task,
    count_questions,
    measure,
    measure_across,
    peak,
)
from tests.benchmark.peers import Peer, Raw, Yoyo, generate, installed, versions
from tests.benchmark.table import Headline, Table
from tests.support.servers.mariadb import MariaDB

MOST = max(SIZES)
PEAKS = (10, MOST, 5 * MOST)
REMARK = (
    "*fsync neutralised* is that the server is told not to wait for the disk (innodb_flush_log_at_trx_commit); its"
    f" files are in {tempfile.gettempdir()}. yoyo is measured once at 1000 deltas: its time grows with the square of"
    " their number."
)
ACROSS = "across a network, fsync neutralised"
HEADLINES = (
    Headline(f"{MOST} deltas, nothing to do", f"nothing to do at {MOST} deltas", "engine", OTHERS),
    Headline(
        f"{MOST} deltas applied across a network of 0.2 ms (simulated)", f"{MOST} deltas, {ACROSS}", "engine",
        (Raw.name, *(peer.name for peer in QUICK)),
    ),
)  # fmt: skip


def peaks(server: MariaDB, folder: Path) -> str:
    """The memory of runs of ever more deltas, in words."""
    found = []
    for size in PEAKS:
        engine = Engine(folder / f"peak {size}", server, "bench_peak")
        engine.prepare(generate(size))
        found.append(f"{size:,} deltas {peak(engine):.1f} MiB")
    return f"Peak memory of a process that applies them: {', '.join(found)}."


def bench(table: Table) -> None:
    """All sizes, a run that finds nothing to do, questions and memory."""
    installed()
    table.remarks.extend([*REMARKS, REMARK, versions()])
    with tempfile.TemporaryDirectory() as name, MariaDB() as server:
        peers: list[Peer] = []
        for size in SIZES:
            peers = measure(table, "fsync neutralised", server, Path(name), size)
        again = {peer.name: peer.run for peer in peers if not isinstance(peer, Raw)}
        measure_across(table, ACROSS, server, Path(name), MOST)
        table.measure(f"nothing to do at {MOST} deltas", again, rounds=3)
        counted = [peer for peer in peers if not isinstance(peer, (Process, Task, Yoyo))]
        table.remarks.append(count_questions(counted, sum(map(len, generate(MOST))), MOST))
        table.remarks.append(peaks(server, Path(name)))
