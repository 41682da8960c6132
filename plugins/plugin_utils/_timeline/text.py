# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines for a terminal or a log: phases, failures, the summary. No colour codes; a style name goes with each line."""

from __future__ import annotations

import json
import typing as t
import unicodedata

from .harvest import OPEN, Delta, Harvest
from .model import PhaseRun, Timeline
from .phases import OTHER

PHASE_WIDTH, HOSTS_WIDTH, TIME_WIDTH = 9, 22, 12
MARKS = {"failed": "✗", "unreachable": "✗", "skipped": "-", "ignored": "!"}
# Keys of a result that say nothing about why a task failed, or that are said elsewhere.
_NOISE = frozenset(
    (
        "ansible_loop_var",
        "attempts",
        "changed",
        "deprecations",
        "diff",
        "end",
        "error_code",
        "exception",
        "failed",
        "invocation",
        "msg",
        "results",
        "skipped",
        "start",
        "stderr_lines",
        "stdout_lines",
        "unreachable",
        "warnings",
    )
)

Line = t.Tuple[str, str]


def plain(text: object) -> str:
    """Text that cannot steer a terminal: control characters become visible, line ends and tabs stay."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        else f"\\x{ord(character):02x}"
        for character in str(text).replace("\r\n", "\n")
    )


def one_line(text: object) -> str:
    """The same in one line."""
    return " ".join(plain(text).split())


def duration(seconds: float) -> str:
    """Seconds as people say them: ``0.42 s``, ``12.3 s``, ``2 min 05 s``."""
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def amount(count: int, noun: str) -> str:
    """``1 delta``, ``1,200 deltas``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def hosts_of(names: t.Sequence[str]) -> str:
    """The names where they fit into their column, their number where they do not."""
    text = " ".join(one_line(name) for name in names)
    return text if len(text) <= HOSTS_WIDTH else f"{len(names)} hosts"


def width_of_what(columns: int) -> int:
    """How wide the middle column is on a terminal of that width."""
    return max(20, min(46, columns - PHASE_WIDTH - HOSTS_WIDTH - TIME_WIDTH - 16))


def phase_line(phase: PhaseRun, now: float, columns: int, check_mode: bool = False) -> Line:
    """The one line of a phase that ended."""
    state = phase.state
    what = one_line(phase.what) + (f" (+{len(phase.ran) - 1})" if len(phase.ran) > 1 else "")
    note = {"changed": "would change" if check_mode else "changed", "ok": "", "skipped": "skipped"}.get(state, state)
    text = (
        f"{MARKS.get(state, '✓')} {phase.name:<{PHASE_WIDTH}} {_padded(what, width_of_what(columns))} "
        f"{_padded(hosts_of(phase.places), HOSTS_WIDTH)} {duration(phase.seconds(now)):>{TIME_WIDTH}}  {note}"
    )
    return text.rstrip(), state


def _cells(character: str) -> int:
    """How many columns of a terminal it takes."""
    return 2 if unicodedata.east_asian_width(character) in "WF" else 0 if unicodedata.combining(character) else 1


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - sum(map(_cells, text)))


def skipped_line(names: t.Sequence[str]) -> Line:
    """One line for phases that had nothing to do on any host."""
    return f"- skipped: {', '.join(dict.fromkeys(names))}", "skipped"


def live_line(phase: str, what: str, done: int, hosts: int, *, seconds: float, blocked: float | None) -> str:
    """What the line that is rewritten in place says while a task runs."""
    progress = f"{done}/{hosts} {'host' if hosts == 1 else 'hosts'}" if hosts else "starting"
    blocked_for = f" · site blocked {duration(blocked)}" if blocked is not None else ""
    shown = f"{phase:<{PHASE_WIDTH}} " if phase != OTHER else ""
    return f"{shown}{one_line(what)} · {progress} · {duration(seconds)}{blocked_for}"


def fit(text: str, columns: int) -> str:
    """The text cut to the width of a terminal; wide characters count twice."""
    used = 0
    kept: list[str] = []
    for character in text:
        used += _cells(character)
        if used > columns:
            return "".join(kept[:-1]) + "…"
        kept.append(character)
    return text


def delta_line(delta: Delta) -> Line:
    """One delta beneath its phase."""
    parts = [one_line(f"{delta.number} {delta.name}")]
    if delta.statements is not None:
        parts.append(amount(delta.statements, "statement"))
    if delta.seconds is not None:
        parts.append(duration(delta.seconds))
    if delta.verb != "applied":
        parts.append(delta.verb)
    if delta.drops_sessions:
        parts.append("drops sessions")
    return "    " + " · ".join(parts), "detail"


