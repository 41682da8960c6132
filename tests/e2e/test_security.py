# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises of docs/threat-model.md that a whole deploy could break, watched on a web host and the controller."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, address
from tests.support.modules import run_ansible
from tests.support.site import first_release, release

WEB1 = address("web1")
WATCH = "/run/lamp-watch"
TEMPORARY = "/tmp /var/tmp /dev/shm /root/.ansible"  # noqa: S108 - to look at, not to write to
# Looks at every process, and every file below the folders that are named behind its own path, until it is told to stop,
# and writes what it found. The secrets to look for come on its standard input; tokens it learns from the folder of the
# bypass, as root may.
WATCHER = r"""
import json, os, sys, time
watch, *tops = sys.argv[1:]
secrets = set(sys.stdin.read().split())
bypass, found, tokens, rounds = "/var/lib/lamp.cluster/maintenance/shop/bypass", set(), set(), 0
print("ready", flush=True)
while not os.path.exists(watch + ".stop"):
    rounds += 1
    time.sleep(0.02)  # leave the processor to what is watched
    if os.path.isdir(bypass):
        tokens.update(name for name in os.listdir(bypass) if not name.startswith("."))
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for place in ("cmdline", "environ"):
            try:
                text = open(f"/proc/{pid}/{place}", "rb").read().decode("utf-8", "replace")
            except OSError:
                continue
            found.update(f"{place}: {text[:300]}" for secret in secrets | tokens if secret in text)
    for top in tops:
        for folder, _folders, files in os.walk(top):
            for name in files:
                path = os.path.join(folder, name)
                try:
                    if os.stat(path).st_mode & 0o077 and os.stat(folder).st_mode & 0o077:
                        text = open(path, "rb").read(1 << 20).decode("utf-8", "replace")
                        found.update(f"file {path}" for secret in secrets | tokens if secret in text)
                except OSError:
                    continue
json.dump({"found": sorted(found), "tokens": sorted(tokens), "rounds": rounds}, open(watch + ".json", "w"))
"""


class WatchedController:
    """A watch on this machine, which sees the processes of all hosts, too; Ansible keeps its own files in ``home``."""

    def __init__(self, folder: Path, secret: str) -> None:
        self.path = folder / "watch"
        self.home = folder / "ansible"
        (folder / "watch.py").write_text(WATCHER)
        command = [sys.executable, str(folder / "watch.py"), str(self.path), str(self.home)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(secret)
        self.process.stdin.close()
        assert self.process.stdout.readline() == "ready\n"

    def stop(self) -> dict[str, Any]:
        stop = self.path.with_suffix(".stop")
        stop.touch()
        assert self.process.wait(60) == 0
        stop.unlink()
        found: dict[str, Any] = json.loads(self.path.with_suffix(".json").read_text())
        return found


class Watched:
    """A watch on web1: what it found, once it was stopped."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.ssh(WEB1, f"rm -f {WATCH}*; cat >{WATCH}.py <<'@@end'\n{WATCHER}\n@@end")
        secret = cluster.variables["shop_db_password"]
        # The shell that is given the secret here has ended before the watch begins.
        cluster.ssh(WEB1, f"umask 077; cat >{WATCH}.secret <<'@@end'\n{secret}\n@@end")
        cluster.ssh(
            WEB1,
            f"(python3 {WATCH}.py {WATCH} {TEMPORARY} <{WATCH}.secret >{WATCH}.log 2>&1 &);"
            f" until grep -q . {WATCH}.log; do :; done",
        )

    def stop(self) -> dict[str, Any]:
        script = f"touch {WATCH}.stop; until [ -s {WATCH}.json ]; do :; done; cat {WATCH}.json; rm -f {WATCH}*"
        found: dict[str, Any] = json.loads(self.cluster.ssh(WEB1, script))
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("releases")


@pytest.fixture(scope="module")
def shop(cluster: Cluster, folder: Path) -> Cluster:
    """The site with a release called s0."""
    first_release(cluster, folder, "s0")
    return cluster


@pytest.fixture(scope="module")
def deployed(shop: Cluster, folder: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """A deploy at -vvv with a window, and a rollback, both watched: the output, what each watch found."""
    made = release(folder / "s1", "s1", after=folder / "s0")
    first = Watched(shop)
    controller = WatchedController(folder, shop.variables["shop_db_password"])
    options = ("-vvv", "-e", f"deploy_source={made}", "-e", "deploy_mode=window")
    run = shop.playbook("lamp.cluster.deploy", *options, settings={"ANSIBLE_HOME": str(controller.home)})
    at_home = controller.stop()
    assert (at_home["found"], at_home["rounds"] > 20, controller.home.is_dir()) == ([], True, True)
    seen = first.stop()
    assert run.code == 0, run.output
    second = Watched(shop)
    back = shop.playbook("lamp.cluster.rollback", "-vvv")
    seen_back = second.stop()
    assert back.code == 0, back.output
    yield run.output + back.output, seen, seen_back


def test_no_process_ever_carries_a_secret(deployed: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
    for seen in deployed[1:]:
        assert seen["found"] == []
        assert seen["rounds"] > 20


def test_each_deploy_has_a_token_of_its_own(
    deployed: tuple[str, dict[str, Any], dict[str, Any]], shop: Cluster
) -> None:
    output, seen, seen_back = deployed
    tokens = [*seen["tokens"], *seen_back["tokens"]]
    assert len(set(tokens)) == 2
    assert all(len(token) == 40 and token.isalnum() for token in tokens)
    assert [token for token in tokens if token in output] == []
    assert shop.variables["shop_db_password"] not in output
    assert shop.ssh(WEB1, f"grep -rlE '{'|'.join(tokens)}' /var /etc /tmp /root 2>/dev/null || true").strip() == ""


def test_the_application_cannot_write_code_or_the_block(shop: Cluster) -> None:
    places = "/var/www/shop /var/lib/lamp.cluster /etc/apache2 /usr/share/lamp.cluster /etc/lamp.cluster"
    script = f"su -s /bin/sh www-data -c 'find {places} -writable ! -type l 2>/dev/null'"
    assert shop.ssh(WEB1, f"{script} || true").strip() == ""


def test_no_option_injects_markup_or_headers(shop: Cluster) -> None:
    evil = '</p><script>alert(1)</script>"\r\nX-Evil: 1\r\n\r\n{{ 7 * 7 }}\u2028'
    given = {"name": "shop", "probe_url": "http://shop.test/"}
    inventory = str(shop.inventory)
    done = run_ansible("web1", inventory, "maintenance", {**given, "state": "enabled", "page_message": evil})
    try:
        assert done["marker_seen"], done
        page = shop.ssh(WEB1, "curl -si http://127.0.0.1/")
        document = shop.ssh(WEB1, "curl -si -H 'Accept: application/json' http://127.0.0.1/")
    finally:
        run_ansible("web1", inventory, "maintenance", {**given, "state": "disabled"})
    head, _blank, body = page.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.1 503") and "x-evil" not in head.lower()
    assert "<script>alert" not in body
    assert "&lt;/p&gt;&lt;script&gt;" in body
    head, _blank, body = document.replace("\r\n", "\n").partition("\n\n")
    assert "x-evil" not in head.lower()
    assert "script" in json.loads(body)["message"]
