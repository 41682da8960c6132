# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an application stands, for a person who was woken at night: what is, and the command that goes on."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import number_of

from .given import option
from .half import UNDO, Database, half_words, halves, undone_half
from .journal import Entry, Look, blocked_by, entries, left_out, owing, unfinished
from .locks import elsewhere, way_out

COMMAND = "ansible-playbook lamp.cluster."
FORCE = " -e deploy_force_lock=true"
HISTORY = 10
HELD, FREE, UNKNOWN = "held", "free", "unknown"


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


def _of_others(look: Look) -> bool:
    """Whether the live code is none of our releases, as before the first deploy to a site that is there already."""
    ours = [known["release"] for known in look["releases"]]
    return bool(look["current"]) and look["current_whole"] and look["current"] not in ours


def host_line(name: str, look: Look) -> str:
    """One web host: its release, its block, what could not be told."""
    release = look["current"] or "no release"
    if look["current"] and not look["current_whole"]:
        release += " (which is not there: current leads nowhere)"
    elif _of_others(look):
        release += " (which this collection did not deploy)"
    block = look["block"]
    state = f"blocked by {block['owner']} since {_moment(block['since'])}" if block else "open"
    if look["doubt"]:
        who = "a deploy" if block["owner"] == "deploy" else block["owner"]
        state = f"left between open and blocked by {who} of {_moment(block['since'])}: {look['doubt']}"
    problems = "".join(f"; {problem}" for problem in look["problems"])
    return f"{name}: {release}, {'block unknown' if problems and not block else state}{problems}"


def site_line(looks: t.Mapping[str, Look], away: list[str]) -> str:
    """The site as a whole, as far as it is known."""
    blocked = [host for host in blocked_by(looks) if not looks[host]["doubt"]]
    doubtful = [host for host, look in looks.items() if look["problems"] or look["doubt"]]
    unknown = [*away, *doubtful]
    if not blocked and len(doubtful) == len(looks):
        return "unknown"
    state = "open" if not blocked else f"blocked on {'all hosts' if len(blocked) == len(looks) else ', '.join(blocked)}"
    return state + (f"; unknown of {', '.join(unknown)}" if unknown else "")


def history_line(entry: Entry) -> str:
    """One deploy: when, what, who, how it ended, how long the site was blocked."""
    seconds = max((entry.get("blocked_seconds") or {}).values(), default=None)
    parts = [
        f"{entry['id'][:19]}Z {entry.get('kind', 'deploy')} of {entry.get('release', '?')} by {entry.get('by', '?')}:"
        f" {entry.get('result', '?')}",
        *([f"blocked {float(seconds):.1f} s"] if seconds is not None else []),
        *([f"deltas {', '.join(entry['deltas'])}"] if entry.get("deltas") else []),
        *([f"{number_of(entry['sessions_dropped'])} dropped"] if entry.get("sessions_dropped") else []),
    ]
    return ", ".join(parts)


