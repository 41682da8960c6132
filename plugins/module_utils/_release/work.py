# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module ``release`` does on a host, state by state; each plans first, then acts unless in check mode."""

from __future__ import annotations

import base64
import contextlib
import grp
import io
import os
import pwd
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _durable
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release import prune
from ansible_collections.lamp.cluster.plugins.module_utils._release.difference import difference
from ansible_collections.lamp.cluster.plugins.module_utils._release.layout import Layout, check_release_name, relative
from ansible_collections.lamp.cluster.plugins.module_utils._release.manifest import Manifest
from ansible_collections.lamp.cluster.plugins.module_utils._release.package import contents
from ansible_collections.lamp.cluster.plugins.module_utils._release.paths import Owner
from ansible_collections.lamp.cluster.plugins.module_utils._release.probe import SCRIPT, Probe
from ansible_collections.lamp.cluster.plugins.module_utils._release.rendered import File, Rendered
from ansible_collections.lamp.cluster.plugins.module_utils._release.replaced import Replaced
from ansible_collections.lamp.cluster.plugins.module_utils._release.shared import Furnishing
from ansible_collections.lamp.cluster.plugins.module_utils._release.stage import Base, BaseDiffers, Staging
from ansible_collections.lamp.cluster.plugins.module_utils._release.state import State, exclusive, facts, read_record
from ansible_collections.lamp.cluster.plugins.module_utils._release.switch import (
    check_services,
    reload_services,
    switch,
    switch_off,
)
from ansible_collections.lamp.cluster.plugins.module_utils._release.trust import check_root

Result = t.Dict[str, t.Any]


def _id(name: str, find: t.Callable[[str], t.Any], option: str) -> int:
    """The number of a user or a group. :raises LampError: ``release_unknown_owner``"""
    if not name:
        return -1
    try:
        return int(find(name)[2])
    except KeyError as error:
        raise LampError(
            "release_unknown_owner", f"{option} {name!r} does not exist on this host.", "Create it, or name another."
        ) from error


