# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode says will happen is what the run then does, and check mode itself touches nothing."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, address
from tests.support.site import WEB, column, dropped, first_release, release, seen_on
from tests.support.traffic import User

# All that a deploy may change: files with their times and links, and the database without its sessions.
FILES = "find /var/www/shop /var/lib/lamp.cluster /etc/apache2 /etc/php -printf '%p %C@ %l\\n' | sort | sha256sum"
# Each path of the releases, what it is, and what is in it.
PATHS = (
    'cd /var/www/shop/releases && find * -exec sh -c \'for path; do echo "$path\t$(stat -c %F,%a "$path") '
    '$(readlink "$path" || sha256sum < "$path" 2>&1)"; done\' - {} +'
)
TABLES = "mariadb-dump --skip-comments --ignore-table=shop.lamp_session shop | sha256sum"


class Shop:
    """The demo application's site, and what is known of it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.last: Path | None = None

    def made(self, name: str, *, delta: bool = False, tagged: bool = False) -> Path:
        """A release, which has the deltas of those before it."""
        added = column()
        changes: dict[str, Any] = {"statements": added, "undo": dropped(added), "tagged": tagged} if delta else {}
        self.last = release(self.folder / name, name, after=self.last, **changes)
        (self.last / "public" / "media" / f"{name}.txt").write_text("no other release has this file")
        return self.last

    def world(self) -> list[str]:
        """Everything that a deploy may change."""
        return [
            *(self.cluster.ssh(address(host), FILES) for host in WEB),
            self.cluster.ssh(address("db1"), TABLES),
        ]

    def live(self) -> dict[str, str]:
        """The release of each web host."""
        return {
            host: Path(self.cluster.ssh(address(host), "readlink /var/www/shop/current").strip()).name for host in WEB
        }

    def releases(self) -> dict[str, dict[str, dict[str, str]]]:
        """What each path of each release is, by host."""
        found: dict[str, dict[str, dict[str, str]]] = {host: {} for host in WEB}
        for host, known in found.items():
            for line in self.cluster.ssh(address(host), PATHS).splitlines():
                path, what = line.split("\t")
                name, _slash, path = path.partition("/")
                if path:
                    known.setdefault(name, {})[path + "/" * what.startswith("directory")] = what
        return found

    def run(self, *command: str) -> tuple[str, dict[str, Any]]:
        """The output of a playbook and its report."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        done = self.cluster.playbook(*command, settings={"LAMP_REPORT_JSON": str(report)})
        assert done.code == 0, done.output
        return done.output, json.loads(report.read_text())

    def compare(self, *command: str) -> tuple[str, dict[str, Any]]:
        """Plan it, do it, compare; the plan's words and what was done."""
        before, live, releases = self.world(), self.live(), self.releases()
        plan, _report = self.run(*command, "--check", "--diff")
        assert self.world() == before
        _output, report = self.run(*command)
        done = happened(report)
        done["switched"] = [host for host, name in self.live().items() if name != live[host]]
        done["files"] = Counter(
            line
            for host, known in self.releases().items()
            for name in known.keys() - releases[host].keys()
            for line in differences(known[live[host]], known[name])
        )
        assert promised(plan) == done, plan
        return plan, done


def words(plan: str, name: str) -> str:
    """What the plan says of it."""
    found = re.findall(rf"^ +{name}: (.*)$", plan, re.MULTILINE)
    return str(found[0]) if found else ""


