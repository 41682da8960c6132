# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of Debian's archive, unpacked under .cache; nothing is installed."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path


class MissingPackagesError(RuntimeError):
    """This machine cannot have the packages; tests fail with it, they are not skipped."""


def mirror() -> str:
    """The machine's own Debian mirror."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    found = [line.split()[1] for line in listed if line.startswith("Debian ") and "security" not in line]
    if not found:
        raise MissingPackagesError("Packages come from Debian's archive, and apt's sources here name no mirror of it.")
    return found[0]


def unpacked(cache: Path, suite: str, packages: tuple[str, ...], kept: tuple[str, ...]) -> Path:
    """The ``usr`` of the packages and of what they depend on, in ``cache``; of their files those that are ``kept``."""
    recipe = hashlib.sha256(repr((packages, kept)).encode()).hexdigest()[:12]
    folder = cache / recipe
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not folder.exists():
            _unpack(folder, suite, packages, kept)
    return folder


def relink(usr: Path, *programs: Path) -> None:
    """Have programs of an unpacked release find its libraries, and its loader if it brought one, where they lie."""
    libraries = next(usr.glob("lib/*-linux-gnu"))
    loader = next(libraries.glob("ld-linux-*.so.*"), None)
    own_loader = ["--set-interpreter", str(loader)] if loader else []
    found = [*own_loader, "--force-rpath", "--set-rpath", str(libraries)]
    for program in programs:
        subprocess.run(["patchelf", *found, str(program)], check=True)


def _unpack(folder: Path, suite: str, packages: tuple[str, ...], kept: tuple[str, ...]) -> None:
    whole = folder.with_name("whole")
    shutil.rmtree(whole, ignore_errors=True)
    command = [
        "mmdebstrap", "--quiet", "--variant=extract", "--format=directory",
        '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"', f"--include={','.join(packages)}",
        suite, str(whole), f"deb {mirror()} {suite} main",
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or error
        raise MissingPackagesError(
            f"{', '.join(packages)} could not be had from Debian's suite {suite}"
            f" (mmdebstrap is needed, and a mirror): {said}"
        ) from error
    part = folder.with_name("part")
    shutil.rmtree(part, ignore_errors=True)
    for pattern in kept:
        for path in (whole / "usr").glob(pattern):
            target = part / path.relative_to(whole / "usr")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
    shutil.rmtree(whole)
    part.rename(folder)
