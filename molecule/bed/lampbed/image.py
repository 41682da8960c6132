# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a bed's hosts, one per Debian release: made from Debian's packages, kept until its recipe changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from .machine import CACHE, BedError, containers, locked, podman, run

RECIPE = Path(__file__).resolve().parents[1] / "image"
REPOSITORY = "localhost/lamp-bed"
RELEASES = {"bookworm": "8.2", "trixie": "8.4"}  # and the PHP that each of them has
DEFAULT_RELEASE = os.environ.get("LAMP_BED_RELEASE") or "bookworm"
OURS = ("Debian", "main")
LABELS = ('CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3")


def recipe_hash() -> str:
    """Changes with everything the image is made from: this file and all files of the recipe."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(path for path in RECIPE.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(RECIPE)}\0{path.stat().st_mode:o}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def reference(release: str) -> str:
    """The image's name."""
    return f"{REPOSITORY}:{release}-{recipe_hash()}"


def packages() -> list[str]:
    """What packages.txt lists."""
    lines = (RECIPE / "packages.txt").read_text().splitlines()
    return [name for line in lines for name in line.split("#")[0].split()]


def ensure(release: str) -> str:
    """Build the image unless there is one made by the present recipe; its name."""
    name = reference(release)
    with locked("image"):
        known = podman("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        if name not in known:
            started = time.monotonic()
            print(f"bed: building the image from Debian {release}'s packages, once (about a minute)", file=sys.stderr)
            build(name, release)
            print(f"bed: image built in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return name


def build(name: str, release: str) -> None:
    """Make the image: with mmdebstrap; without it from Debian's own image, where podman can pull that."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="image-", dir=CACHE) as folder:
        if shutil.which("mmdebstrap"):
            archive = Path(folder) / "image.tar"
            bootstrap(archive, Path(folder), release)
            changes = [argument for label in LABELS for argument in ("--change", label)]
            podman("import", "-q", *changes, str(archive), name)
        else:
            build_on_pulled_image(name, Path(folder), release)


def bootstrap(archive: Path, folder: Path, release: str) -> None:
    """A Debian with all packages as a tar file, from the machine's own Debian mirrors."""
    sources = folder / "sources.list"
    mirrors = machine_mirrors(release)
    if not mirrors:
        raise BedError("this machine's apt sources name no Debian mirror, from which the image is made")
    sources.write_text(mirrors)
    run(
        "mmdebstrap",
        "--quiet",
        "--format=tar",
        "--variant=minbase",
        f"--include={','.join(packages())}",
        '--aptopt=Acquire::Check-Valid-Until "false"',  # a mirror may be a snapshot
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")),
        f"--customize-hook=copy-in {RECIPE}/files/etc {RECIPE}/files/usr /",
        f"--customize-hook=copy-in {RECIPE}/customize.sh /tmp",
        '--customize-hook=chroot "$1" sh /tmp/customize.sh',
        release,
        str(archive),
        str(sources),
        timeout=1800,
    )


def machine_mirrors(release: str) -> str:
    """The release's lines for apt, by the mirrors of the machine's own sources; empty where it is another system."""
    try:
        listed = run(
            "apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(COMPONENT)", "Created-By: Packages"
        )
    except BedError:
        return ""
    mirrors = {uri for origin, uri, component in map(str.split, listed.splitlines()) if (origin, component) == OURS}
    lines = []
    for uri in sorted(mirrors):
        if "security" in uri:
            lines.append(f"deb {uri} {release}-security main\n")
        else:
            lines += [f"deb {uri} {release} main\n", f"deb {uri} {release}-updates main\n"]
    return "".join(lines)


def build_on_pulled_image(name: str, folder: Path, release: str) -> None:
    """The same recipe on top of docker.io's Debian."""
    shutil.copytree(RECIPE, folder / "image")
    labels = "\n".join(LABELS)
    (folder / "Containerfile").write_text(
        f"FROM docker.io/library/debian:{release}\n"
        "RUN printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 0755 /usr/sbin/policy-rc.d"
        " && apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
        f" {' '.join(packages())} && rm /usr/sbin/policy-rc.d\n"
        "COPY image/files/ /\nCOPY image/customize.sh /tmp/customize.sh\nRUN sh /tmp/customize.sh\n" + labels + "\n"
    )
    try:
        podman(
            "build",
            "-q",
            "--network",
            "host",
            "-t",
            name,
            "-f",
            str(folder / "Containerfile"),
            str(folder),
            timeout=1800,
        )
    except BedError as error:
        raise BedError(
            f"no image: mmdebstrap is missing (apt-get install mmdebstrap) and podman could not build one: {error}"
        ) from error


def remove() -> None:
    """Remove all images of the bed, of older recipes too.

    :raises BedError: where a bed, of this checkout or of another, still uses one; podman would remove that bed with it
    """
    used = sorted(
        name for entry in containers() for name in entry["Names"] if str(entry["Image"]).startswith(f"{REPOSITORY}:")
    )
    if used:
        raise BedError(f"the image is still used by {', '.join(used)}; take those beds down first")
    for line in podman("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if line.startswith(f"{REPOSITORY}:"):
            podman("rmi", line)
