# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy, or a rollback, is going to do: decided once, from what the hosts and the database told."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._deploy_record import SITE_OPEN

from .half import Database, Half, unfit
from .journal import Entry, Look, blocked_by, last, left_out, owing, unfinished
from .locks import elsewhere, refusals
from .refusals import no_way_back, not_undone, numbers, rejected, undecided, undone_elsewhere

Plan = t.Dict[str, t.Any]
WINDOW, ROLLING, AT_ONCE, NOTHING = "window", "rolling", "at once", "nothing"
DEPLOYED = "deployed"  # what the journal has of a deploy that came to its end


def _ways_back(looks: t.Mapping[str, Look], from_: t.Mapping[str, str], lossy: bool = False) -> dict[str, bool]:
    """Whether one of the hosts has what it would go back to, and whether each has. A new one needs nothing.

    That is a release, or, as long as it is live, what somebody else deployed.

    :param lossy: the settings of that release are not kept, so that there is no way back to it
    """
    whole = [
        from_[host] in [known["release"] for known in look["releases"]]
        or (from_[host] == look["current"] and look["current_whole"])
        for host, look in looks.items()
        if from_[host]
    ]
    return {"can_go_back": any(whole) and not lossy, "all_can_go_back": bool(whole) and all(whole) and not lossy}


def _with_settings(looks: t.Mapping[str, Look], began: str) -> bool:
    """Whether a host keeps settings that the runs since ``began`` replaced: to go back to them is to lose the newer."""
    return any(look.get("settings_kept") == began for look in looks.values())


def _undoing(begun: Entry) -> bool:
    """Whether what is continued was a rollback that undoes deltas: some of an earlier deploy may be undone."""
    return begun.get("kind") == "rollback" and bool(begun.get("undo"))


def _began(between: Entry) -> str:
    """What tells the first of the runs that this one continues, which found the settings that users had."""
    return str(between.get("began") or between.get("id") or "")


def _cut_rolling(begun: Entry) -> bool:
    """Whether a load balancer may still leave a host out: since the run that is continued, or one before it."""
    return begun.get("mode") == ROLLING or bool(begun.get("rejoin"))


def _all_left_out(looks: t.Mapping[str, Look], begun: Entry) -> list[str]:
    """Those of an earlier run, and those that the run that is continued had and that are gone."""
    gone = [host for host in begun.get("from", {}) if host not in looks] if _cut_rolling(begun) else []
    return sorted({*left_out(looks), *gone})


def _between(looks: t.Mapping[str, Look], begun: Entry) -> Entry:
    """What is begun, where the site may be between two releases since; empty where it was open on what is live now.

    Then users work with that release and its deltas: nobody must be taken back behind them.
    """
    live = {look["current"] for look in looks.values()}
    opened = begun.get("result") == SITE_OPEN and not blocked_by(looks, "deploy")
    return {} if opened and live <= {begun["release"], ""} else begun


def _deltas_begun(between: Entry, unsound: str, pending: t.Collection[int], half: t.Collection[Half]) -> bool:
    """Whether the database may be between two releases since; not where it answers that no delta of that deploy ran.

    One that still runs, of a deploy whose controller died, runs behind a block.
    """
    of_it = set(between.get("numbers", []))
    answered = between.get("kind") == "deploy" and of_it and of_it <= set(pending) and not half and not unsound
    return bool(between.get("deltas_begun")) and not answered


def _unsound(  # noqa: PLR0911 (a table of cases, the first that holds)
    looks: t.Mapping[str, Look], begun: Entry, pending: t.Collection[int] = ()
) -> str:
    """Why the site must not be opened on what was there before, in words; ``pending`` are the numbers of deltas.

    Each run hands it on in its entry: the block that it takes over, and that entry, then hide what it had found.
    """
    if begun.get("unsound"):
        return str(begun["unsound"])
    if len(blocked_by(looks)) > len(blocked_by(looks, "deploy")):
        return "An operator had blocked the site before, and to undo is to open it."
    if _undoing(begun):
        return "A rollback that undid deltas was cut off before it: more than the deltas of this deploy may be missing."
    if begun.get("kind") == "rollback":
        return "A rollback was cut off before it: the web hosts may have run different releases."
    if set(begun.get("numbers", [])) - set(pending) and len(blocked_by(looks)) < len(looks):
        return "Deltas of the deploy that it continues were applied, and the site was open: users may work with them."
    if blocked_by(looks) and not begun:
        return "The site was blocked before it, by a deploy that told nobody how it ended."
    return ""


