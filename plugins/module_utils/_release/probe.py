# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small script in every release that tells this host, and nobody else, which release PHP really runs.

PHP may go on with the old release after the switch: it remembers where `current` led to (the realpath cache, 120 s, for
each process), and the opcode cache remembers what it found under a path. A reload ends both. None is needed where the
web server resolves the link itself, or PHP is told to remember neither: then each request finds the release anew, but
for code that PHP loads in advance (opcache.preload), which stays what it was until a reload.
"""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError

NAME = "lamp-release.php"
PATIENCE_SECONDS = 10.0
ASKED_SECONDS = 5.0
FULL = 0.75  # of the opcode cache: releases that are gone stay in it until a reload

SCRIPT = """<?php
// Tells this host which release it runs: lamp.cluster asks it after the switch. For all others it does not exist.
$asker = $_SERVER['REMOTE_ADDR'] ?? '';
if (!in_array($asker, ['127.0.0.1', '::1', $_SERVER['SERVER_ADDR'] ?? '::1'], true)) {
    http_response_code(404);
    exit;
}
$cached = function_exists('opcache_get_status') && filter_var(ini_get('opcache.enable'), FILTER_VALIDATE_BOOLEAN);
$status = $cached ? @opcache_get_status(false) : [];
$memory = $status['memory_usage'] ?? ['used_memory' => 0, 'free_memory' => 1];
$keys = $status['opcache_statistics'] ?? ['num_cached_keys' => 0, 'max_cached_keys' => 1];
header('Content-Type: application/json');
header('Cache-Control: no-store');
echo json_encode([
    'file' => __FILE__,
    'resolved' => ($_SERVER['SCRIPT_FILENAME'] ?? '') === __FILE__,
    'preloads' => (string) ini_get('opcache.preload') !== '',
    'remembers' => (int) ini_get('realpath_cache_size') > 0
        || ($cached && !filter_var(ini_get('opcache.revalidate_path'), FILTER_VALIDATE_BOOLEAN)),
    'started' => $status['opcache_statistics']['start_time'] ?? null,
    'used' => $status === false ? 1 : max(
        $memory['used_memory'] / ($memory['used_memory'] + $memory['free_memory']),
        $keys['num_cached_keys'] / $keys['max_cached_keys']
    ),
]);
"""


class Probe:
    """The script, asked through the web server of this host."""

    def __init__(self, folder: str, asked: dict[str, t.Any]) -> None:
        """``folder`` is what the site serves, as a path in the release; ``asked`` are the options of a smoke test."""
        self.path = f"{folder}/{NAME}".lstrip("/")
        self.url = asked["base_url"].rstrip("/")
        self.asked = asked
        self.said = ""

    def ask(self) -> dict[str, t.Any]:
        """What the script answers; nothing when it does not, and ``said`` is what came instead."""
        # Only a switch needs it, and TLS takes long to load.
        from ansible_collections.lamp.cluster.plugins.module_utils import _smoke_test  # noqa: PLC0415

        _smoke_test.check({**self.asked, "tests": []})
        try:
            answer = _smoke_test.fetch(
                self.asked["address"] or _smoke_test.LOCAL,
                f"{self.url}/{NAME}",
                _smoke_test.headers_of(self.asked),
                verify=False,
                timeout=ASKED_SECONDS,
            )
        except OSError as error:
            self.said = str(error)
            return {}
        self.said = f"status {answer.status}: {answer.body[:80]}"
        try:
            found = json.loads(answer.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) and "file" in found else {}

    def needs_no_reload(self) -> bool:
        """Whether a switch shows at once, by what the live release says."""
        found = self.ask()
        return bool(found and _finds_anew(found) and found["used"] < FULL)

    def serves(self, release: str, since: float | None) -> bool:
        """Whether PHP runs the release in the folder ``release``, which is live ``since`` then.

        Where PHP remembers where `current` led, one process tells of itself alone: another may not have looked again.
        Then all of PHP must have started since, by the opcode cache, which starts anew with each reload.
        """
        found = self.ask()
        if found.get("file") != os.path.realpath(os.path.join(release, self.path)):
            return False
        started = found.get("started")
        if since is None or started is None or started >= int(since) or _finds_anew(found):
            return True
        self.said = (
            "PHP remembers where `current` led, and has run since before the switch; do the services to reload"
            " include the one that runs PHP?"
        )
        return False

    def prove(self, release: str, since: float | None) -> None:
        """Return once it does. :raises LampError: ``release_not_proven``"""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.serves(release, since):
            if time.monotonic() > deadline:
                raise LampError(
                    "release_not_proven",
                    f"{self.url}/{NAME} on this host does not say that {release} runs, but: {self.said}.",
                    "See that this folder of `current` is the document root, that PHP runs scripts there, and that what"
                    " runs it is reloaded (release_services of the role).",
                )
            time.sleep(0.05)


def _finds_anew(found: t.Mapping[str, t.Any]) -> bool:
    """Whether PHP, by what it says of itself, finds the release anew for each request."""
    return bool((found.get("resolved") or not found.get("remembers")) and not found.get("preloads"))
