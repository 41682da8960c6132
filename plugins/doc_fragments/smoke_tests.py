# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a smoke test is, for the modules that run them."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  request_headers:
    description:
      - Headers that each request carries, such as C(X-Forwarded-Proto=https) where a load balancer ends TLS, and the
        application redirects what came without. They are shown with C(-vvv), so that none is to be a secret.
    type: dict
    default: {}
  tests:
    type: list
    elements: dict
    suboptions:
      path:
        description: Path and query, such as V(/login?next=/). It begins with a slash.
        type: str
        required: true
      status:
        description: The status that is expected.
        type: int
        default: 200
      contains:
        description: A text that the body must contain.
        type: str
      absent:
        description: A text that the body must not contain.
        type: str
      json:
        description: Values that a JSON body must have, by dotted path (V(a.b.0)). They are compared as text.
        type: dict
      headers:
        description: Headers that the answer must have, with these values.
        type: dict
      timeout:
        description: Seconds in which the whole answer must have come.
        type: float
        default: 10
"""
