# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a blocked visitor gets: a page for people, a document for programs."""

from __future__ import annotations

import html
import json
import re

# Self-contained: no other request would be answered. The script looks whether the site is back and then loads it; the
# answer of a proxy that finds no web server, or was asked too often, does not mean that. One that leads elsewhere, as
# to HTTPS or to a login, does; followed to another origin, a browser would hide it. The script never repeats a form
# that was sent, as location.replace is a GET; to an address with a # that would be a jump within the page alone.
# Without scripts the page loads itself anew. HAProxy sends it as one line, hence no comment that a line's end closes.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>Under maintenance</title>
<noscript><meta http-equiv="refresh" content="20"></noscript>
<style>
:root {{ --ground: #f4f1ea; --paper: #fff; --ink: #23201a; --soft: #5d574b; --accent: #b45f06; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ground: #17150f; --paper: #24211a; --ink: #f1ece0; --soft: #bdb4a2; --accent: #ffb84d; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; min-height: 100vh; min-height: 100svh; display: grid; place-items: center; padding: 1.25rem;
  background: var(--ground); color: var(--ink); font: 1.0625rem/1.6 system-ui, sans-serif; }}
main {{ max-width: 34rem; width: 100%; background: var(--paper); border-radius: 1rem;
  padding: 2.5rem clamp(1.5rem, 6vw, 3rem); box-shadow: 0 .5rem 2rem rgb(0 0 0 / .12); }}
svg {{ display: block; width: 3.5rem; height: 3.5rem; margin: 0 0 1.25rem; color: var(--accent); }}
h1 {{ font-size: clamp(1.5rem, 6vw, 2rem); line-height: 1.2; margin: 0 0 .75rem; text-wrap: balance; }}
p {{ margin: 0 0 1.25rem; overflow-wrap: anywhere; }}
.soft {{ margin: 0; padding-top: 1.25rem; border-top: 1px solid rgb(128 120 104 / .35);
  color: var(--soft); font-size: .95rem; }}
.hand {{ transform-origin: 24px 24px; animation: turn 4s linear infinite; }}
@keyframes turn {{ to {{ transform: rotate(360deg); }} }}
@media (prefers-reduced-motion: reduce) {{ .hand {{ animation: none; }} }}
@media (forced-colors: active) {{ main {{ border: 1px solid; }} }}
</style>
</head>
<body>
<main>
<svg viewBox="0 0 48 48" fill="none" stroke="currentColor" stroke-width="4" stroke-linecap="round" aria-hidden="true"
 focusable="false"><circle cx="24" cy="24" r="20"></circle><path d="M24 24l8 5"></path>
<path class="hand" d="M24 24V11"></path></svg>
<h1>We will be right back</h1>
<p>{message}</p>
<p class="soft" role="status" id="status">You need not do anything: this page opens the site as soon as it is back.</p>
</main>
<script>
"use strict";
(function watch(wait) {{
  setTimeout(async function () {{
    try {{
      const answer = await fetch(location.href, {{ method: "HEAD", cache: "no-store", redirect: "manual" }});
      if (![429, 502, 503, 504].includes(answer.status)) {{
        document.getElementById("status").textContent = "The site is back: loading it now.";
        if (location.href.includes("#")) location.reload(); else location.replace(location.href);
        return;
      }}
    }} catch (problem) {{ /* no network: look again */ }}
    watch(Math.min(wait * 1.5, 30000));
  }}, wait * (0.8 + 0.4 * Math.random()));
}})(3000);
</script>
</body>
</html>
"""

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def render(message: str, retry_after: int) -> dict[str, str]:
    """The pages by kind: ``html`` and ``json``; ``retry_after`` in seconds."""
    message = CONTROL.sub("", message)
    document = {"error": "maintenance", "message": message, "retry_after": retry_after}
    return {
        "html": PAGE.format(message=html.escape(message.strip()).replace("\n", "<br>")),
        "json": json.dumps(document) + "\n",
    }
