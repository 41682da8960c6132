# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's default output, with one line per phase of a deploy and a report at its end."""

from __future__ import annotations

# ruff: noqa: E402 (Ansible wants DOCUMENTATION above the imports)
DOCUMENTATION = r"""
name: timeline
type: stdout
short_description: Show a deploy phase by phase, and report it
version_added: 1.0.0
author: The lamp.cluster developers (@lamp-cluster)
description:
  - Shows tasks whose names begin with a phase of a deploy, as in C(block | Show the page), as one line per phase.
    On a terminal a line at the foot tells what is running, on how many hosts it is done,
    and how long the site has been blocked.
  - Shows all other tasks as P(ansible.builtin.default#callback) does.
    With C(-v) it shows all tasks so, and the phases as well.
  - Closes with a summary of the deploy, and can write the same as JSON and as one self-contained HTML page.
    The reports hold task names, times and results; they never hold options of modules.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout in configuration
options:
  live:
    description: Whether to rewrite a line in place while tasks run. Only ever done on a terminal.
    type: bool
    default: true
    env:
      - name: LAMP_LIVE
    ini:
      - section: callback_timeline
        key: live
  report_json:
    description:
      - Write the report as JSON to this file when the playbook ends. Missing folders are created.
      - Playbooks without a phase of a deploy, and C(lamp.cluster.status), write none.
      - The file is replaced as a whole, and is readable by its owner only.
    type: path
    env:
      - name: LAMP_REPORT_JSON
    ini:
      - section: callback_timeline
        key: report_json
  report_html:
    description:
      - Write the report as one HTML page, which needs nothing else, to this file when the playbook ends.
        Missing folders are created. The same playbooks write none.
      - The file is replaced as a whole, and is readable by its owner only.
    type: path
    env:
      - name: LAMP_REPORT_HTML
    ini:
      - section: callback_timeline
        key: report_html
"""

import atexit
import functools
import os
import typing as t

from ansible import constants as C
from ansible import context
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible_collections.lamp.cluster.plugins.plugin_utils._timeline import report, text
from ansible_collections.lamp.cluster.plugins.plugin_utils._timeline.console import Console
from ansible_collections.lamp.cluster.plugins.plugin_utils._timeline.outcome import STATUS, stated, tone
from ansible_collections.lamp.cluster.plugins.plugin_utils._timeline.phases import OTHER, named, split_name
from ansible_collections.lamp.cluster.plugins.plugin_utils._timeline.recorder import Recorder

ASKS = ("pause", "ansible.builtin.pause", "ansible.legacy.pause")
T = t.TypeVar("T", bound=t.Callable[..., t.Any])


