# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the module on one server: its connections, its lock, and the replicas that it waits for."""

from __future__ import annotations

import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import preflight, replicas
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.engine import Engine
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.lock import NamedLock, RowLock
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import Session, untouched
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError


class Run:
    """The first connection, what answered, and the session over it."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.params = params
        self.connection = _mysql.connect(params, multi_statements=True)
        self.flavour = _mysql.Flavour.of(self.connection)
        self.prepare(self.connection)
        database, self.sql_mode = _mysql.query(self.connection, "SELECT DATABASE(), @@SESSION.sql_mode")[0]
        if not database:
            raise LampError(
                "dbdeploy_no_database", "No database was chosen.", "Set login_db, or database in the config_file."
            )
        self.session = Session(
            self.connection,
            self.another,
            packets=not self.flavour.cluster,
            compound=self.flavour.product == "mariadb" and self.flavour.version >= (10, 1),
        )

    def prepare(self, connection: _mysql.Connection) -> None:
        """Set a session up."""
        preflight.prepare(connection, self.flavour, self.params["lock_wait_timeout"], _mysql.where(self.params))

    def another(self) -> _mysql.Connection:
        """A connection like the first, to go on over."""
        connection = _mysql.connect(self.params, multi_statements=True)
        self.prepare(connection)
        return connection

    def locked(self, engine: Engine) -> dict[str, t.Any]:
        """Carry the run out under the lock that excludes on this kind of server."""
        params = self.params

        def connect(**options: t.Any) -> _mysql.Connection:
            return _mysql.connect(params, autocommit=True, **options)

        lock: NamedLock | RowLock
        if self.flavour.cluster:
            undecided = params["on_unknown"] == "fail"
            table, cluster = params["changelog_table"], self.flavour.cluster
            lock = RowLock(self.connection, connect, table, cluster, heed_running=undecided)
        else:
            lock = NamedLock(self.connection, params["changelog_table"])
        with untouched():
            lock.take(params["lock_timeout"])
        try:
            return engine.carry_out(lock)
        finally:
            lock.free()

    def replicated(self, plan: dict[str, t.Any]) -> dict[str, t.Any]:
        """The result ``plan`` once the replicas have caught up, if any are named."""
        params = self.params
        if not params["replicas"] or params["state"] not in ("applied", "undone"):
            return plan

        def connect(replica: dict[str, t.Any]) -> _mysql.Connection:
            place = {"login_host": replica["host"], "login_port": replica["port"], "login_unix_socket": None}
            return _mysql.connect({**params, **place, "login_db": None}, autocommit=True)

        try:
            target = replicas.position(self.connection, self.flavour, _mysql.where(params))
            waited = replicas.wait(target, self.flavour, params["replicas"], params["replica_timeout"], connect)
        except LampError as error:  # what was applied stays applied
            done = {name: value for name, value in plan.items() if name != "diff"}
            error.details = {**done, **error.details}
            raise
        return {**plan, "replicas": waited}
