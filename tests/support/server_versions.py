# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of other Debian releases: MariaDB with Galera, Redis and the like, HAProxy, nginx. Nothing is installed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.debian import relink, unpacked
from tests.support.modules import ROOT


class Servers(NamedTuple):
    """Packages, what is kept of them, and what the tests call: commands that find their own files."""

    packages: tuple[str, ...]
    binaries: tuple[str, ...]
    others: tuple[str, ...]
    programs: dict[str, str]


def like_redis(name: str) -> Servers:
    """A server under the name that tests call: Redis, or what takes its place."""
    return Servers((f"{name}-server",), (f"bin/{name}-*",), (), {"redis-server": f'{{usr}}/bin/{name}-server "$@"'})


MEMCACHED = Servers(("memcached",), ("bin/memcached",), (), {"memcached": '{usr}/bin/memcached "$@"'})
HAPROXY = Servers(("haproxy",), ("sbin/haproxy",), (), {"haproxy": '{usr}/sbin/haproxy "$@"'})
NGINX = Servers(("nginx",), ("sbin/nginx",), (), {"nginx": '{usr}/sbin/nginx "$@"'})
REDIS, VALKEY = like_redis("redis"), like_redis("valkey")
MARIADB = Servers(
    ("mariadb-server", "galera-4"),
    ("sbin/mariadbd", "bin/my_print_defaults", "bin/resolveip"),
    ("bin/mariadb-install-db", "bin/wsrep_*", "lib/mysql", "lib/*galera*", "share/mariadb"),
    {
        # --no-defaults has to stay the first of the options.
        "mariadbd": '{usr}/sbin/mariadbd "$1" --basedir={usr} --lc-messages-dir={usr}/share/mariadb'
        ' --plugin-dir={usr}/lib/mysql/plugin "${{@:2}}"',
        "mariadb-install-db": '{usr}/bin/mariadb-install-db "$@" --basedir={usr}',
        "my_print_defaults": '{usr}/bin/my_print_defaults "$@"',
        "wsrep_sst_rsync": '{usr}/bin/wsrep_sst_rsync "$@"',
    },
)


def programs(suite: str, *wanted: Servers) -> Path:
    """A folder for PATH with these servers of the Debian release ``suite``."""
    packages = tuple(name for one in wanted for name in one.packages)
    binaries = tuple(name for one in wanted for name in one.binaries)
    kept = (*binaries, *(name for one in wanted for name in one.others), "lib/*-linux-gnu/*.so*")
    usr = unpacked(ROOT / ".cache" / "servers" / suite, suite, packages, kept)
    folder = usr / "programs"
    if folder.exists():
        return folder
    relink(usr, *(path for name in binaries for path in usr.glob(name) if not path.is_symlink()))
    made = folder.with_name("programs.part")
    made.mkdir(exist_ok=True)
    for name, command in (item for one in wanted for item in one.programs.items()):
        (made / name).write_text(f"#!/bin/bash\nexec {command.format(usr=usr)}\n")
        (made / name).chmod(0o755)
    made.rename(folder)
    return folder


def galera(folder: Path) -> Path:
    """The provider that belongs to these servers."""
    return folder.parent / "lib" / "libgalera_smm.so"


def told(folder: Path) -> list[str]:
    """Their versions, as they tell them: ``MariaDB 11.8.6``, ``Redis 8.0.2``."""
    versions = []
    names = {
        "mariadbd": "MariaDB",
        "memcached": "Memcached",
        "redis-server": "",
        "haproxy": "HAProxy",
        "nginx": "nginx",
    }
    for program in sorted(path.name for path in folder.iterdir() if path.name in names):
        asks = "-v" if program in ("haproxy", "nginx") else "--version"
        done = subprocess.run(
            [folder / program, asks], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        )
        number = re.search(r"\d+[.]\d+[.]\d+", done.stdout)
        assert number, done.stdout
        versions.append(f"{names[program] or done.stdout.split()[0]} {number[0]}")
    return versions
