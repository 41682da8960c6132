# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a blocked visitor gets: a page for people, a document for programs."""

from __future__ import annotations

import html
import json

# Self-contained: no other request would be answered. The script looks whether the site is back and then loads it
# anew; it never repeats a form that was sent, as location.replace is a GET.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>Under maintenance</title>
<style>
:root {{ --ground: #f4f1ea; --paper: #fff; --ink: #23201a; --soft: #5d574b; --accent: #b45f06; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ground: #17150f; --paper: #24211a; --ink: #f1ece0; --soft: #bdb4a2; --accent: #ffb84d; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--ground); color: var(--ink); font: 1.0625rem/1.6 system-ui, sans-serif; }}
main {{ max-width: 32rem; width: 100%; background: var(--paper); border-radius: 1rem; padding: 2.5rem 2rem;
  border-top: .4rem solid var(--accent); box-shadow: 0 .5rem 2rem rgb(0 0 0 / .12); }}
h1 {{ font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }}
p {{ margin: 0 0 1rem; overflow-wrap: anywhere; }}
p:last-child {{ margin: 0; color: var(--soft); font-size: .95rem; }}
</style>
</head>
<body>
<main>
<h1>We will be right back</h1>
<p>{message}</p>
<p role="status" id="status">This page comes back by itself when the site does.</p>
</main>
<script>
"use strict";
(function watch(wait) {{
  setTimeout(async function () {{
    try {{
      const answer = await fetch(location.href, {{ method: "HEAD", cache: "no-store" }});
      if (!answer.headers.has("X-Lamp-Maintenance")) {{
        document.getElementById("status").textContent = "The site is back: loading it now.";
        location.replace(location.href);
        return;
      }}
    }} catch (problem) {{ /* no network: look again */ }}
    watch(Math.min(wait * 1.5, 30000));
  }}, wait);
}})(3000);
</script>
<noscript><p>Please load this page again in a while.</p></noscript>
</body>
</html>
"""


def render(message: str, retry_after: int) -> dict[str, str]:
    """The pages by kind: ``html`` and ``json``; ``retry_after`` in seconds."""
    document = {"error": "maintenance", "message": message, "retry_after": retry_after}
    return {"html": PAGE.format(message=html.escape(message)), "json": json.dumps(document) + "\n"}
