# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions purged: files, against find"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmark.purging import (
    DATA,
    EXACT,
    IDS,
    REMARK,
    SIZES,
    SWEEP,
    WINDOW,
    file_system,
    note_peak,
    rounds,
    shell,
    timed,
)
from tests.benchmark.table import Headline, Table
from tests.support.purge import purge

FIND = "find -delete"
HEADLINES = (
    Headline(f"{SIZES[-1]:,} sessions in files ended, in the window", f"{SIZES[-1]:,} files", WINDOW, (FIND,)),
)


def bench_files(table: Table, size: int) -> None:
    """``find -delete`` and the folder's exchange."""
    with tempfile.TemporaryDirectory() as root:
        store = Path(root, "sessions")
        options: dict[str, Any] = {"save_path": str(store)}

        def fill() -> None:
            shutil.rmtree(root)
            store.mkdir(parents=True)
            for number in range(size):
                with open(f"{store}/sess_{number:0{IDS}}", "wb") as stream:
                    stream.write(b"x" * DATA)

        def put_aside() -> None:
            fill()
            purge("files", **options, dedicated=True, leftovers="leave")

        table.measure(
            f"{size:,} files",
            {
                FIND: timed(fill, lambda: shell("find $D -name 'sess_*' -delete", D=store)),
                EXACT: timed(fill, lambda: purge("files", **options)),
                WINDOW: timed(fill, lambda: purge("files", **options, dedicated=True, leftovers="leave")),
                SWEEP: timed(put_aside, lambda: purge("files", **options, leftovers="only")),
            },
            rounds=rounds(size, SIZES[1]),
        )
        fill()
        note_peak(table, f"{size:,} files", "files", options)


def bench(table: Table) -> None:
    """All sizes."""
    table.remarks += [REMARK, f"Files were below {tempfile.gettempdir()}, on {file_system()}."]
    for size in SIZES:
        bench_files(table, size)
