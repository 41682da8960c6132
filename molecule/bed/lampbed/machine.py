# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bed needs from the machine: programs, rights, cgroups; and running podman with settings of its own."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[3]
CACHE = CHECKOUT / ".cache" / "bed"
PACKAGES = "apt-get install podman netavark iptables runc mmdebstrap openssh-client iproute2"


class BedError(Exception):
    """Why the bed cannot do what was asked, and what to do about it."""


def run(*command: str, stdin: str | None = None, timeout: float = 600) -> str:
    """The standard output of a command. :raises BedError: with its error output when it fails."""
    try:
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError:
        raise BedError(f"the program {command[0]} is missing. On Debian 12: {PACKAGES}") from None
    except subprocess.TimeoutExpired:
        raise BedError(f"no end of '{' '.join(command[:4])} ...' within {timeout:.0f} s") from None
    if result.returncode != 0:
        message = (result.stderr.strip() or result.stdout.strip())[-2000:]
        raise BedError(f"'{' '.join(command[:4])} ...' ended with {result.returncode}: {message}")
    return result.stdout


def podman(*arguments: str, timeout: float = 600) -> str:
    """The output of podman, run with the bed's containers.conf."""
    os.environ["CONTAINERS_CONF"] = str(containers_conf())
    return run("podman", *arguments, timeout=timeout)


@contextmanager
def locked(what: str) -> Iterator[None]:
    """One process of the machine at a time: images are built, networks and firewall rules are made in turn."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def hybrid_cgroups() -> bool:
    """Whether the v2 tree hangs below v1 controllers; it is then given to each host as its whole cgroup tree."""
    return Path("/sys/fs/cgroup/unified/cgroup.procs").exists()


def containers_conf() -> Path:
    """Write podman's settings for this machine; the system's own settings stay as they are."""
    limit = min(
        20000, *(resource.getrlimit(kind)[1] % 2**62 for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC))
    )
    engine = ['events_logger = "file"']
    if hybrid_cgroups() or not shutil.which("crun"):
        engine.append('runtime = "runc"')  # crun drops controllers on hybrid cgroups
    if not Path("/run/systemd/system").exists():
        engine.append('cgroup_manager = "cgroupfs"')
    lines = [
        "[containers]",
        'base_hosts_file = "none"',
        f'default_ulimits = ["nofile={limit}:{limit}", "nproc={limit}:{limit}"]',
        "[engine]",
        *engine,
        "[network]",
        'network_backend = "netavark"',
    ]
    path = CACHE / "containers.conf"
    text = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text() != text:
        CACHE.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


def check_machine() -> None:
    """:raises BedError: naming everything that keeps this machine from running a bed."""
    problems = []
    if os.geteuid() != 0:
        problems.append("the bed makes networks and boots systemd in containers: run it as root")
    missing = [name for name in ("podman", "iptables", "ssh", "ssh-keygen", "ip", "nsenter") if not shutil.which(name)]
    if shutil.which("podman") and not (shutil.which("runc") or shutil.which("crun")):
        missing.append("runc")
    netavark = ("/usr/lib/podman/netavark", "/usr/libexec/podman/netavark", "/usr/local/libexec/podman/netavark")
    if not any(Path(path).exists() for path in netavark):
        missing.append("netavark")
    if missing:
        problems.append(f"missing: {', '.join(missing)}. On Debian 12: {PACKAGES}")
    if not problems:
        problems += cgroup_problems()
    if problems:
        raise BedError("this machine cannot run the test bed:\n  - " + "\n  - ".join(problems))


def cgroup_problems() -> list[str]:
    """What is wrong with the control groups that systemd in the containers needs."""
    root = Path("/sys/fs/cgroup/unified" if hybrid_cgroups() else "/sys/fs/cgroup")
    if not (root / "cgroup.procs").exists():
        return [
            "only cgroup v1 is mounted: boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2 at"
            " /sys/fs/cgroup/unified"
        ]
    probe = root / f"lamp-bed-probe-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return [f"no control group can be made in {root} ({error.strerror}): inside a container, start it privileged"]
    return []


def containers() -> list[dict[str, Any]]:
    """All containers of the machine that podman knows, running or not."""
    listed: list[dict[str, Any]] = json.loads(podman("ps", "-a", "--format", "json") or "[]") or []
    return listed