def replaced(looks: t.Mapping[str, Look], release: str) -> list[dict[str, t.Any]]:
    """The releases whose place ``release`` takes, each with the numbers of its deltas: users have sessions of theirs.

    Where it was deployed to its end, and that was the last thing done, hosts that run another one only come late.
    """
    live = {look["current"] for look in looks.values()} - {""}
    told = last(looks)
    if release in live and (told.get("kind"), told.get("release"), told.get("result")) == ("deploy", release, DEPLOYED):
        return []
    deltas = {known["release"]: known["deltas"] for look in looks.values() for known in look["releases"]}
    return [{"deltas": deltas.get(name, [])} for name in sorted(live - {release})]


def _mode(wanted: str, reasons: list[str], balancers: list[str], from_: t.Mapping[str, str]) -> tuple[str, str]:
    """How the hosts are switched, and why so."""
    if reasons:
        return WINDOW, ", and ".join(reasons)
    if wanted == "window":
        return WINDOW, "deploy_mode is window"
    if not balancers:
        return AT_ONCE, "nothing needs a window, and deploy_balancers names no load balancer"
    if len(from_) < 2 or not all(from_.values()):
        return AT_ONCE, "nothing needs a window, and there are not two web hosts in service to take turns"
    return ROLLING, "nothing needs a window"


def deploy_plan(  # noqa: PLR0917 (a filter's parameters)
    looks: t.Mapping[str, Look],
    ident: str,
    release: str,
    due: list[str],
    pending: list[dict[str, t.Any]],
    drop: bool,
    mode: str,
    balancers: list[str],
    force: bool = False,
    blocking: list[str] | None = None,
    ahead: list[int] | None = None,
    allow_behind: bool = False,
    proven: bool = True,
    half: list[Half] | None = None,
) -> Plan:
    """The plan of a deploy of ``release``; ``refusals`` says why it is not carried out, where it is not.

    :param due: the hosts that do not serve it yet
    :param drop: whether a session drop is due
    :param mode: ``auto``, ``window`` or ``rolling``
    :param blocking: the load balancers that block, where it is not the web hosts
    :param ahead: the numbers of deltas that the database has and the release lacks
    :param proven: whether the web hosts are asked which release they serve
    :param half: the deltas that were begun and never completed, as dbdeploy tells
    """
    begun = unfinished(looks)
    between = _between(looks, begun)
    continued = between if between.get("kind") == "deploy" else {}
    switch = list(due)
    out = _all_left_out(looks, begun)
    back_in = [host for host in looks if host in out]
    work = bool(switch or begun or back_in)
    left_blocked = blocked_by(looks, "deploy")
    reasons = [
        *(["deltas are pending"] if pending else []),
        *(["the build is tagged to drop the sessions"] if drop else []),
        *(["an earlier run left the site blocked"] if left_blocked else []),
        *(["an operator has blocked the site"] if work and len(blocked_by(looks)) > len(left_blocked) else []),
    ]
    refusals = [
        f"Release {release} is marked on {host} as one not to come back to: {why}. Deploy another one, or insist with"
        " -e release_force=true."
        for host, why in ([] if force else list(rejected(looks, release).items())[:1])
    ]
    if mode == "rolling" and reasons:
        refusals.append(
            f"This deploy needs a window ({', and '.join(reasons)}), and deploy_mode is rolling. Set it to auto."
        )
    if mode == "rolling" and not balancers:
        refusals.append("deploy_mode is rolling, which needs load balancers: name them in deploy_balancers.")
    began = {host: name for host, name in continued.get("from", {}).items() if host in looks}
    from_ = {**{host: look["current"] for host, look in looks.items()}, **began}
    cut_rolling = _cut_rolling(begun)
    lacking = [delta["number"] for delta in pending]
    unsound = _unsound(looks, between, lacking)
    todo = bool(reasons) or work  # what was begun is brought to its end, if only by a test and a record
    if todo and ahead and not allow_behind:
        refusals.append(
            f"Release {release} is older than the database, which has {numbers(ahead)}. Deploy a release that has them"
            " too, or go back with lamp.cluster.rollback; or insist with -e deploy_allow_behind=true."
        )
    how, why = _mode(mode, reasons, balancers, from_) if todo else (NOTHING, "release is live on every web host")
    return {
        "kind": "deploy",
        "id": ident,
        "began": _began(between) or ident,
        "release": release,
        "from": from_,
        "between": list(looks) if continued else [],  # where what is continued may have left other code than that
        "switch": switch,
        # What runs an older release yet is the last to take requests.
        "turns": [host for host in (looks if cut_rolling else switch) if host not in back_in] + back_in,
        "cut_rolling": cut_rolling,
        "rejoin": bool(cut_rolling or back_in) and how != ROLLING,
        "left_out": out,
        "proven": proven,
        "deltas": [delta["name"] for delta in pending],
        "numbers": sorted(set(lacking) | set(continued.get("numbers", []))),
        "ahead": ahead or [],
        "drop": drop,
        "replaced": replaced(looks, release),
        "owing": owing(looks),
        "found_blocked": blocked_by(looks),
        "unsound": unsound,
        "deltas_begun": _deltas_begun(between, unsound, lacking, half or []),
        "mode": how,
        "why": why,
        "window": how == WINDOW,
        "blocks": (blocking or list(looks)) if how == WINDOW else [],
        "todo": todo,
        **_ways_back(looks, from_),
        "continues": _words(begun) if todo else "",
        "refusals": refusals,
    }


