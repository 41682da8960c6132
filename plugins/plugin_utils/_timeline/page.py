# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML page: no script, nothing loaded from anywhere, every text escaped."""

from __future__ import annotations

import html
import typing as t

from .page_style import STYLE
from .text import amount, duration, plain

Document = t.Mapping[str, t.Any]
# Phases that are drawn in one colour, as page_style.py has it; all others are grey.
_COLOURS = (
    ("lock", "artifact", "stage", "plan"), ("block", "unblock"), ("deltas",), ("purge",), ("switch", "smoke"),
    ("recover",),
)  # fmt: skip
_ZOOM_BELOW = 0.6  # a window that fills less than this share of the run is drawn once more, larger


def render(document: Document) -> str:
    """The whole page for a report as ``report.build`` makes it."""
    result = document["result"]
    title = f"{result['outcome']} · {document['playbook']}"
    parts = [
        _header(document),
        _figures(document),
        _failures(document),
        _charts(document),
        _deltas(document),
        _phases(document),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_e(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def _e(value: object) -> str:
    return html.escape(plain(value))


def _header(document: Document) -> str:
    result = document["result"]
    release = result["deploy"].get("release")
    facts = [
        document["playbook"],
        f"{document['started'].replace('T', ' ').replace('Z', ' UTC')}",
        duration(document["seconds"]),
    ]
    if release:
        facts.insert(0, f"release {release}")
    if document["check_mode"]:
        facts.append("check mode: nothing was touched")
    return (
        f'<header><h1><span class="badge {_e(result["tone"])}">{_e(result["outcome"])}</span></h1>'
        f"<p>{' · '.join(_e(fact) for fact in facts)}</p></header>\n"
    )


def _figures(document: Document) -> str:
    blocked, sessions = document["blocked"]["seconds"], document["sessions"]["dropped"]
    figures = [
        ("Site blocked", "not at all" if blocked is None else duration(blocked)),
        ("Deltas", f"{len(document['deltas'])}"),
        ("Sessions dropped", "none" if sessions is None else f"{sessions:,}"),
        ("Whole run", duration(document["seconds"])),
        ("Tasks", f"{document['tasks']}"),
    ]
    cells = "".join(f"<div><dt>{_e(name)}</dt><dd>{_e(value)}</dd></div>" for name, value in figures)
    return f'<dl class="figures">{cells}</dl>\n'


def _failures(document: Document) -> str:
    if not document["failures"]:
        return ""
    cards = "".join(
        f"<article><h3>{_e(failure['host'])} · {_e(failure['phase'])} | {_e(failure['what'])}</h3>"
        + (f"<p><code>{_e(failure['error_code'])}</code></p>" if failure["error_code"] else "")
        + f"<pre>{_e(failure['message'])}</pre></article>"
        for failure in document["failures"]
    )
    return f'<section class="failures"><h2>What failed</h2>{cards}</section>\n'


def _charts(document: Document) -> str:
    whole = max(document["seconds"], 0.001)
    charts = _chart("Timeline", document, 0.0, whole)
    windows = document["blocked"]["hosts"]
    if windows:
        start = min(window["start"] for window in windows)
        end = max(window["start"] + window["seconds"] for window in windows)
        margin = 0.08 * (end - start)
        start, end = max(0.0, start - margin), min(whole, end + margin)
        if 0 < end - start < _ZOOM_BELOW * whole:
            charts += _chart("The maintenance window, enlarged", document, start, end)
    return charts


def _chart(title: str, document: Document, start: float, end: float) -> str:
    rows = "".join(_row(host, document, start, end) for host in document["hosts"])
    ticks = "".join(
        f'<span style="left:{100 * index / 4:.2f}%">{_e(duration(start + (end - start) * index / 4))}</span>'
        for index in range(5)
    )
    return (
        f'<section><h2>{_e(title)}</h2><div class="chart" aria-hidden="true">{rows}'
        f'<div class="row axis"><div class="host"></div><div class="ticks">{ticks}</div></div></div>'
        f'<p class="legend">{_legend(document)}'
        "<br>The same in words and numbers is in the tables below.</p></section>\n"
    )


def _legend(document: Document) -> str:
    """What the colours mean: a phone has no room for the names of phases in their bars."""
    names = dict.fromkeys(phase["name"] for phase in document["phases"] if phase["state"] != "skipped")
    grey = [name for name in names if not any(name in group for group in _COLOURS)]
    keys = [([name for name in group if name in names], f"bar p-{group[0]}") for group in (*_COLOURS, grey) if group]
    keys.append((["failed"] if document["failures"] else [], "bar bad"))
    keys.append((["site blocked on that host"] if document["blocked"]["hosts"] else [], "blocked"))
    return "".join(
        f'<span class="key"><span class="swatch {_e(style)}"></span> {_e(", ".join(shown))}</span> '
        for shown, style in keys
        if shown
    )


def _row(host: str, document: Document, start: float, end: float) -> str:
    marks = [
        f'<i class="blocked" style="{_place(window["start"], window["seconds"], start, end)}"></i>'
        for window in document["blocked"]["hosts"]
        if window["host"] == host and _visible(window["start"], window["seconds"], start, end)
    ]
    for phase in document["phases"]:
        runs = [
            run
            for task in phase["tasks"]
            for run in task["hosts"]
            if run["place"] == host and run["state"] not in ("skipped",)
        ]
        if runs:
            first = min(run["start"] for run in runs)
            length = max(run["start"] + run["seconds"] for run in runs) - first
            if _visible(first, length, start, end):
                bad = " bad" if any(run["state"] in ("failed", "unreachable") for run in runs) else ""
                marks.append(
                    f'<b class="bar p-{_e(phase["name"])}{bad}" style="{_place(first, length, start, end)}" '
                    f'title="{_e(phase["name"])}: {_e(duration(length))}"><span>{_e(phase["name"])}</span></b>'
                )
    return f'<div class="row"><div class="host">{_e(host)}</div><div class="track">{"".join(marks)}</div></div>'


def _visible(first: float, length: float, start: float, end: float) -> bool:
    return first < end and first + length > start


def _place(first: float, length: float, start: float, end: float) -> str:
    left, right = max(first, start), min(first + length, end)
    return f"left:{100 * (left - start) / (end - start):.3f}%;width:{100 * (right - left) / (end - start):.3f}%"


def _table(title: str, heads: t.Sequence[str], rows: t.Iterable[t.Sequence[object]]) -> str:
    head = "".join(f'<th scope="col">{_e(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return (
        f'<section><h2>{_e(title)}</h2><div class="scroll" tabindex="0" role="region" aria-label="{_e(title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></section>\n"
    )


def _cell(value: object) -> str:
    """A cell of a table; a number stays in one line with its unit."""
    text = str(value)
    return f"<td{' class=n' if text[:1].isdigit() else ''}>{_e(text)}</td>"


def _deltas(document: Document) -> str:
    if not document["deltas"]:
        return ""
    rows = (
        (
            delta["number"],
            delta["name"],
            delta["verb"] + (", drops sessions" if delta["drops_sessions"] else ""),
            "" if delta["statements"] is None else delta["statements"],
            "" if delta["seconds"] is None else duration(delta["seconds"]),
        )
        for delta in document["deltas"]
    )
    return _table("Deltas", ("Number", "Name", "Result", "Statements", "Time"), rows)


def _phases(document: Document) -> str:
    rows = [
        (
            phase["name"],
            phase["what"],
            phase["state"],
            " ".join(phase["hosts"]),
            duration(phase["start"]),
            duration(phase["seconds"]),
        )
        for phase in document["phases"]
        if phase["state"] != "skipped"
    ]
    parts = _table("Phases", ("Phase", "What", "Result", "Hosts", "Began at", "Time"), rows)
    order = {host: place for place, host in enumerate(document["hosts"])}
    blocked = [
        (
            window["host"],
            duration(window["start"]),
            duration(window["seconds"]),
            window["state"],
            "" if window["drain_seconds"] is None else duration(window["drain_seconds"]),
        )
        for window in sorted(document["blocked"]["hosts"], key=lambda window: order.get(window["host"], 0))
    ]
    if blocked:
        parts = _table("Blocked", ("Host", "Began at", "For", "Now", "Drained in"), blocked) + parts
    slow = [(task["phase"], task["what"], duration(task["seconds"])) for task in document["slowest"]]
    count = amount(document["tasks"], "task")
    return parts + _table(f"Where the time went ({count})", ("Phase", "Task", "Time"), slow)
