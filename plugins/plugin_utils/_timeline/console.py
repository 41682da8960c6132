# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints through Ansible's display: lines in their colours, phases as they end, and the line at the foot."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import threading
import typing as t

from ansible import constants as C

from . import text
from .live import LiveLine
from .model import TaskRun
from .phases import OTHER
from .recorder import Recorder


def colour(style: str) -> str | None:
    """Ansible's colour for a style of text.py; None for plain text."""
    return {
        "ok": C.COLOR_OK,
        "good": C.COLOR_OK,
        "changed": C.COLOR_CHANGED,
        "skipped": C.COLOR_SKIP,
        "ignored": C.COLOR_WARN,
        "unreachable": C.COLOR_UNREACHABLE,
        "failed": C.COLOR_ERROR,
        "bad": C.COLOR_ERROR,
    }.get(style)


def columns() -> int:
    """The width of the terminal."""
    return shutil.get_terminal_size((100, 24)).columns


class Console:
    """What a run shows; all of it goes through ``display``, Ansible's one object for output."""

    def __init__(self, display: t.Any) -> None:
        self._display = display
        self._live: LiveLine | None = None

    def lines(self, lines: t.Iterable[text.Line], stderr: bool = False) -> None:
        """Print lines in the colours of their styles."""
        for line, style in lines:
            self._display.display(line, color=colour(style), stderr=stderr)

    def phases(self, recorder: Recorder, everything: bool, show_skipped: bool) -> None:
        """Print the phases that ended; the last one only when ``everything`` has ended."""
        width, now, skipped = columns(), recorder.now, []
        if everything and self._live:
            self._live.hide()
        for phase in recorder.phases_to_show(everything):
            if phase.name == OTHER:
                continue
            if phase.state == "skipped":
                skipped.append(phase.name)
                continue
            self.lines([text.phase_line(phase, now, width, recorder.timeline.check_mode), *phase.notes])
        if skipped and show_skipped:
            self.lines([text.skipped_line(skipped)])
        sys.stdout.flush()

    def start(self) -> None:
        """Begin with the line at the foot, where there is a terminal."""
        if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
            return
        display = self._display
        live = LiveLine(sys.stdout, getattr(display, "_lock", None) or threading.RLock(), columns)
        show = display.display

        @functools.wraps(show)
        def show_above(*args: t.Any, **kwargs: t.Any) -> None:
            with live.aside():
                show(*args, **kwargs)

        # All of Ansible prints through this one object: the line steps aside for warnings and other plugins as well.
        display.__dict__["display"] = show_above
        self._live = live

    def working_on(self, run: TaskRun | None, recorder: Recorder) -> None:
        """Let the line tell of this task; of none while Ansible asks the user something."""
        if self._live is None:
            return
        if run is None:
            self._live.hide()
        else:
            self._live.show(_renderer(run, recorder))

    def stop(self) -> None:
        """Take the line away for good."""
        if self._live:
            self._live.stop()
            self._display.__dict__.pop("display", None)
            self._live = None


def _renderer(run: TaskRun, recorder: Recorder) -> t.Callable[[int], str]:
    """Draws one state of one task: what changes between two draws is the time alone."""
    done = sum(host.end is not None for host in run.hosts.values())
    hosts, since = len(run.hosts), recorder.harvest.blocked_since()

    def render(width: int) -> str:
        now = recorder.now
        blocked = None if since is None else now - since
        line = text.live_line(run.phase, run.what, done, hosts, seconds=now - run.start, blocked=blocked)
        return text.fit(line, width)

    return render