def rollback_plan(  # noqa: PLR0917 (a filter's parameters)
    looks: t.Mapping[str, Look],
    ident: str,
    release: str = "",
    undo: bool = False,
    blocking: list[str] | None = None,
    taken_over: str = "",
    database: Database | None = None,
) -> Plan:
    """The plan of a rollback to ``release``, or to the last good one where none is named.

    What is left is the live release, or what an unfinished deploy was about to make live.

    :param taken_over: the dead run, in words, whose lock this one took over
    :param database: what dbdeploy told of the deltas that are unfinished; nothing where there are no deltas
    """
    begun = unfinished(looks)
    between = _between(looks, begun)
    current = {host: look["current"] for host, look in looks.items()}
    live = [name for name in current.values() if name]  # a new host has none
    out = _all_left_out(looks, begun)
    if begun.get("kind") == "deploy":
        left = begun["release"]
        was = [name for host, name in begun["from"].items() if host in looks and name]
        settings_alone = bool(was and between) and not begun.get("numbers")
        target = next((name for name in was if name != left), left if settings_alone else "")
    elif begun.get("kind") == "rollback":
        left, target = begun["left"], begun["release"]
    else:
        left, target = next((name for name in live if name != release), release if live else ""), ""
    deltas = {known["release"]: set(known["deltas"]) for look in looks.values() for known in look["releases"]}
    stayed = _stayed(looks, deltas) if undo else {}
    previous = next((look["previous"] for look in looks.values() if look["previous"]), "")
    target = release or target or (live[0] if stayed else previous)
    unseen = sorted(deltas.get(left, set()) - deltas.get(target, set()))
    undo_to = max(deltas.get(target, set()), default=0)
    began = _began(between) or ident
    todo = bool(blocked_by(looks) or begun or any(name != target for name in current.values()))
    return {
        "kind": "rollback",
        "id": ident,
        "began": began,
        "release": target,
        "left": left if left != target else "",
        "from": current,
        "between": [],
        "switch": [host for host, name in current.items() if name != target],
        "deltas": [],
        "numbers": [],
        "drop": False,
        "owing": owing(looks),
        "found_blocked": blocked_by(looks),
        "unsound": _unsound(looks, between),
        "deltas_begun": bool(between.get("deltas_begun")),
        "cut_rolling": _cut_rolling(begun),
        "rejoin": _cut_rolling(begun) or any(host in looks for host in out),
        "left_out": out,
        "mode": WINDOW,
        "why": "a rollback always has one",
        "window": True,
        "blocks": blocking or list(looks),
        **_ways_back(looks, current, lossy=_with_settings(looks, began)),
        "undo": undo,
        "undo_to": undo_to,
        "deltas_stay": [] if undo else unseen,
        "todo": todo,
        "continues": _words(begun),
        "refusals": ([] if begun or release else undecided(looks, taken_over))
        or [
            *no_way_back(looks, target),
            *(not_undone(target, undo_to, stayed.get(target, unseen)) if undo and target in deltas else []),
            *(undone_elsewhere(looks, target, undo_to) if target in stayed else []),
            *(unfit(database or {}, target, left, undo=undo, undo_to=undo_to) if todo else []),
        ],
    }


