# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site: the pages of docs/, and the reference that antsibull-docs makes. `make docs` builds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from docutils import nodes

GALAXY = yaml.safe_load((Path(__file__).parents[2] / "galaxy.yml").read_text())

project = "lamp.cluster"
copyright = "The lamp.cluster developers, GPL-3.0-or-later"
version = release = str(GALAXY["version"])
title = html_title = f"lamp.cluster {release}"
html_short_title = "lamp.cluster"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_heading_anchors = 3
exclude_patterns = ["site"]
html_theme = "sphinx_ansible_theme"
html_theme_options = {"display_version": True, "documentation_home_url": "index.html", "topbar_links": {}}
html_static_path: list[str] = []
html_show_sphinx = False
html_copy_source = False
html_use_index = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"

# Ansible's own pages: with intersphinx a build would need the network.
ANSIBLE = "https://docs.ansible.com/ansible/latest"
PAGES = {
    "ansible_documentation": "index.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "action_plugins": "plugins/action.html",
    "callback_plugins": "plugins/callback.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "module_defaults_groups": "user_guide/module_defaults.html",
}


def link_to_ansible(_app: Any, _env: Any, node: nodes.Element, content: nodes.Node) -> nodes.Node | None:
    """A reference to a page of Ansible's documentation; what is neither ours nor known there stays a warning."""
    target = str(node.get("reftarget", ""))
    plugin = target.removeprefix("ansible_collections.ansible.builtin.")
    if plugin != target:
        page = f"collections/ansible/builtin/{plugin}.html"
    elif target in PAGES:
        page = PAGES[target]
    else:
        return None
    return nodes.reference("", "", content, refuri=f"{ANSIBLE}/{page}", internal=False)


def setup(app: Any) -> None:
    """Sphinx's entry point."""
    app.connect("missing-reference", link_to_ansible)
