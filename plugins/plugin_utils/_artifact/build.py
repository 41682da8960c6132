# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build hooks: commands that make a release of a source, in a copy of their own, once for the same source."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import (
    EXECUTABLE,
    FOLDER,
    LINK,
    Manifest,
    source_changed,
)
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.cache import Cache
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.tarball import sha256

SHOWN_LINES = 30


def built(tree: str, manifest: Manifest, commands: t.Sequence[str], cache: Cache) -> str:
    """The folder that ``commands`` make of ``tree``. :raises LampError: ``artifact_build_failed``"""
    key = hashlib.sha256(json.dumps([manifest.id, *commands]).encode()).hexdigest()

    def make(folder: str) -> None:
        _copy(tree, manifest, folder)
        for command in commands:
            _run(command, folder)

    return cache.made(f"built-{key}", make)


def _copy(tree: str, manifest: Manifest, folder: str) -> None:
    os.mkdir(folder)
    for entry in manifest.entries:
        target = os.path.join(folder, entry.path)
        if entry.kind == FOLDER:
            os.mkdir(target)
        elif entry.kind == LINK:
            os.symlink(entry.value, target)
        else:
            shutil.copyfile(os.path.join(tree, entry.path), target)
            if sha256(target) != entry.value:
                raise source_changed(entry.path)
            os.chmod(target, 0o755 if entry.kind == EXECUTABLE else 0o644)


def _run(command: str, folder: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 (the user's own commands, for a shell to read)
            ["/bin/sh", "-e", "-c", command], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        said, code = done.stdout.decode("utf-8", "replace"), done.returncode
    except OSError as error:
        said, code = str(error), -1
    if code:
        lines = "\n".join(said.rstrip().splitlines()[-SHOWN_LINES:])
        raise LampError(
            "artifact_build_failed",
            f"The build command {command!r} ended with {code}:\n{lines}\n",
            "Mend the build, which runs on the controller (deploy_build in a deploy). No host was touched.",
        )