class Work:
    """One application root on this host, by the options of the module."""

    def __init__(self, params: dict[str, t.Any], check_mode: bool) -> None:
        self.params = params
        self.check_mode = check_mode
        if not os.path.isabs(params["path"]):
            raise LampError(
                "release_bad_path",
                f"{params['path']!r} is not the absolute path of an application's root.",
                "Give one such as /var/www/shop (release_path of the role).",
            )
        self.layout = Layout(params["path"])
        self.probe: Probe | None = None
        if params["document_root"] is not None:
            root = params["document_root"]
            folder = "" if root == "." else relative(root, "document_root")
            self.probe = Probe(folder, {**params, "base_url": params["url"]})

    def make_root(self) -> None:
        """Make the folders that everything below relies on."""
        for folder in (self.layout.root, self.layout.releases, self.layout.records):
            _durable.make_folder(folder)

    def find_owner(self, owner: str, group: str) -> Owner:
        """The owner by the names of a user and a group."""
        return Owner(_id(owner, pwd.getpwnam, "owner"), _id(group, grp.getgrnam, "group"))

    def furnishing(self) -> Furnishing:
        """The shared and writable paths as the options give them."""
        owner = self.find_owner(self.params["owner"], self.params["group"])
        writer = Owner(
            _id(self.params["writable_owner"], pwd.getpwnam, "writable_owner"),
            _id(self.params["writable_group"], grp.getgrnam, "writable_group"),
            0o750,
            0o640,
        )
        return Furnishing(self.layout, self.params["shared_paths"], self.params["writable_paths"], owner, writer)

    def rendered(self, furnishing: Furnishing) -> Rendered:
        """The files that a release gets beside its own."""
        own = []
        if self.probe is not None:
            owner = self.find_owner(self.params["owner"], self.params["group"])
            own.append(File(self.probe.path, SCRIPT.encode(), owner))
        return Rendered(self.params["rendered"], own, furnishing, self.find_owner)

    def stage(self, name: str) -> Result:
        """Have the release on this host, whole; ``lacking`` tells the controller to bring it first."""
        furnishing = self.furnishing()
        rendered = self.rendered(furnishing)
        if furnishing.writer.uid not in (-1, 0, furnishing.owner.uid):
            check_root(self.layout, self.params["writable_owner"])
        check_services(self.params["services"])
        folder = self.layout.release(name)
        there = self.layout.is_staged(name)
        live = there and self.layout.current_release() == name
        lived = there and name in self.state.lived(self.layout.current_release())
        if there:
            self._check_document_root(folder)
        if lived:
            furnishing.check_movable(folder)
        due = rendered.due(folder, lived)
        if there:
            rendered.check(folder, due, lived)
        later = [file for file in due if rendered.is_in_use(folder, file, live)]
        now = [file for file in due if file not in later]
        removed = [] if there else prune.superfluous(self.layout, self.state, self.params["keep"], name)
        todo = furnishing.todo(folder) if there else self._stage_words(name, furnishing, rendered)
        todo += [f"render {file.dest}" for file in now] + [f"remove {old}" for old in removed]
        result: Result = {"changed": bool(todo), "staged": True, "todo": todo, "removed": removed}
        if not there and not (self.params["artifact"] or self.params["package"]):
            result.update(self._lacking())
        elif todo and not self.check_mode:
            prune.sweep(self.layout)
            if there:
                furnishing.furnish(folder, rendered.places, lived)
                rendered.write(folder, now)
            else:

                def finish(made: str) -> None:
                    self._check_document_root(made)
                    rendered.write(made, now)

                try:
                    self._bring(name, furnishing, rendered.places, finish)
                except BaseDiffers:
                    return {**result, "lacking": True}
            for old in removed:
                prune.remove(self.layout, old)
        result["switch_due"] = not live or bool(later or self.state.reload)
        return {**result, "to_render": [file.dest for file in later]}

    def _check_document_root(self, folder: str) -> None:
        """:raises LampError: ``release_no_document_root``: with the script alone in it, it would be taken for proven"""
        if self.probe and not os.path.isdir(os.path.join(folder, os.path.dirname(self.probe.path))):
            raise LampError(
                "release_no_document_root",
                f"The release has no folder {self.params['document_root']}, which the site serves (document_root).",
                "Name the right one (release_document_root of the role), or correct the build: a tarball must hold the"
                " application itself, not a folder with the application in it.",
            )

    def _stage_words(self, name: str, furnishing: Furnishing, rendered: Rendered) -> list[str]:
        """That the release is staged, and, for a diff, what is other in it than in the live one as that was staged."""
        lines: list[str] = []
        current = self.layout.current_release()
        if self.params["manifest"] and current in self.layout.names():
            own = rendered.places
            with contextlib.suppress(BaseDiffers):
                lines = difference(
                    Base(self.layout, str(current)).manifest,
                    Manifest.from_json(self.params["manifest"]),
                    lambda path: path in own or furnishing.shared_above(path) is not None,
                )
        return [f"stage {name}" + f", against the live {current}:" * bool(lines), *(f"  {line}" for line in lines)]

    def _lacking(self) -> Result:
        """What the controller needs to know to bring a release: what need not be sent."""
        base = self._base_name()
        try:
            known = contents(Base(self.layout, base).manifest) if base else ""
        except BaseDiffers:
            base = known = ""
        return {"lacking": True, "base": base, "known": known}

    def _base_name(self) -> str:
        """The release that the next one is taken to differ least from: the live one, else the youngest."""
        names = [name for name in self.layout.names() if os.path.isfile(self.layout.manifest(name))]
        current = self.layout.current_release()
        if current in names:
            return str(current)
        return max(names, key=lambda name: str(read_record(self.layout, name).get("staged_at", "")), default="")

    def _bring(self, name: str, furnishing: Furnishing, replaced: set[str], finish: t.Callable[[str], None]) -> None:
        base = Base(self.layout, check_release_name(self.params["base"]), replaced) if self.params["base"] else None
        staging = Staging(self.layout, name, furnishing, base, replaced)
        if self.params["package"]:
            staging.run(io.BytesIO(base64.b64decode(self.params["package"])), finish)
        else:
            with open(self.params["artifact"], "rb") as content:
                staging.run(content, finish)

    def activate(self, name: str) -> Result:
        """Make the release the live one; finish a reload that an earlier run left.

        In check mode, one that is not there is taken for staged: by a task before, which did not do it either.
        """
        there = self.layout.is_staged(name)
        if not there and not self.check_mode:
            raise LampError(
                "release_not_staged", f"The release {name} is not on this host ({self.layout.root}).", "Stage it first."
            )
        bad = self.state.rejected.get(name)
        if bad and not self.params["force"]:
            raise LampError(
                "release_rejected",
                f"The release {name} was rolled back on {bad.get('at', '')}: {bad.get('reason', '')}.",
                "Deploy another one, or insist with force=true.",
            )
        folder, current = self.layout.release(name), self.layout.current_release()
        rendered = self.rendered(self.furnishing())
        due = [file for file in rendered.due(folder) if there or rendered.is_in_use(folder, file, live=False)]
        replaced = Replaced(self.layout, self.params["run"])
        back = replaced.due() if self.params["restore"] else []
        todo = [f"put {kept['path']} back" for kept in back] + [f"render {file.dest}" for file in due]
        todo += [f"switch from {current or 'nothing'} to {name}"] if current != name else []
        services = self.state.reload
        if todo and self.params["services"] and not (self.probe is not None and self.probe.needs_no_reload()):
            services = sorted({*services, *self.params["services"]})
        todo += [f"reload {service}" for service in services]
        todo += [f"{name} is no longer rejected"] if bad else []
        if todo and not self.check_mode:
            # Recorded before anything changes: a run that dies is made up for.
            self.state.reload = services
            self.state.rejected.pop(name, None)
            if current != name:
                self.state.history = [*self.state.lived(current), name]
            self.state.save()
            replaced.put_back(back)
            if self.params["run"] and not self.params["restore"]:
                replaced.keep((file, *rendered.furnishing.place(folder, file.dest)) for file in due)
            rendered.write(folder, due)
            if current != name:
                switch(self.layout, name)
            reload_services(self.state)
        # With nothing to do, too: an earlier run may have failed here.
        if self.probe is not None and not self.check_mode:
            since = os.lstat(self.layout.current).st_mtime if self.params["services"] else None
            self.probe.prove(folder, since)
        return {"changed": bool(todo), "todo": todo, "reloaded": services, "kept": replaced.places}

    def leave(self, to: str = "") -> Result:
        """Have no release live: ``current`` goes, as before the first one, or leads to a folder of others again."""
        current = self.layout.current_release() or ""
        replaced = Replaced(self.layout, self.params["run"])
        back = replaced.due() if self.params["restore"] else []
        todo = [f"put {kept['path']} back" for kept in back]
        todo += [f"switch from {current or 'nothing'} to {to or 'nothing'}"] if current != to else []
        services = sorted({*self.state.reload, *(self.params["services"] if current != to else ())})
        todo += [f"reload {service}" for service in services]
        if todo and not self.check_mode:
            self.state.reload = services
            self.state.history = [name for name in self.state.lived(current or None) if name != current]
            self.state.save()
            replaced.put_back(back)
            if current != to:
                switch(self.layout, to) if to else switch_off(self.layout)
            reload_services(self.state)
        return {"changed": bool(todo), "todo": todo, "release": to, "reloaded": services, "kept": replaced.places}

    def _is_of_others(self, name: str) -> bool:
        """Whether what was live before is no release of ours: what is known of it is that it is there."""
        folder = name if os.path.isabs(name) else self.layout.release(check_release_name(name))
        return os.path.isdir(folder) and not self.layout.is_staged(name)

    def settle(self) -> Result:
        """Forget what a run replaced: it has come to its end."""
        replaced = Replaced(self.layout, self.params["run"])
        there = replaced.left_over or bool(replaced.files)
        if there and not self.check_mode:
            replaced.forget()
        return {"changed": there, "todo": ["forget what was replaced"] if there else []}

    def prune(self) -> Result:
        """Remove what ``keep`` leaves over, and what was left by stagings that were killed."""
        return self._remove(prune.superfluous(self.layout, self.state, self.params["keep"]))

    def absent(self, name: str) -> Result:
        """Remove the release, unless it is live or the one to go back to."""
        prune.check_removable(self.layout, self.state, name)
        there = any(os.path.lexists(path) for path in (self.layout.release(name), self.layout.record(name)))
        return self._remove([name] if there else [])

    def _remove(self, names: list[str]) -> Result:
        left = self.layout.leftovers()
        if not self.check_mode:
            for name in names:
                prune.remove(self.layout, name)
            prune.sweep(self.layout)
        todo = [f"remove {name}" for name in names] + [f"remove the leftover {path}" for path in left]
        return {"changed": bool(todo), "removed": names, "todo": todo}

    def reject(self, name: str) -> Result:
        """Mark the release as one not to come back to."""
        todo = [] if name in self.state.rejected else [f"reject {name}"]
        if todo and not self.check_mode:
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.state.rejected[name] = {"reason": self.params["reason"], "at": at}
            self.state.save()
        return {"changed": bool(todo), "todo": todo}

    def run(self) -> Result:
        """Do what ``state`` says. :raises LampError: as its parts do"""
        wanted = self.params["state"]
        if self.check_mode:
            return self._act(wanted)
        if wanted == "rejected" or self.params["artifact"] or self.params["package"]:
            self.make_root()
        if not os.path.isdir(self.layout.records):
            return self._act(wanted)  # there is nothing yet that could be changed, or that another could change
        with exclusive(self.layout):
            return self._act(wanted)

    def _act(self, wanted: str) -> Result:
        self.state = State(self.layout)
        at_all = {"pruned": self.prune, "inactive": self.leave, "settled": self.settle}
        if wanted in at_all:
            result = at_all[wanted]()
        elif wanted == "active" and self.params["restore"] and self._is_of_others(self.params["release"]):
            result = self.leave(self.params["release"])
        else:
            name = check_release_name(self.params["release"])
            actions = {
                "staged": self.stage,
                "active": self.activate,
                "rejected": self.reject,
                "absent": self.absent,
            }
            result = {"release": name, **actions[wanted](name)}
        todo = result.pop("todo")
        prepared = "".join(f"{self.layout.root}: {line}\n" for line in todo)
        return {**result, **facts(self.layout, self.state), "diff": {"prepared": prepared}}
