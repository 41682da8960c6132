# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Visitors of the demo application: a steady stream of requests, and a user who is logged in."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from typing import Any, Self

from tests.support.servers.base import wait_until

TIMEOUT = 30  # seconds
STAMP = "X-Stamp"  # a header for each file that made the page, with its release


class Response:
    """One answer: when, ``status``, and what kind it is: a release, ``maintenance``, or what was wrong with it."""

    def __init__(self, moment: float, status: int, kind: str) -> None:
        self.moment = moment
        self.status = status
        self.kind = kind


def classify(status: int, headers: Any, body: bytes) -> str:
    """``v1`` … for a whole page of that release, ``maintenance`` for a proper block, else what is wrong."""
    release, stamps = headers.get("X-Release"), headers.get_all(STAMP, [])
    whole = f'<b id="release">{release}</b>'.encode() in body and b"</html>" in body
    if status == 200 and release and whole:
        # As the developers left them, the releases have no stamps; those that tests make have one in each file.
        return str(release) if stamps in ([], [release] * 3) else f"{release} with files of {', '.join(stamps)}"
    if status == 503 and headers.get("X-Lamp-Maintenance") and (headers.get("Retry-After") or "").isdigit():
        return "maintenance" if "no-store" in (headers.get("Cache-Control") or "") else "503 that may be stored"
    return f"status {status} of release {release}, {len(body)} bytes"


class Crowd:
    """People who ask, each in a thread of its own, until the ``with`` block ends."""

    def __init__(self, number: int) -> None:
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._visit, args=(index,), daemon=True) for index in range(number)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _visit(self, index: int) -> None:
        """Ask until ``stopping`` is set."""
        raise NotImplementedError


class Traffic(Crowd):
    """Visitors without a session, ``rate`` requests a second in all."""

    def __init__(self, url: str, rate: float = 20.0, visitors: int = 4) -> None:
        super().__init__(visitors)
        self.url = url
        self.pause = visitors / rate
        self.responses: list[Response] = []

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.responses.sort(key=lambda response: response.moment)

    def _visit(self, _index: int) -> None:
        while not self.stopping.is_set():
            moment = time.monotonic()
            self.responses.append(self._ask(moment))
            self.stopping.wait(max(0.0, self.pause - (time.monotonic() - moment)))

    def _ask(self, moment: float) -> Response:
        try:
            with urllib.request.urlopen(self.url, timeout=TIMEOUT) as answer:
                return Response(moment, answer.status, classify(answer.status, answer.headers, answer.read()))
        except urllib.error.HTTPError as error:
            return Response(moment, error.code, classify(error.code, error.headers, error.read()))
        except (OSError, http.client.HTTPException) as error:
            return Response(moment, 0, f"no answer: {error}")

    def kinds(self) -> Counter[str]:
        """How many responses of each kind there were."""
        return Counter(response.kind for response in self.responses)

    def blocked_seconds(self) -> float:
        """From the first answer of the block to the last one, as visitors see it."""
        blocked = [response.moment for response in self.responses if response.kind == "maintenance"]
        return blocked[-1] - blocked[0] if blocked else 0.0


class User:
    """A browser with a cookie jar."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def login(self, name: str = "demo", password: str = "demo") -> None:  # noqa: S107 (the demo's public account)
        """Log in by the form."""
        form = urllib.parse.urlencode({"user": name, "password": password}).encode()
        self.opener.open(f"{self.url}/login.php", form, timeout=TIMEOUT).close()

    def count(self) -> dict[str, Any]:
        """One request that the session counts: user, count, host, release."""
        with self.opener.open(f"{self.url}/count.php", timeout=TIMEOUT) as answer:
            return dict(json.loads(answer.read()))

    def answering_hosts(self) -> set[str]:
        """The web hosts that the load balancer gives requests to.

        HAProxy's roundrobin lets one of two hosts answer eight times in a row after the other was taken out and back.
        """
        return {self.count()["host"] for _ in range(36)}


class Members(Crowd):
    """Users who are logged in and keep asking; who is logged out logs in again."""

    def __init__(self, url: str, number: int = 3, pause: float = 0.1) -> None:
        super().__init__(number)
        self.users = [User(url) for _ in range(number)]
        self.pause = pause
        self.losses = [0] * number
        self.asked = [0] * number
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        for user in self.users:
            user.login()
        return super().__enter__()

    def _visit(self, index: int) -> None:
        user = self.users[index]
        while not self.stopping.is_set():
            try:
                if user.count()["user"] is None:
                    user.login()  # which one host may still refuse while another is open already
                    self.losses[index] += 1
                self.asked[index] += 1
            except urllib.error.HTTPError as error:
                kind = classify(error.code, error.headers, error.read())
                if kind != "maintenance":
                    self.faults.append(kind)
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.faults.append(repr(error))
            self.stopping.wait(self.pause)

    def settle(self) -> None:
        """Return when each of them was answered twice more, so that what happened before was noticed."""
        goal = [asked + 2 for asked in self.asked]
        wait_until(
            lambda: all(asked >= wanted for asked, wanted in zip(self.asked, goal)), "two answers to each member"
        )


class CountingUser(User):
    """A user whose session counts requests: what was answered, and what later answers no longer knew.

    The page tells its Content-Length: a host that is killed may have sent half an answer, which no load balancer can
    ask for again. Those are ``cut_off``; anything else that is not an answer is in ``failures``.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.counts: list[int] = []
        self.hosts: set[str] = set()
        self.failures: list[str] = []
        self.cut_off = 0

    def ask(self) -> None:
        """One request."""
        try:
            answer = self.count()
        except http.client.IncompleteRead:
            self.cut_off += 1
            return
        except (OSError, ValueError, http.client.HTTPException) as problem:
            self.failures.append(repr(problem))
            return
        self.counts.append(answer["count"])
        self.hosts.add(answer["host"])


class Counters(Crowd):
    """Counting users, each of whom asks without a pause."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(number)
        self.users = [CountingUser(url) for _ in range(number)]

    def _visit(self, index: int) -> None:
        while not self.stopping.is_set():
            self.users[index].ask()

    def progress(self, answers: int = 2, host: str = "") -> None:
        """Return when each of them had so many more answers, and one of those came from ``host``."""
        wanted = [len(user.counts) + answers for user in self.users]
        for user in self.users:
            user.hosts.clear()
        wait_until(
            lambda: all(len(user.counts) >= count for user, count in zip(self.users, wanted, strict=True)), "requests"
        )
        wait_until(lambda: not host or any(host in user.hosts for user in self.users), f"an answer of {host}")

    def report(self) -> dict[str, int]:
        """What happened to the requests of all.

        A count is lost when a later answer is not higher. One is counted twice when a dying host had counted it already
        before the load balancer sent the request to another one.
        """
        steps = [after - before for one in self.users for before, after in zip(one.counts, one.counts[1:])]
        return {
            "answered": sum(len(one.counts) for one in self.users),
            "not answered": sum(len(one.failures) for one in self.users),
            "cut off": sum(one.cut_off for one in self.users),
            "lost": sum(1 - step for step in steps if step < 1),
            "counted twice": sum(step - 1 for step in steps if step > 1),
            "split": sum(len(one.jar) != 1 or one.counts[:1] != [1] for one in self.users),
        }
