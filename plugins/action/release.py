# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders templates for the host, and brings a release that it lacks: only what it cannot take from another."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shlex
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._release.package import Reader
from ansible_collections.lamp.cluster.plugins.plugin_utils._artifact.cache import guessed, reduced, remember
from ansible_collections.lamp.cluster.plugins.plugin_utils._paths import on_controller

INLINE = 512 << 10  # bytes of a package that travel with the module, which saves five trips to the host
BAD_PACKAGE = "release_bad_package"
TEMPLATE_KEYS = {"src", "dest", "mode", "owner", "group"}
MODE = re.compile(r"(0o?)?[0-7]{3}\Z")
Result = t.Dict[str, t.Any]


class ActionModule(ActionBase):
    """One module call, or two and a transfer: where the host lacks more than this controller could guess."""

    TRANSFERS_FILES = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        """The module's result."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        archive = arguments.pop("artifact", None)
        if archive:
            archive = on_controller(self._loader, str(archive))
        try:
            result = self._do(arguments, archive, task_vars or {})
        except LampError as error:
            result = {"failed": True, "changed": False, **error.as_result()}
        if archive and result.get("error_code") == BAD_PACKAGE:
            result["msg"] += f" To have it made anew: rm {shlex.quote(str(archive))} on the controller, then run again."
        return result

    def _do(self, arguments: Result, archive: str | None, variables: Result) -> Result:
        """What ``run`` returns, but for errors. :raises LampError: as its parts do"""
        templates = arguments.pop("templates", None) or []
        if templates and arguments.get("state", "staged") in ("staged", "active"):
            arguments["rendered"] = json.dumps([self._render(item, arguments, variables) for item in templates])
        brought = bool(archive and os.path.isfile(str(archive)))
        staged = brought and arguments.get("state", "staged") == "staged"
        if staged and self._task.diff:
            with open(str(archive), "rb") as content:
                arguments["manifest"] = Reader(content).manifest.to_json()
        if staged and not self._task.check_mode:
            return self._stage(arguments, str(archive), variables)
        result = self._call(arguments, variables)
        if result.pop("lacking", False) and not brought:
            raise LampError(
                "release_no_artifact",
                f"This host lacks the release {arguments.get('release')}, and "
                f"{f'{archive} is no file on the controller' if archive else 'no artifact was given'}.",
                "Build it with lamp.cluster.artifact and give its archive.",
            )
        return {key: value for key, value in result.items() if key not in ("base", "known")}

    def _call(self, arguments: Result, variables: Result) -> Result:
        return dict(self._execute_module(module_args=arguments, task_vars=variables))

    def _stage(self, arguments: Result, archive: str, variables: Result) -> Result:
        """Bring what the host lacks: by what it had when this controller was there last, else by what it says."""
        place = f"{variables.get('inventory_hostname')}:{arguments.get('path')}"
        result: Result = {"lacking": True}
        guess = guessed(archive, place)
        if guess and os.path.getsize(guess[0]) <= INLINE:
            result = self._bring_part(arguments, archive, *guess, variables)
        if result.get("lacking"):
            result = self._call(arguments, variables)
        if result.get("lacking") and result["base"]:
            part = reduced(archive, result["known"])
            result = self._bring_part(arguments, archive, part, result["base"], variables)
        if result.get("lacking"):
            result = self._bring(arguments, archive, "", variables)
        if not result.get("failed"):
            remember(archive, place)
        return result

    def _bring_part(self, arguments: Result, archive: str, part: str, base: str, variables: Result) -> Result:
        """As `_bring`. A part that was damaged in the cache is no reason to fail: there is still the whole."""
        result = self._bring(arguments, part, base, variables)
        if result.get("error_code") != BAD_PACKAGE or part == archive:
            return result
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        return {"lacking": True, "base": ""}

    def _bring(self, arguments: Result, package: str, base: str, variables: Result) -> Result:
        """Run the module with the package ``package``, which lacks what the host has in its release ``base``."""
        size = os.path.getsize(package)
        if size <= INLINE:
            with open(package, "rb") as stream:
                content = base64.b64encode(stream.read()).decode("ascii")
            result = self._call({**arguments, "base": base, "package": content}, variables)
        else:
            folder = self._connection._shell.tmpdir or self._make_tmp_path()
            remote = self._transfer_file(package, self._connection._shell.join_path(folder, "release.tar.gz"))
            self._fixup_perms2((folder, remote))
            result = self._call({**arguments, "base": base, "artifact": remote}, variables)
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result if result.get("failed") else {**result, "sent_bytes": size}

    def _render(self, item: Result, arguments: Result, variables: Result) -> dict[str, str]:
        """One template, as the module takes it. :raises LampError: ``release_bad_template``"""
        unknown = sorted(set(item) - TEMPLATE_KEYS)
        mode = item.get("mode") or "0640"
        mode = f"{mode:o}" if isinstance(mode, int) else str(mode)
        if unknown or not item.get("src") or not item.get("dest") or not MODE.match(mode):
            why = f"{unknown[0]} is unknown" if unknown else "src, dest or an octal mode is missing"
            raise LampError(
                "release_bad_template",
                f"The template {item.get('src') or item.get('dest') or '(without src)'}: {why}.",
                "Give src and dest, and mode (such as '0640'), owner and group if the defaults do not do.",
            )
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        try:
            found = lookup.run([str(item["src"])], variables=variables)[0]
        except AnsibleError as error:
            raise LampError(
                "release_bad_template", f"The template {item['src']} cannot be rendered: {error}.", "Correct it."
            ) from error
        return {
            "dest": str(item["dest"]),
            "mode": mode,
            "owner": str(item.get("owner") or arguments.get("owner") or "root"),
            "group": str(item.get("group") or arguments.get("writable_group") or "www-data"),
            "content": base64.b64encode(("" if found is None else str(found)).encode("utf-8")).decode("ascii"),
        }
