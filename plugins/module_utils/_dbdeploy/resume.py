# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a delta that was cut off goes on, and what a new session must be told before."""

from __future__ import annotations

import re

from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import Progress
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.course import Course
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.kept import Kept, same_again
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import text_of
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.statement import STRINGS
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

SHOWN = 300  # characters of a statement that a message shows
SECRET = re.compile(r"\b(IDENTIFIED|PASSWORD)\b", re.IGNORECASE)


def first_of(course: Course, earlier: Progress | None, on_unknown: str) -> int:
    """Index of the first statement to run.

    :raises LampError: ``dbdeploy_half_way``, ``dbdeploy_done_part_changed``, ``dbdeploy_unknown_outcome``
    """
    if earlier is None:
        return 0
    delta, statements = course.delta, course.statements
    if earlier.direction != course.direction:
        raise LampError(
            "dbdeploy_half_way",
            f"{delta.name} was cut off in its {earlier.direction} part; it cannot change its direction now.",
            f"Finish the {earlier.direction} part first.",
        )
    if earlier.done > len(statements) or course.hash_of(earlier.done) != earlier.done_hash:
        raise LampError(
            "dbdeploy_done_part_changed",
            f"{delta.name}: of its {earlier.done} statements that ran already, one was edited.",
            "Put those statements back as they were; mend only what comes after them.",
        )
    if earlier.running is None:
        return earlier.done
    there = earlier.done < len(statements)
    if on_unknown == "fail":
        why = "a crash left unknown whether it took effect"
        raise unknown(course, earlier.done, why, statements[earlier.done].text if there else "")
    return earlier.done + (1 if on_unknown == "skip" and there else 0)


def said_again(course: Course, first: int, on_unknown: str) -> list[int]:
    """The statements before ``first`` that a new session needs, by their indexes; what it has no use for is left out.

    :raises LampError: ``dbdeploy_session_lost`` where that cannot be had, or not without a decision
    """
    done = course.statements[:first]
    kept = Kept(done, course.statements[first:])
    course.left_out = {first + index for index in kept.void}
    if not kept.lost or on_unknown == "skip":
        return sorted(kept.settings)
    makers = kept.made_lost
    repeatable = all(kept.effects[index].repeatable for index in makers)
    if on_unknown == "retry" and repeatable:
        return sorted(kept.settings.union(makers))
    lines = ", ".join(str(done[index].line) for index in makers)
    way = (
        "Run again with on_unknown=retry to run that again first, as the database is now"
        if repeatable
        else "To have it again would write rows twice: make it anew in statements that did not run yet (SET, CREATE"
        " TEMPORARY TABLE), or name its value there, and run again"
    )
    raise LampError(
        "dbdeploy_session_lost",
        f"{course.delta.name} stopped after statement {first}; what line {lines} kept in the session"
        f" ({', '.join(sorted(kept.lost))}) is gone, and later statements use it.",
        f"{way}; on_unknown=skip goes on without.",
    )


def in_same_session(course: Course, first: int, last: int | None) -> bool:
    """Whether statements ``first`` to ``last``, which were rolled back, can be run again in the session they ran in."""
    return same_again(course.statements[first : None if last is None else last + 1])


def in_fresh_session(course: Course, first: int, last: int | None) -> bool:
    """Whether another session can begin at ``first`` in place of one that came to ``last``, and nothing is missing."""
    done = course.statements[: None if last is None else last + 1]
    # The first session stays open, with all that it locked.
    return not any(each.locks for each in done) and not Kept(course.statements[:first], course.statements[first:]).lost


def shown(text: str) -> str:
    """A statement in a message, with an end that is seen, and without the strings of one that is about passwords."""
    if SECRET.search(text):
        text = STRINGS.sub("'***'", text)
    return f"{text[:SHOWN]} ..." if len(text) > SHOWN else f"{text};"


def said(error: BaseException, text: str) -> str:
    """What the server said of the statement ``text``, but for what it quotes of one that is about passwords."""
    words = text_of(error)
    return words.partition(" near '")[0] if SECRET.search(text) else words


def unknown(course: Course, index: int, why: str, text: str) -> LampError:
    """Nobody can tell from here what the statement ``text`` did, which is empty where the file lacks it now."""
    delta = course.delta
    what, advice = (
        (
            f"Statement: {shown(text)}",
            "Look at the database. Run again with on_unknown=skip if it did all it should; mend what it left behind,"
            " and run again with on_unknown=retry, if not.",
        )
        if text
        else (
            "It is no longer in the file, and none comes after it.",
            "Look at the database, and mend what it left behind. Run again with on_unknown=skip: nothing more is run,"
            " and the delta counts as complete.",
        )
    )
    return LampError(
        "dbdeploy_unknown_outcome",
        f"{delta.name}, statement {index + 1}: {why}. {what}",
        advice,
        unknown=[{"number": delta.number, "name": delta.name, "statement": index + 1}],
    )