def differences(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """In what paths one release differs from another."""
    verbs = {path: "changed" if path in old and path in new else "added" if path in new else "removed"
             for path in {*old, *new} if old.get(path) != new.get(path)}  # fmt: skip
    return [f"{verb} {path}" for path, verb in verbs.items()]


def promised(plan: str) -> dict[str, Any]:
    """What will be, as the plan says."""
    mode = words(plan, "Mode").partition(",")[0] or "nothing"
    switched = words(plan, "Release").partition("to be switched on ")[2]
    blocked = words(plan, "Maintenance window").partition("yes, on ")[2]
    counted = words(plan, "Sessions that would be dropped")
    visits = len(WEB) if counted else 0  # each host is asked for its page right before it blocks, as by a visitor
    undone = re.findall(r"^    \d+ (\S+\.sql) .*would be undone", plan, re.MULTILINE)
    deltas = [] if words(plan, "Deltas") in ("none", "") else words(plan, "Deltas").split(", ")
    return {
        "mode": mode,
        "switched": switched.split(", ") if switched not in ("", "no host") else [],
        "blocked": blocked.split(", ") if blocked else [],
        "deltas": undone or deltas,
        "files": Counter(re.findall(r"^/var/www/shop:   ((?:added|changed|removed) .*)$", plan, re.MULTILINE)),
        "sessions": int(counted or 0) + visits,
    }


def happened(report: dict[str, Any]) -> dict[str, Any]:
    """What was, as the report of the run has it."""
    blocked = [window["host"] for window in report["blocked"]["hosts"]]
    tasks = [task for phase in report["phases"] for task in phase["tasks"] if task["state"] != "skipped"]
    turns = any(task["action"].endswith("haproxy_server") for task in tasks)
    switch = any(task["what"] == "Switch to the release" for task in tasks)
    return {
        "mode": "window" if blocked else "rolling" if turns else "at once" if switch else "nothing",
        "blocked": sorted(blocked),
        "deltas": [delta["name"] for delta in report["deltas"]],
        "sessions": report["sessions"]["dropped"] or 0,
    }


@pytest.fixture(scope="module")
def shop(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The site with a release called p0."""
    made = Shop(cluster, tmp_path_factory.mktemp("plan"))
    made.last = first_release(cluster, made.folder, "p0")
    return made


@pytest.mark.long
def test_a_window_with_a_delta_and_a_drop(shop: Shop) -> None:
    for _ in range(2):
        User(shop.cluster.url).login()
    made = shop.made("p1", delta=True, tagged=True)
    plan, done = shop.compare("lamp.cluster.deploy", "-e", f"deploy_source={made}")
    assert "ALTER TABLE product ADD" in plan  # the SQL itself
    assert (done["mode"], done["switched"], done["blocked"]) == ("window", list(WEB), list(WEB))
    assert done["sessions"] >= 2
    assert {"changed src/version.php", "added public/media/p1.txt"} < {*done["files"]}
    assert any(line.startswith("added db/deltas/") and line.endswith("_p1.sql") for line in done["files"])
    assert seen_on("web3") == "p1"


@pytest.mark.long
def test_turns_of_all_hosts_and_of_one_that_is_behind(shop: Shop) -> None:
    before = shop.live()["web3"]
    made = shop.made("p2")
    (made / "public" / "media" / "logo.svg").unlink()
    command = ("lamp.cluster.deploy", "-e", f"deploy_source={made}")
    _plan, done = shop.compare(*command)
    assert (done["mode"], done["switched"], done["blocked"]) == ("rolling", list(WEB), [])
    assert {"changed src/version.php", "added public/media/p2.txt", "removed public/media/logo.svg"} <= {*done["files"]}
    shop.cluster.ssh(address("web3"), f"ln -sfn releases/{before} /var/www/shop/current")
    _plan, done = shop.compare(*command)
    assert (done["mode"], done["switched"]) == ("rolling", ["web3"])
    plan, done = shop.compare(*command)
    assert (done["mode"], done["switched"]) == ("nothing", [])
    assert "Nothing to do" in plan


@pytest.mark.long
def test_all_at_once_and_back_again_with_the_deltas_undone(shop: Shop) -> None:
    at_once = ("-e", '{"deploy_balancers": []}')
    _plan, done = shop.compare("lamp.cluster.deploy", "-e", f"deploy_source={shop.made('p3')}", *at_once)
    assert (done["mode"], done["switched"]) == ("at once", list(WEB))
    made = shop.made("p4", delta=True)
    _plan, done = shop.compare("lamp.cluster.deploy", "-e", f"deploy_source={made}")
    assert (len(done["deltas"]), done["sessions"]) == (1, 0)
    _plan, back = shop.compare("lamp.cluster.rollback", "-e", "rollback_undo=true")
    assert (back["mode"], back["switched"], back["deltas"]) == ("window", list(WEB), done["deltas"])
    assert seen_on("web1") == "p3"