def failure_lines(
    host: str, phase: str, what: str, state: str, *, result: t.Mapping[str, t.Any], path: str = "", item: object = None
) -> list[Line]:
    """A failure in full: who, where, the message as it was written, then everything else that the task answered."""
    code = f" ({one_line(result['error_code'])})" if result.get("error_code") else ""
    verb = "could not be reached" if state == "unreachable" else "failed"
    suffix = "" if item is None else f" (item: {one_line(item)})"
    lines = [(f"✗ {phase:<{PHASE_WIDTH}} {one_line(host)} {verb}: {one_line(what)}{suffix}{code}", state)]
    message = result.get("msg") or result.get("censored") or "The task failed without a message."
    message = message if isinstance(message, str) else json.dumps(message, default=str, ensure_ascii=False)
    lines += [(f"    {line}".rstrip(), state) for line in plain(message).strip("\n").split("\n")]
    said = result.get("ansible_loop_var")  # the item itself, in place of which stands its label
    for key in sorted(result):
        if (
            key not in (*_NOISE, said)
            and not key.startswith("_")
            and key != "censored"
            and result[key] not in (None, "", [], {})
        ):
            lines += [(f"      {line}".rstrip(), "detail") for line in _detail(key, result[key])]
    if path:
        lines.append((f"      task: {one_line(path)}", "detail"))
    return lines


def _detail(key: str, value: object) -> list[str]:
    if not isinstance(value, str):
        value = json.dumps(value, default=str, ensure_ascii=False)
    rows = plain(value).strip("\n").split("\n")
    return [f"{key}: {rows[0]}"] if len(rows) == 1 else [f"{key}:", *(f"  {row}" for row in rows)]


def summary_lines(
    timeline: Timeline, harvest: Harvest, outcome: str, tone: str, stated: t.Mapping[str, t.Any]
) -> list[Line]:
    """What happened, after everything: result, seconds blocked, deltas, sessions, where the time went."""
    now = timeline.end or 0.0
    release = one_line(stated.get("release") or "")
    changed = any(task.state == "changed" for task in timeline.tasks)
    word = "would change" if timeline.check_mode else "changed"
    result = f"{outcome}{f' · release {release}' if release else ''} · {word if changed else 'not changed'}"
    lines = [_row("result", result, tone), *_blocked_rows(harvest, now)]
    if harvest.deltas:
        lines.append(_row("deltas", _deltas_text(harvest), "plain"))
    if harvest.purged:
        lines.append(_row("sessions", f"{sum(harvest.purged.values()):,} dropped", "plain"))
    elif harvest.drop_sessions:
        lines.append(_row("sessions", "a delta asks to drop them; this run did not", tone))
    ran = [task for task in timeline.tasks if task.state != "skipped"]
    skipped = len(timeline.tasks) - len(ran)
    counts = amount(len(ran), "task") + (f" ({skipped} skipped)" if skipped else "")
    lines.append(_row("time", f"{duration(now)} · {counts}", "plain"))
    for index, task in enumerate(timeline.slowest(3)):
        name = task.what if task.phase == OTHER else f"{task.phase} | {task.what}"
        lines.append(
            _row("slowest" if index == 0 else "", f"{duration(task.seconds(now)):>10}  {one_line(name)}", "detail")
        )
    return lines


def _row(label: str, text: str, style: str) -> Line:
    return f"{label:<{PHASE_WIDTH + 2}} {text}", style


def _blocked_rows(harvest: Harvest, now: float) -> list[Line]:
    total = harvest.blocked_seconds(now)
    if total is None:
        return []
    closed = not any(window.end is None for window in harvest.windows)
    span = "from the first block to the last unblock" if closed else "and not yet unblocked everywhere"
    rows = [_row("blocked", f"{duration(total)} {span}", "plain" if closed else "bad")]
    for window in harvest.windows:
        extra = (
            ""
            if window.state == OPEN
            else f", still {window.state}"
            if window.state == "blocked"
            else ", state unknown"
        )
        if window.drain_seconds is not None:
            extra += (
                f", drained in {duration(window.drain_seconds)}" if window.drained is not False else ", not drained"
            )
        rows.append(_row("", f"{duration(window.seconds(now)):>10}  {one_line(window.host)}{extra}", "detail"))
    return rows


def _deltas_text(harvest: Harvest) -> str:
    verbs = list(dict.fromkeys(delta.verb for delta in harvest.deltas))
    counts = ", ".join(f"{sum(delta.verb == verb for delta in harvest.deltas)} {verb}" for verb in verbs)
    statements = sum(delta.statements or 0 for delta in harvest.deltas)
    seconds = sum(delta.seconds or 0.0 for delta in harvest.deltas)
    return f"{counts} · {amount(statements, 'statement')} · {duration(seconds)}"