def lock_line(lock: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """The lock in words, and whether it is HELD, FREE or UNKNOWN, from what deploy_lock answered in check mode."""
    holder = lock.get("holder") or {}
    if lock.get("error_code") == "deploy_lock_held":
        return (
            f"held by {holder.get('user')} on {holder.get('controller')} (process {holder.get('pid')}) since"
            f" {holder.get('since')}, which lives as far as this controller can tell",
            HELD,
        )
    if lock.get("stale_taken"):
        return f"left behind by {lock['stale_taken']}, which is dead; the next deploy takes it over", FREE
    if lock.get("failed") or lock.get("unreachable") or not lock:
        return f"unknown: {lock.get('msg') or 'the host that keeps it did not answer'}", UNKNOWN
    return "free", FREE


def database_lines(database: Database) -> list[str]:
    """Pending deltas and drops; ``database`` is what dbdeploy answered in check mode, empty where there is none."""
    if not database:
        return []
    if "pending" not in database:
        return [f"Database: unknown: {database.get('msg') or 'it did not answer'}"]
    half = [one["number"] for one in halves(database)]

    def told(number: int, name: t.Any) -> str:
        return f"{name}{' (half applied)' if number in half else ''}"

    names = [told(delta["number"], delta["name"]) for delta in database["pending"]]
    due = database.get("drop_reasons") or []
    ahead = ", ".join(told(number, number) for number in database.get("ahead") or [])
    return [
        f"Deltas pending: {', '.join(names) or 'none'}",
        *([f"Deltas that the release has never seen: {ahead}"] if ahead else []),
        f"Session drop due: {', '.join(due) or 'none'}",
    ]


def _begun(begun: Entry, deploy: str, rollback: str, database: Database) -> tuple[str, str]:
    """What goes on with a run that is unfinished, and is not refused for what the database holds."""
    undoing = undone_half(database)
    if begun.get("kind") == "rollback":
        more = UNDO if begun.get("undo") or undoing else ""
        return "a rollback is unfinished", f"{rollback} -e rollback_release={begun['release']}{more}"
    if undoing:
        return "the undo of a deploy is unfinished", f"{rollback}{UNDO}"
    what = "".join(
        option(f"deploy_{name}", begun[key])
        for key, name in (("source", "source"), ("version", "source_version"), ("checksum", "source_checksum"))
        if begun.get(key)
    )
    back = "" if halves(database) else f"   (or back: {rollback})"
    return "a deploy is unfinished", f"{deploy}{what}{back}"


def _behind(database: Database, deploy: str) -> tuple[str, str] | None:
    """Why the database is not as the live release needs it, or cannot be told to be, and what goes on."""
    pending = [delta["number"] for delta in database.get("pending") or []]
    for one in halves(database):
        if one["direction"] == "undo":
            finish = f"lamp.cluster.dbdeploy (state=undone, to={one['number'] - 1})"
            return half_words(one), f"finish that with {finish}; then {deploy}"
        return half_words(one), deploy if one["number"] in pending else f"{deploy}   (of a release that has it)"
    if database and "pending" not in database:
        return "the database cannot be told to fit", "mend what is said of the database above"
    if pending:
        return "the database is behind the code", deploy
    return ("a session drop is due", deploy) if database.get("drop_sessions") else None


def _next(  # noqa: PLR0911 (a table of cases, the first that holds)
    looks: t.Mapping[str, Look], lock: str, away: list[str], database: Database, given: str
) -> tuple[str, str]:
    """What that adds up to, and the command that goes on."""
    deploy, rollback = f"{COMMAND}deploy{given}", f"{COMMAND}rollback{given}"
    begun = unfinished(looks)
    if lock == HELD:
        ways = deploy + FORCE, rollback + FORCE
        go_on = _begun(begun, *ways, database)[1] if begun else ways[0]
        return "a deploy is running", f"wait for it; if it is surely dead: {go_on}"
    if begun:
        return _begun(begun, deploy, rollback, database)
    if blocked_by(looks, "deploy"):
        return "the site is blocked by a deploy that told nobody how it ended", f"{deploy}   (or back: {rollback})"
    if blocked_by(looks):
        part = "a part of " if any(look["doubt"] for look in looks.values()) else ""
        return f"an operator has blocked {part}the site", f"{COMMAND}maintenance{given} -e maintenance_state=disabled"
    if any(look["problems"] for look in looks.values()):
        return "not all can be told", "mend what is named above"
    if len({look["current"] for look in looks.values()}) > 1:
        return "the web hosts run different releases", deploy
    if any(look["current"] and not look["current_whole"] for look in looks.values()):
        return "the live release is gone", f"{rollback}   (or {deploy})"
    if not any(look["current"] and not _of_others(look) for look in looks.values()):
        return "nothing was deployed yet", deploy
    behind = _behind(database, deploy)
    if behind:
        return behind
    if away:
        return "hosts are missing", f"bring {', '.join(away)} back; then {deploy}"
    if lock == UNKNOWN:
        return "whether a deploy is running cannot be told", "mend what is said of the lock above"
    return _left_to_do(looks, deploy) or ("all is well", "nothing")


def _left_to_do(looks: t.Mapping[str, Look], deploy: str) -> tuple[str, str] | None:
    """What the next deploy does also where it has nothing to deploy."""
    if any(host in looks for host in left_out(looks)):
        return "web hosts are left out of the balancing since an earlier run", deploy
    return ("all is well, but what a session drop put aside is still there", deploy) if owing(looks) else None


def standing(
    looks: t.Mapping[str, Look],
    lock: t.Mapping[str, t.Any],
    database: Database,
    away: list[str],
    given: str = "",
    *,
    lock_host: str = "",
) -> dict[str, t.Any]:
    """``verdict``, ``next`` (the command that goes on), ``lines`` for people, ``history``."""
    words, held = lock_line(lock)
    others = elsewhere(looks, lock, lock_host) if lock_host else {}
    begun, left = unfinished(looks), owing(looks)
    out = [host for host in left_out(looks) if host in looks or host in away]
    told = entries(looks)
    hosts = [
        *(host_line(host, look) for host, look in looks.items()),
        *(f"{host}: cannot be reached; nothing is known of it" for host in away),
    ]
    lines = [
        f"Site: {site_line(looks, away)}",
        *hosts,
        f"Lock: {words}",
        *(f"Lock: another one, on {name}, held by {by}" for name, by in others.items()),
        *database_lines(database),
        *([f"Left out of the balancing: {', '.join(out)}"] if out else []),
        *([f"Left behind by a session drop (the next deploy removes it): {left['leftovers']}"] if left else []),
        *([f"Unfinished: {history_line(begun)}"] if begun else []),
        "History:",
        *(f"  {history_line(entry)}" for entry in told[-HISTORY:]),
    ]
    verdict, command = _next(looks, held, away, database, given)
    if others and held != HELD:
        verdict, command = "another deploy keeps its lock elsewhere", way_out(looks, others)
    if command.startswith((f"{COMMAND}deploy", f"{COMMAND}rollback")) and any(
        look["problems"] for look in looks.values()
    ):
        command = f"mend what is named above, which keeps a deploy from beginning; then {command}"
    lines += [f"So: {verdict}", f"Next: {command}"]
    return {
        "verdict": verdict,
        "next": command,
        "rollback": f"{COMMAND}rollback{given}",
        "lines": lines,
        "hosts": hosts,
        "unfinished": begun,
        "blocked": {host: looks[host]["block"] for host in blocked_by(looks)},
        "releases": {host: look["current"] for host, look in looks.items()},
        "away": away,
        "history": told,
    }
