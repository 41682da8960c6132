# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cluster for all end-to-end tests of a pytest worker; LAMP_BED=name keeps it up after them, for the next run.

LAMP_BED_READY=1 says that it was set up then, so that this is not done again.
LAMP_BED_SUBNET=a.b.c.0/24 gives it another network, so that several can run on one machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import PREPARE, SUBNET, WORKER, Cluster
from tests.support.faults import DISK, STATE


def set_up(made: Cluster) -> None:
    """Prepare the hosts; a second time there is nothing to do."""
    for playbook in (str(PREPARE), "lamp.cluster.setup"):
        run = made.playbook(playbook)
        assert run.code == 0, run.output
    if WORKER in ("", "gw0"):  # once is enough
        again = made.playbook("lamp.cluster.setup")
        assert again.changed == 0, again.output


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The demo application's cluster, prepared, with nothing deployed yet."""
    kept = os.environ.get("LAMP_BED", "")
    made = Cluster(f"{kept or 'e2e'}{WORKER}", Path(tmp_path_factory.mktemp("cluster")))
    made.up("--subnet", SUBNET, "--disk", f"web:{DISK}=128m", "--disk", f"web:{STATE}=4m")
    try:
        if not (kept and os.environ.get("LAMP_BED_READY")):
            set_up(made)
        yield made
    finally:
        if not kept:
            made.bed("down")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults were tried, and how many of them the site survived."""
    outcomes = [
        [int(number) for number in str(value).split()]
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and (report.when == "call" or report.failed)
        for name, value in report.user_properties
        if name == "faults"
    ]
    if outcomes:
        tried, survived = (sum(numbers) for numbers in zip(*outcomes))
        terminalreporter.write_line(f"faults: {tried} tried, {survived} survived")
