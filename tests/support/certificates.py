# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority of a test's own, with a certificate that serves both sides."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make(folder: Path, alternative: str = "IP:127.0.0.1") -> dict[str, Path]:
    """``ca``, ``cert`` and ``key`` in ``folder``, the certificate for ``alternative``."""
    paths = {"ca": folder / "ca.pem", "cert": folder / "cert.pem", "key": folder / "key.pem"}
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    authority = folder / "ca-key.pem"
    subprocess.run(
        [
            *new, "-subj", "/CN=lamp test", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", str(authority), "-out", str(paths["ca"]),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        [
            *new, "-subj", "/CN=lamp test server", "-addext", f"subjectAltName={alternative}",
            "-addext", "basicConstraints=critical,CA:FALSE", "-CA", str(paths["ca"]), "-CAkey", str(authority),
            "-keyout", str(paths["key"]), "-out", str(paths["cert"]),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    for path in paths.values():
        path.chmod(0o644)  # servers that drop root must read them
    return paths
