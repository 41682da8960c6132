# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""That the web server cannot put other code in the place of a release: the kernel is asked, as that user."""

from __future__ import annotations

import json
import os
import pwd
import stat
import typing as t
from pathlib import Path

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import Layout


def check_root(layout: Layout, user: str) -> None:
    """See that ``user`` can rename neither ``current`` nor releases nor a folder above.

    :raises LampError: ``release_writable_root``, ``release_root_unknown``
    """
    found = _writable(_above(layout), user)
    if found:
        raise LampError(
            "release_writable_root",
            f"{user}, as whom the web server writes, may write to {found}, and so replace the code of {layout.root}.",
            f"Give that folder to root (chown root: {found}; chmod go-w {found}). Where PHP is meant to own its code,"
            f" set the release's owner to {user}, too.",
        )


def _above(layout: Layout) -> list[str]:
    """The folders in which a name on the way to the code is, from the outermost on."""
    ways = [Path(way) for way in (layout.root, os.path.realpath(layout.root), os.path.realpath(layout.releases))]
    return sorted({str(folder) for way in ways for folder in (way, *way.parents)})


def _writable(folders: t.Sequence[str], user: str) -> str:
    """The first of ``folders`` in which ``user`` may change others' names: by owner, group or access list.

    :raises LampError: ``release_root_unknown``
    """
    if os.geteuid() != 0:
        return ""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            known = pwd.getpwnam(user)
            os.setgroups(os.getgrouplist(user, known.pw_gid))
            os.setgid(known.pw_gid)
            os.setuid(known.pw_uid)
            found = [at for at, folder in enumerate(folders) if _may_change(folder, known.pw_uid)]
            said = json.dumps({"found": found})
        except Exception as error:  # pylint: disable=broad-exception-caught # whatever it is, the parent is to tell
            said = json.dumps({"problem": repr(error)})
        try:
            os.write(theirs, said.encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as stream:
        answer = json.loads(stream.read() or b'{"problem": "it was ended"}')
    os.waitpid(child, 0)
    if "problem" in answer:
        raise LampError(
            "release_root_unknown",
            f"Whether {user} may write to a folder above the code could not be found out: {answer['problem']}.",
            f"Run the play as root, and see that {user} is a user of this host.",
        )
    return folders[answer["found"][0]] if answer["found"] else ""


def _may_change(folder: str, uid: int) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    now = os.stat(folder)
    return now.st_uid == uid or not now.st_mode & stat.S_ISVTX  # as in /tmp, where each changes only his own
