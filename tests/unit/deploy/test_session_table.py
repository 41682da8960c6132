# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that counts as the sessions' in a deploy, as the settings of the purge name it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.lamp.cluster.plugins.filter.session_table import FilterModule
from jinja2 import Environment

from tests.support.modules import ROOT

ROLES = ROOT / "roles"
DEFAULTS = yaml.safe_load((ROLES / "session_purge" / "defaults" / "main.yml").read_text())


def session_table(**settings: Any) -> str:
    """What the role deploy makes of the settings."""
    template = yaml.safe_load((ROLES / "deploy" / "vars" / "main" / "plan.yml").read_text())["deploy__session_table"]
    environment = Environment(autoescape=False)  # noqa: S701 (a name, and no page)
    environment.filters.update({f"lamp.cluster.{name}": made for name, made in FilterModule().filters().items()})
    return environment.from_string(template).render(settings).strip()


@pytest.mark.parametrize(
    ("settings", "table"),
    [
        ({}, "lamp_session"),
        ({"session_purge_layout": "symfony"}, "sessions"),
        ({"session_purge_layout": "symfony", "session_purge_table": "visits"}, "visits"),
        ({"session_purge_layout": "custom"}, ""),
        ({"session_purge_store": "redis"}, ""),
    ],
)
@pytest.mark.parametrize("given", [{}, DEFAULTS], ids=["before the role is loaded", "after"])
def test_it_is_the_one_that_a_drop_purges(given: dict[str, Any], settings: dict[str, Any], table: str) -> None:
    assert session_table(**{**given, **settings}) == table


def test_a_layout_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(AnsibleError, match="'joomla' is no layout of session tables; there are lamp, symfony"):
        session_table(session_purge_layout="joomla")
