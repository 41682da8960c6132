# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of releases: a Git repository, and what is expected of one that is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.artifact import Options, make


class Repository:
    """A Git repository with an identity of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main", str(folder))

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "protocol.file.allow=always"]
        where = [] if arguments[0] == "init" else ["-C", str(self.folder)]
        command = ["git", *where, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "change")
        return self.git("rev-parse", "HEAD")


def refusal(source: str, cache: str, **options: Any) -> LampError:
    with pytest.raises(LampError) as caught:
        make(Options(source, cache, **options))
    return caught.value


def files(tree: str) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in Path(tree).rglob("*") if not path.is_dir())
