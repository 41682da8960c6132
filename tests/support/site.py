# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo application's site as a test drives it: releases to deploy, what visitors get, what the status says."""

from __future__ import annotations

import itertools
import re
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.cluster import DEMO_APP, Cluster, address
from tests.support.traffic import STAMP, TIMEOUT, classify

WEB = ("web1", "web2", "web3")
# Variables of a cluster whose load balancer blocks for all web hosts.
BLOCKED_BY_HAPROXY: dict[str, Any] = {"maintenance_backend": "haproxy", "maintenance_balancers": ["lb1"]}
# Files that make a page, each with the line after which it says of itself of which release it is.
STAMPED = {
    "public/index.php": "boot();\n",
    "src/shop.php": "    header('X-Release: ' . version());\n",
    "src/page.php": "header('Content-Type: text/html; charset=utf-8');\n",
}
_numbers = itertools.count(int(time.time()))


def first_release(cluster: Cluster, folder: Path, version: str) -> Path:
    """Deploy a release whose delta is above all that other tests applied, for others to come after."""
    made = release(folder / version, version, statements="DO 1;\n")
    run = cluster.deploy(made)
    assert run.code == 0, run.output
    return made


def release(
    folder: Path,
    version: str,
    *,
    after: Path | None = None,
    statements: str = "",
    undo: str = "",
    tagged: bool = False,
) -> Path:
    """A copy of v3 in ``folder`` that calls itself ``version``.

    :param after: the release whose deltas it has as well
    :param statements: of a delta of its own
    """
    shutil.copytree(DEMO_APP / "v3", folder, dirs_exist_ok=True)
    if after:
        shutil.copytree(after / "db" / "deltas", folder / "db" / "deltas", dirs_exist_ok=True)
    source = (folder / "src" / "version.php").read_text()
    (folder / "src" / "version.php").write_text(source.replace("'v3'", f"'{version}'"))
    for name, line in STAMPED.items():
        file = folder / name
        file.write_text(file.read_text().replace(line, f"{line}header('{STAMP}: {version}', false);\n", 1))
    if statements or tagged:
        add_delta(folder, statements or "DO 1;\n", undo=undo, tagged=tagged)
    return folder


def add_delta(folder: Path, statements: str, *, undo: str = "", tagged: bool = False) -> Path:
    """One more delta in a release, with a number that none had before."""
    path = folder / "db" / "deltas" / f"{next(_numbers)}_{folder.name}.sql"
    tag = "-- @DROP-SESSIONS\n" if tagged else ""
    path.write_text(f"{tag}{statements}" + (f"-- @UNDO\n{undo}" if undo else ""))
    return path


def column() -> str:
    """A statement that changes the schema, each time in another way."""
    return f"ALTER TABLE product ADD e2e_{next(_numbers)} INT;\n"


def dropped(added: str) -> str:
    """What undoes a statement of column()."""
    return added.replace(" ADD ", " DROP ").replace(" INT;", ";")


def seen_on(host: str) -> str:
    """What a visitor gets from this web host: ``v1`` …, ``maintenance``, or what is wrong."""
    try:
        with urllib.request.urlopen(f"http://{address(host)}/", timeout=TIMEOUT) as answer:
            return classify(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return classify(error.code, error.headers, error.read())
    except OSError as error:
        return f"no answer: {error}"


class Standing:
    """What the playbook status says."""

    def __init__(self, cluster: Cluster, *arguments: str) -> None:
        self.output = cluster.playbook("lamp.cluster.status", *arguments).output
        self.verdict = self._one(r"^ +So: (.*)$")
        self.next = self._one(r"^ +Next: (.*)$")
        self.pending = self.output.partition("Deltas pending: ")[2].partition("\n")[0]
        self.drop_due = self.output.partition("Session drop due: ")[2].partition("\n")[0]
        self.hosts = dict(re.findall(r"^ +(web\d): (.*)$", self.output, re.MULTILINE))

    def _one(self, pattern: str) -> str:
        found = re.findall(pattern, self.output, re.MULTILINE)
        assert len(found) == 1, self.output
        return str(found[0])

    def check(self, away: tuple[str, ...] = ()) -> None:
        """What it says of each host is what a visitor sees there."""
        for host in WEB:
            said = self.hosts[host]
            if host in away:
                assert "cannot be reached" in said, self.output
                continue
            assert (seen_on(host) == "maintenance") == ("blocked by" in said), self.output
