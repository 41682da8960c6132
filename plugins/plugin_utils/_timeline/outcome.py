# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the run ended, in words that a person who was woken at night understands."""

from __future__ import annotations

import typing as t

from .harvest import BLOCKED, UNKNOWN, Harvest
from .model import Timeline

# What the outcome means for the eye: the colour of the line and of the page's badge.
GOOD, QUIET, BAD = "good", "quiet", "bad"
STATUS = "status: "  # in front of the verdict of a run that only asks where the application stands


def derive(timeline: Timeline, harvest: Harvest, failed: bool, stated: t.Mapping[str, t.Any]) -> str:
    """The outcome: what the deploy itself stated last, unless the run failed and it did not say so."""
    own = str(stated.get("outcome") or "").replace("_", " ").strip()
    if own and (failed == own.startswith("failed") or own.startswith(STATUS)):
        return own
    if failed:
        return _failure(timeline, harvest)
    changed = any(task.state == "changed" for task in timeline.tasks)
    if timeline.check_mode:
        return "check mode: would change" if changed else "check mode: nothing to do"
    if harvest.switched:
        return "deployed"
    return "changed" if changed else "nothing to do"


def _failure(timeline: Timeline, harvest: Harvest) -> str:
    if timeline.check_mode:
        return "check mode: failed"
    blocked, unknown = harvest.still(BLOCKED), harvest.still(UNKNOWN)
    if blocked:
        return "failed, site blocked"
    if unknown:
        return f"failed, state of {', '.join(unknown)} unknown"
    recovery = [phase for phase in timeline.phases if phase.name == "recover" and phase.ran]
    if recovery:
        return "failed, not put back" if recovery[-1].state in ("failed", "unreachable") else "failed, put back"
    if harvest.windows or harvest.switched or harvest.deltas:
        return "failed, site open"
    return "failed, site untouched" if timeline.is_deploy else "failed"


def tone(outcome: str) -> str:
    """Whether an outcome is good, bad or nothing to look at twice."""
    if outcome.startswith(STATUS):
        verdict = outcome[len(STATUS) :]
        quiet = verdict in ("a deploy is running", "nothing was deployed yet")
        return QUIET if quiet else GOOD if verdict.startswith("all is well") else BAD
    if outcome.startswith(("failed", "interrupted", "check mode: failed")):
        return BAD
    return QUIET if outcome.startswith(("nothing", "check mode")) else GOOD


def stated(custom: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the deploy said of itself through set_stats: a ``deploy`` or ``status`` mapping, or ``deploy_outcome``."""
    for values in [custom.get("_run") or {}, *(value for key, value in custom.items() if key != "_run")]:
        if isinstance(values, dict) and isinstance(values.get("deploy"), dict):
            told = {str(key): value for key, value in values["deploy"].items()}
            return {**told, "outcome": told.get("result")}
        if isinstance(values, dict) and isinstance(values.get("status"), dict) and values["status"].get("verdict"):
            return {"outcome": f"{STATUS}{values['status']['verdict']}"}
        if isinstance(values, dict) and values.get("deploy_outcome"):
            return {"outcome": str(values["deploy_outcome"])}
    return {}
