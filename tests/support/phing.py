# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Phing as its users run it: its dbdeploy task writes a script, the client runs the script."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.servers.sql import SqlServer

# What Phing's users are told to create; the task itself creates nothing.
TABLE = """CREATE TABLE changelog (
  change_number BIGINT NOT NULL,
  delta_set VARCHAR(10) NOT NULL,
  start_dt TIMESTAMP NOT NULL,
  complete_dt TIMESTAMP NULL,
  applied_by VARCHAR(100) NOT NULL,
  description VARCHAR(500) NOT NULL,
  PRIMARY KEY (change_number, delta_set)
)"""
BUILD = """<project name="deltas" default="deploy"><target name="deploy">
  <dbdeploy url="mysql:host=127.0.0.1;port={port};dbname={database}" userid="root" password="{password}"
    dir="{deltas}" outputfile="{folder}/do.sql" undooutputfile="{folder}/undo.sql" {options}/>
</target></project>
"""


def phing(server: SqlServer, database: str, deltas: Path, folder: Path, options: str = "") -> str:
    """Apply what Phing finds pending in ``deltas``; ``folder`` takes its files. Returns the script that it made."""
    build = folder / "build.xml"
    build.write_text(
        BUILD.format(
            port=server.port, database=database, password=server.password, deltas=deltas, folder=folder, options=options
        )
    )
    subprocess.run(["phing", "-q", "-f", str(build)], check=True, capture_output=True, cwd=folder)
    script = (folder / "do.sql").read_text()
    done = server.client(script, database)
    assert done.returncode == 0, done.stderr
    return script