def _stayed(looks: t.Mapping[str, Look], deltas: t.Mapping[str, set[int]]) -> dict[str, list[int]]:
    """The live release, and the deltas that it has never seen, where the last rollback led to it and undid none."""
    told = last(looks)
    if told.get("kind") != "rollback" or told.get("undo") or not told.get("finished"):
        return {}
    live = told["release"]
    above = deltas.get(told.get("left", ""), set()) - deltas.get(live, set())
    return {live: sorted(above)} if above and all(look["current"] == live for look in looks.values()) else {}


def _words(begun: Entry) -> str:
    return f"the {begun['kind']} of {begun['release']} that {begun['by']} began at {begun['id'][:19]}Z" if begun else ""


def plan_lines(plan: Plan) -> list[str]:
    """The plan in words."""
    swept = ["What an earlier session drop put aside is removed"] if plan["owing"] else []
    ahead = plan.get("ahead")
    older = [f"The database is ahead: it has {numbers(ahead)}, which this release has never seen"] if ahead else []
    if not plan["todo"]:
        return [f"Nothing to do: release {plan['release']} is live on every web host.", *older, *swept]
    lines = [
        f"Release: {plan['release']}, to be switched on {', '.join(plan['switch']) or 'no host'}",
        *([f"Left is {plan['left']}, which is marked as one not to come back to"] if plan.get("left") else []),
        f"Deltas: {_delta_words(plan)}",
        *older,
        f"Sessions: {_session_words(plan)}",
        f"Maintenance window: {'yes, on ' + ', '.join(plan['blocks']) if plan['window'] else 'none needed'}",
        f"Mode: {plan['mode']}, as {plan['why']}",
    ]
    if plan["switch"] and not plan.get("proven", True):
        lines.append("New code: not proven to be what is served; see release_document_root, or deploy_release_path")
    back_in = [host for host in plan["turns"] if host in plan["left_out"]] if plan["kind"] == "deploy" else []
    if back_in:
        lines.append(f"Back into the balancing: {', '.join(back_in)}, which an earlier run left out")
    if plan["continues"]:
        lines.append(f"Continues {plan['continues']}")
    if plan["found_blocked"]:
        lines.append(f"Found blocked: {', '.join(plan['found_blocked'])}")
    return lines + swept


def _session_words(plan: Plan) -> str:
    if plan["kind"] == "rollback":
        return "kept, also those of newer code; lamp.cluster.purge_sessions ends them"
    return "dropped, as the build is tagged so" if plan["drop"] else "kept"


def _delta_words(plan: Plan) -> str:
    if plan["kind"] == "deploy":
        return ", ".join(plan["deltas"]) or "none"
    if plan["undo"]:
        return f"those above {plan['undo_to']} are undone"
    if plan["deltas_stay"]:
        late = min(plan["deltas_stay"]) < plan["undo_to"]
        return (
            f"{', '.join(map(str, plan['deltas_stay']))} stay applied, which release {plan['release']} has never seen;"
            f" {'only new deltas take back' if late else '-e rollback_undo=true undoes'} them"
        )
    return "none to undo"


def told(decide: t.Callable[..., Plan]) -> t.Callable[..., Plan]:
    """``decide`` as a filter: its plan has the ``lines`` that tell it in words."""

    def decided(
        looks: t.Mapping[str, Look], lock: t.Mapping[str, t.Any] | None = None, lock_host: str = "", **options: t.Any
    ) -> Plan:
        plan = decide(looks, **options)
        others = elsewhere(looks, lock, lock_host) if lock else {}
        return {**plan, "lines": plan_lines(plan), "refusals": [*refusals(looks, others), *plan["refusals"]]}

    return decided
