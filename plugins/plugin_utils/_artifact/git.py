# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git: a version of a repository as a folder of its committed files, through a copy that the cache keeps."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
from urllib.parse import quote

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._http import without_login
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.cache import Cache
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.tarball import extract

# What may be in the name of a branch or a tag; no option, and nothing that means more to Git than a name.
VERSION = re.compile(r"(?![+-])[^\x00-\x20\x7f~^:?*\[\\]+\Z")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")
ABBREVIATED = re.compile(r"[0-9a-f]{7,64}\Z")
WANTED = "refs/lamp/wanted"
BARE = ("--quiet", "--bare", "--template=")  # no user's template with attributes, hooks and settings
SUBMODULE = "160000"
SILENCE_SECONDS = 60  # of a server, after which it is given up
HASH_DIGITS = "12"  # of a shortened hash in a file with `export-subst`; Git's default grows with what is in the cache
ALIVE = 4  # questions to a silent server in that time
NOT_THERE = ("couldn't find remote ref", "not our ref", "unadvertised object", "no such remote ref")
# A repository's files are to be what was committed, whatever filters the user of the controller has set up.
NO_CONFIGURATION = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1"}


class Repository:
    """The repository at ``url`` (https, ssh or file)."""

    def __init__(self, url: str, cache: Cache) -> None:
        self.url = url
        self.cache = cache
        self.name = f"git-{hashlib.sha256(url.encode()).hexdigest()[:16]}"

    def commit(self, version: str) -> str:
        """The commit that a branch, a tag or the (shortened) id of a commit names now.

        :raises LampError: ``artifact_no_version``, ``artifact_git_failed``
        """
        if not VERSION.match(version) or ".." in version:
            raise self._no_version(version)
        with self.cache.locked(self.name) as mirror:
            if not os.path.isdir(os.path.join(mirror, "objects")):
                self._git("init", *BARE)
            if COMMIT.match(version) and self._resolve(version):
                return version  # is known, and can never be another: no need to ask
            try:
                self._fetch("--depth=1", f"+{version}:{WANTED}")
                return self._resolve(WANTED)
            except GitError as error:
                if not any(words in str(error) for words in NOT_THERE):
                    raise
                if not ABBREVIATED.match(version):
                    raise self._no_version(version) from error
            return self._search(version, mirror)

    def _search(self, version: str, mirror: str) -> str:
        """Look for a commit that the server does not hand out by its (shortened) id: in all that it has."""
        shallow = os.path.exists(os.path.join(mirror, "shallow"))
        everything = ["--prune", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        self._fetch(*(["--unshallow"] if shallow else []), *everything)
        found = self._resolve(version)
        if not found:
            raise self._no_version(version)
        return found

    def export(self, commit: str) -> str:
        """The committed files as a folder. :raises LampError: ``artifact_submodule``"""
        return self.cache.made(f"tree-git-{commit}", lambda folder: self._export(commit, folder))

    def _export(self, commit: str, folder: str) -> None:
        listed = self._git("ls-tree", "-r", "-z", commit).split("\0")
        submodules = [line.partition("\t")[2] for line in listed if line.startswith(SUBMODULE)]
        if submodules:
            raise LampError(
                "artifact_submodule",
                f"{without_login(self.url)} has the submodule {submodules[0]}, whose files are not in it.",
                "Deploy a folder or a tarball that has them, made by your build.",
            )
        archive = f"{folder}.tar"
        self._archive(commit, archive, f"{folder}.git")
        with tarfile.open(archive) as tar:
            extract(tar, folder)
        os.unlink(archive)

    def _archive(self, commit: str, target: str, bare: str) -> None:
        """What was committed, and nothing of this controller: no settings; no refs, which `export-subst` can show."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment.update(NO_CONFIGURATION)
        os.mkdir(bare)
        self._run(bare, environment, "init", *BARE)
        with open(os.path.join(bare, "objects", "info", "alternates"), "w", encoding="utf-8") as alternates:
            alternates.write(os.path.join(self.cache.path(self.name), "objects") + "\n")
        options = ["-c", "core.attributesFile=", "-c", f"core.abbrev={HASH_DIGITS}"]
        self._run(bare, environment, *options, "archive", "--format=tar", f"--output={target}", commit)

    def _resolve(self, name: str) -> str:
        """The commit, if it is here; else nothing."""
        try:
            return self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except GitError:
            return ""

    def _fetch(self, *arguments: str) -> None:
        options = [argument for argument in arguments if argument.startswith("--")]
        refs = [argument for argument in arguments if not argument.startswith("--")]
        self._git(*self._ssh(), "fetch", "--quiet", "--force", "--no-tags", *options, "--", self.url, *refs)

    def _ssh(self) -> list[str]:
        """An ssh that neither asks nor waits for ever, unless the user has a command for it."""
        if "GIT_SSH" in os.environ or self._git("config", "--default", "", "--get", "core.sshCommand").strip():
            return []
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": SILENCE_SECONDS,
            "ServerAliveInterval": max(1, SILENCE_SECONDS // ALIVE),
            "ServerAliveCountMax": ALIVE,
        }
        return ["-c", "core.sshCommand=ssh " + " ".join(f"-o{name}={value}" for name, value in options.items())]

    def _git(self, *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_DIR")}
        for name in ("GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):  # of a hook that runs the deploy
            environment.pop(name, None)
        environment.update({"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "file:https:ssh"})
        environment.setdefault("GIT_HTTP_LOW_SPEED_LIMIT", "1")
        environment.setdefault("GIT_HTTP_LOW_SPEED_TIME", str(SILENCE_SECONDS))
        return self._run(self.cache.path(self.name), environment, *arguments)

    def _run(self, repository: str, environment: dict[str, str], *arguments: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 (the version is checked, the URL comes after --)
                # Named, not looked for from within: a broken one would be taken for a part of one around the cache.
                ["git", f"--git-dir={repository}", *arguments],  # noqa: S607 (the user's own git)
                env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            )  # fmt: skip
        except OSError as error:
            raise GitError(self.url, f"git cannot be run: {error}", self.cache.path(self.name)) from error
        if done.returncode:
            raise GitError(self.url, done.stderr.decode("utf-8", "replace").strip(), self.cache.path(self.name))
        return done.stdout.decode("utf-8", "surrogateescape")

    def _no_version(self, version: str) -> LampError:
        return LampError(
            "artifact_no_version",
            f"{without_login(self.url)} has no version {version!r}.",
            "Give a branch, a tag or a commit that was pushed (deploy_source_version in a deploy).",
        )


class GitError(LampError):
    """Git refused; its own words are in the message."""

    def __init__(self, url: str, said: str, mirror: str) -> None:
        super().__init__(
            "artifact_git_failed",
            f"Git cannot get {without_login(url)}: {without_login(said)}",
            "See that git on the controller reaches it without asking, by a key or a credential helper. If it is"
            f" {mirror}, what the cache has of it, that Git cannot use: remove that.",
        )


def address(source: str, version: str) -> str | None:
    """The repository's address if ``source`` (with a ``version``) is one of Git; else None."""
    if source.startswith("git+"):
        return source[len("git+") :]
    if version and os.path.isdir(source):
        return "file://" + quote(os.fsencode(source))  # Git takes %2F in an address for what it stands for
    return None