def guarded(method: T) -> T:
    """An error in this plugin is a warning, and Ansible's own output takes its place."""

    @functools.wraps(method)
    def guard(self: CallbackModule, *args: t.Any, **kwargs: t.Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # whatever it is, the deploy goes on
            self._display.warning(f"lamp.cluster.timeline: {method.__name__}: {type(error).__name__}: {error}")
            getattr(super(CallbackModule, self), method.__name__)(*args, **kwargs)

    return t.cast(T, guard)


class CallbackModule(DefaultCallback):
    """The plugin: what Ansible calls while a playbook runs."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lamp.cluster.timeline"

    def __init__(self) -> None:
        super().__init__()
        self._recorder: Recorder | None = None
        self._console = Console(self._display)
        self._diffed: set[tuple[str, str]] = set()
        self._failed_items: dict[tuple[str, str], dict[str, t.Any]] = {}  # the first one of each loop, which says why
        self._pid = os.getpid()

    # What Ansible calls

    @guarded
    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        self._recorder = Recorder(os.path.basename(str(playbook._file_name)), bool(context.CLIARGS.get("check")))
        quiet = context.CLIARGS.get("step") or C.config.get_config_value("ENABLE_TASK_DEBUGGER")
        if self.get_option("live") and not quiet:
            self._console.start()
        atexit.register(self._interrupted)
        super().v2_playbook_on_start(playbook)

    @guarded
    def v2_playbook_on_vars_prompt(self, *asked: t.Any, **named: t.Any) -> None:
        self._show_phases(everything=True)  # which takes the line at the foot away: the question comes there
        super().v2_playbook_on_vars_prompt(*asked, **named)

    @guarded
    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        self._show_phases(everything=True)
        if self._recorder:
            self._recorder.play_started()
        super().v2_playbook_on_play_start(play)

    @guarded
    def _task_start(self, task: t.Any, prefix: str | None = None) -> None:
        run = None
        # There each host is at a task of its own, and the name that was kept last may be another one's.
        free = str(self._play.strategy).rsplit(".", 1)[-1] in ("free", "host_pinned")
        if self._recorder:
            run = self._recorder.task_started(
                task._uuid,
                named(task),
                str(task.resolved_action or task.action),
                bool(task.check_mode),
                free,
            )
            self._show_phases()
        if run and run.phase != OTHER and not self._display.verbosity:
            self._task_type_cache[task._uuid] = prefix or "TASK"
            self._last_task_name = None if free else task.get_name().strip()
        else:
            super()._task_start(task, prefix)
        self._show_live(task)

    @guarded
    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        if self._recorder:
            self._recorder.host_started(task._uuid, host.get_name())
        self._show_live(task)
        super().v2_runner_on_start(host, task)

    @guarded
    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._note(result, "changed" if result.result.get("changed") else "ok")
        if not self._terse(result) or self._key(result) in self._diffed:
            super().v2_runner_on_ok(result)
            return
        self._handle_warnings_and_exception(result)
        if result.task.action in C._ACTION_DEBUG and not result.task.loop:  # of a loop each item was shown
            self._show_message(result)

    @guarded
    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._note(result, "skipped")
        if self._terse(result):
            self._handle_warnings_and_exception(result)
        else:
            super().v2_runner_on_skipped(result)

    @guarded
    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        item = self._failed_items.pop(self._key(result), None)
        self._note(result, "ignored" if ignore_errors else "failed", item)
        if not self._terse(result):
            super().v2_runner_on_failed(result, ignore_errors=ignore_errors)
            return
        if item is None:  # of a loop each item that failed was shown
            self._show_failure(result, "failed")
        if ignore_errors:
            self._display.display("    ...ignoring", color=C.COLOR_SKIP)

    @guarded
    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        ignored = bool(result.task.ignore_unreachable)
        self._note(result, "ignored" if ignored else "unreachable")
        if not self._terse(result):
            super().v2_runner_on_unreachable(result)
            return
        self._show_failure(result, "unreachable")
        if ignored:
            self._display.display("    ...ignoring", color=C.COLOR_SKIP)

    @guarded
    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        if not self._terse(result) or self._key(result) in self._diffed:
            super().v2_runner_item_on_ok(result)
            return
        self._handle_warnings_and_exception(result)
        if result.task.action in C._ACTION_DEBUG:
            self._show_message(result)

    @guarded
    def v2_runner_item_on_skipped(self, result: t.Any) -> None:
        if self._terse(result):
            self._handle_warnings_and_exception(result)
        else:
            super().v2_runner_item_on_skipped(result)

    @guarded
    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        self._failed_items.setdefault(self._key(result), result.result)
        if self._terse(result):
            self._show_failure(result, "failed", self._get_item_label(result.result))
        else:
            super().v2_runner_item_on_failed(result)

    @guarded
    def v2_on_file_diff(self, result: t.Any) -> None:
        if "diff" in result.result or "results" in result.result:
            self._diffed.add(self._key(result))
        super().v2_on_file_diff(result)

    @guarded
    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        run = self._recorder.task(included_file._task._uuid) if self._recorder else None
        if self._display.verbosity or run is None or run.phase == OTHER:
            super().v2_playbook_on_include(included_file)

    @guarded
    def v2_playbook_on_no_hosts_remaining(self) -> None:
        self._show_phases(everything=True)
        super().v2_playbook_on_no_hosts_remaining()

    @guarded
    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._show_phases(everything=True)
        recap = {host: stats.summarize(host) for host in sorted(stats.processed)}
        failed = any(counts["failures"] or counts["unreachable"] for counts in recap.values())
        self._close(failed, stated(stats.custom or {}), recap)
        super().v2_playbook_on_stats(stats)

    # What goes into the record

    @staticmethod
    def _key(result: t.Any) -> tuple[str, str]:
        return result.task._uuid, result.host.get_name()

    def _note(self, result: t.Any, state: str, item: dict[str, t.Any] | None = None) -> None:
        """Of a loop that failed, ``item`` is what is told."""
        if self._recorder is None:
            return
        host, task = result.host.get_name(), result.task
        wanted = str((task.args or {}).get("state", ""))
        self._recorder.host_ended(
            task._uuid,
            host,
            host if "{{" in str(task.delegate_to or "{{") else str(task.delegate_to),  # by a loop: to several
            state,
            result=item or result.result,
            wanted_state=wanted if wanted in ("enabled", "disabled") else "",
        )
        self._show_live(task)

    def _terse(self, result: t.Any) -> bool:
        """Whether this task is shown by its phase's line alone."""
        if self._display.verbosity or self._recorder is None:
            return False
        run = self._recorder.task(result.task._uuid)
        return (run.phase if run else split_name(named(result.task))[0]) != OTHER

    # What is printed

    def _show_phases(self, everything: bool = False) -> None:
        if self._recorder:
            self._console.phases(self._recorder, everything, bool(self.get_option("display_skipped_hosts")))

    def _show_live(self, task: t.Any) -> None:
        if self._recorder:
            self._console.working_on(None if task.action in ASKS else self._recorder.task(task._uuid), self._recorder)

    def _show_message(self, result: t.Any) -> None:
        self._clean_results(result.result, result.task.action)
        message = result.result.get("msg", result.result.get("censored"))
        if isinstance(message, list):
            message = "\n".join(str(part) for part in message)
        if not isinstance(message, str):
            message = self._dump_results(result.result)
        label = "" if result.task.run_once else f"{self.host_label(result)}: "
        self._console.lines((f"    {label}{line}".rstrip(), "plain") for line in text.plain(message).splitlines())

    def _show_failure(self, result: t.Any, state: str, item: object = None) -> None:
        exception = result.exception
        if exception is None or not exception.event.formatted_traceback:
            result.result.pop("exception", None)  # it repeats the message; with a traceback wanted it does not
        self._handle_warnings_and_exception(result)
        run = self._recorder.task(result.task._uuid) if self._recorder else None
        phase, what = (run.phase, run.what) if run else split_name(named(result.task))
        lines = text.failure_lines(
            self.host_label(result),
            phase,
            what,
            state,
            result=result.result,
            path=str(result.task.get_path() or ""),
            item=item,
        )
        self._console.lines(lines, stderr=bool(self.get_option("display_failed_stderr")))

    # The end

    def _interrupted(self) -> None:
        if os.getpid() != self._pid or self._recorder is None:
            return
        try:
            self._show_phases(everything=True)
            self._close(True, {}, {}, interrupted=True)
        except Exception as error:  # at the very end there is nobody left to tell but the user
            self._display.warning(f"lamp.cluster.timeline: {error}")

    def _close(
        self,
        failed: bool,
        told: t.Mapping[str, t.Any],
        recap: t.Mapping[str, t.Mapping[str, int]],
        interrupted: bool = False,
    ) -> None:
        self._console.stop()
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        outcome = recorder.finish(failed, told, interrupted)
        timeline, harvest = recorder.timeline, recorder.harvest
        if timeline.is_deploy:
            self._display.banner("DEPLOY")
            self._console.lines(text.summary_lines(timeline, harvest, outcome, tone(outcome), told))
        if not timeline.is_deploy or outcome.startswith(STATUS):
            return  # who asks after a deploy wants to read its report, and finds it as it was
        document = report.build(timeline, harvest, outcome, told, recap)
        for option, render in (("report_json", report.as_json), ("report_html", report.as_html)):
            path = self.get_option(option)
            if path:
                self._write(option, str(path), render, document)

    def _write(
        self, option: str, path: str, render: t.Callable[[dict[str, t.Any]], str], document: dict[str, t.Any]
    ) -> None:
        try:
            report.write(path, render(document))
            self._display.display(f"{'report':<{text.PHASE_WIDTH + 2}} {path}")
        except Exception as error:  # a report that cannot be written is no reason to fail a deploy
            self._display.warning(f"lamp.cluster.timeline: {option} was not written: {error}")
