#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: dbdeploy
short_description: Apply SQL deltas to a database, each exactly once
version_added: 1.0.0
description:
  - Applies the numbered delta files of a folder that the database has not seen yet, in their order, and records them in
    dbdeploy's changelog table.
  - A delta that failed half way is resumed where it stopped once it was mended. A delta of DML alone is in one
    transaction with its record.
  - A delta may be tagged with the comment line C(-- @DROP-SESSIONS). The drop is recorded with the delta, and is due
    until it is acknowledged with O(state=sessions_dropped).
  - One runner at a time works on a database, on a single server as on Galera.
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
  - lamp.cluster.mysql
options:
  src:
    description:
      - Folder of the delta files, on the controller, or on the host with O(remote_src=true).
      - A delta is a file whose name is digits, then anything, then C(.sql). Other files are listed and left alone.
    type: path
  remote_src:
    description: Whether O(src) is on the host.
    type: bool
    default: false
  deltas:
    description:
      - The files themselves, in place of O(src). On the controller, O(src) is turned into this.
      - The system log of the host and the C(invocation) of the result tell only how many there are.
    type: list
    elements: dict
    suboptions:
      name:
        description: The file's name.
        type: str
        required: true
      content:
        description: Its text.
        type: str
        required: true
  state:
    description:
      - V(applied) applies what is pending, V(undone) runs the undo parts of what was applied above O(to), V(baselined)
        records deltas as applied without running them, V(sessions_dropped) acknowledges all session drops that are due.
    type: str
    choices: [applied, undone, baselined, sessions_dropped]
    default: applied
  to:
    description:
      - The highest number to apply or to baseline; with O(state=undone), the highest number that stays applied.
    type: int
  delta_set:
    description: Name of the delta set; several may share a changelog table.
    type: str
    default: Main
  changelog_table:
    description:
      - dbdeploy's table. It is made when it is missing; those of dbdeploy 2, dbdeploy 3 and Phing are used as they are.
    type: str
    default: changelog
  out_of_order:
    description: What to do with a pending delta whose number is lower than one that was applied.
    type: str
    choices: [apply, skip, fail]
    default: apply
  encoding:
    description:
      - Encoding of the delta files. Their text is sent in UTF-8, so that a file of another encoding must not have a
        C(SET NAMES) of its own.
    type: str
    default: utf-8
  accept_changed:
    description: Accept that delta files were edited after they were applied.
    type: bool
    default: false
  on_unknown:
    description:
      - What to do with a statement of which nobody knows how much of it took effect (see RV(unknown)). V(retry) runs it
        again, V(skip) goes on after it.
      - It decides, too, about a delta that another tool began, and about values that a delta kept in a session that is
        gone.
    type: str
    choices: [fail, retry, skip]
    default: fail
  session_table:
    description: A delta that empties this table counts as tagged.
    type: str
    default: ""
  drop_tags:
    description:
      - Further session drops to record, once each, with O(state=applied). They are recorded together with the first
        delta that completes, or, where none is pending, by themselves.
      - With O(state=undone), session drops to forget, be they due or done, so that O(state=applied) records them again.
        They go together with the first delta that is undone, or, where there is none, by themselves.
    type: list
    elements: str
    default: []
  replaced:
    description:
      - The releases that are live and whose place is to be taken by the one that the deltas are of, with
        O(state=applied). Users may have begun sessions under them since a drop was done, so that it is recorded anew,
        of every tag in O(drop_tags), and of each tagged delta that one of these releases lacks.
    type: list
    elements: dict
    default: []
    suboptions:
      deltas:
        description: The numbers of its deltas.
        type: list
        elements: int
        required: true
  output_file:
    description:
      - Write what the run would do as a script for the C(mariadb) or C(mysql) client into this file, on the host that
        runs the module, and leave the database alone. The script makes the same database as a run, records included.
      - It holds no password and no dates; the file is replaced only when it differs. Check mode writes nothing, and
        shows the difference.
      - A new file is readable by its owner alone, one that was there keeps owner and mode. The folder must exist.
      - For all values of O(state) but V(sessions_dropped).
    type: path
  undo_output_file:
    description:
      - Write a script that undoes what the one in O(output_file) does. It leaves the database alone, too.
      - With O(state=applied); every pending delta must have an undo part.
    type: path
  allow_unreplicated:
    description:
      - On Galera, accept deltas that write rows of MyISAM or another engine that is not replicated. Such rows are on
        one node alone, without any message. Rows that a procedure writes are not looked for.
    type: bool
    default: false
  replicas:
    description:
      - Replicas to wait for, so that nobody reads an old schema from them once the run is over. Each must reach the
        position that the server has after the run. They are logged in to with the same user, password and TLS options.
      - The wait is part of V(applied) and V(undone), also when nothing was pending; check mode does not wait.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: The replica's host name or address, as seen from the host that runs the module.
        type: str
        required: true
      port:
        description: Its TCP port.
        type: int
        default: 3306
  replica_timeout:
    description: Seconds to wait for all O(replicas) together.
    type: float
    default: 60
  lock_timeout:
    description:
      - Seconds to wait for another runner.
      - A runner that died is forgotten at once where its server sees that its connection ended. Seen from another node
        of a cluster it is forgotten after 12 seconds without a sign of life, unless it may still run a statement that
        commits by itself; O(on_unknown) then decides.
    type: float
    default: 30
  lock_wait_timeout:
    description: Seconds that a statement waits for a lock that somebody else holds on a table or a row.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Apply what is pending
  lamp.cluster.dbdeploy:
    src: db/deltas
    login_host: db.example.com
    login_user: shop
    login_password: "{{ shop_db_password }}"
    login_db: shop

- name: Show what would be applied, with its SQL
  lamp.cluster.dbdeploy:
    src: db/deltas
    login_db: shop
    config_file: /root/.my.cnf
  check_mode: true
  diff: true

- name: Have what is pending written as scripts, for somebody else to run
  lamp.cluster.dbdeploy:
    src: db/deltas
    login_db: shop
    config_file: /root/.my.cnf
    output_file: /root/shop_do.sql
    undo_output_file: /root/shop_undo.sql

- name: Go back to delta 12
  lamp.cluster.dbdeploy:
    src: db/deltas
    state: undone
    to: 12
    login_db: shop
    config_file: /root/.my.cnf
"""


RETURN = r"""
applied:
  description: The deltas that were applied (in check mode, that would be), each with C(number), C(name), C(checksum),
    C(statements) (their count), C(drops_sessions), and after a run C(duration) in seconds, C(resumed_at), and
    C(retries), how often its transaction was begun again after a deadlock, a conflict or a lock that was not granted
    in time.
  returned: always, once the deltas were read
  type: list
  elements: dict
  sample:
    - {number: 3, name: 003_split_price.sql, statements: 4, drops_sessions: false, duration: 0.12, resumed_at: 0,
       retries: 0}
undone:
  description: The deltas that were undone, in the same form.
  returned: success
  type: list
  elements: dict
  sample: []
baselined:
  description: The deltas that were recorded without being run, in the same form.
  returned: success
  type: list
  elements: dict
  sample: []
pending:
  description: The deltas that O(state=applied) found, or would find, not applied when the run began.
  returned: success
  type: list
  elements: dict
  sample: []
ignored_files:
  description: Files in the folder that are no deltas.
  returned: success
  type: list
  elements: str
  sample: [README]
gaps:
  description: Numbers, or ranges of them, that neither a file nor the changelog has. Empty where numbers are dates.
  returned: success
  type: list
  elements: str
  sample: ["4", "7-9"]
ahead:
  description:
    - Numbers of deltas that the database has and the folder lacks, which shows that the folder is older than the
      database. They are those above the highest file, and any that was begun and never completed.
  returned: success
  type: list
  elements: int
  sample: []
unfinished:
  description:
    - The deltas that were begun and never completed, whether the folder has them or not, each with C(number),
      C(direction), which is V(do) or V(undo), and C(unknown), whether nobody knows if one of its statements took
      effect.
    - A run that was to finish them tells what it found when it began.
  returned: success, and where such a delta is why the run was refused
  type: list
  elements: dict
  sample:
    - {number: 5, direction: undo, unknown: false}
table_changes:
  description:
    - What statements will do to the tables that are there, each with C(number) (of the delta), C(statement) (from 1),
      C(table), C(rows) (the server's estimate) and C(effect), which is V(instant) (only the definition changes),
      V(index) (an index is built or dropped, without a rebuild), V(rebuild) or V(removal) (of rows).
    - It is told from the statements and the tables, by InnoDB's rules; what is not known to be instant counts as a
      rebuild.
  returned: in check mode, and with C(--diff)
  type: list
  elements: dict
  sample:
    - {number: 3, statement: 1, table: product, rows: 1200, effect: instant}
drop_sessions:
  description: Whether a session drop is due.
  returned: success
  type: bool
drop_reasons:
  description: The deltas and tags that ask for it.
  returned: success
  type: list
  elements: str
  sample: [005_new_session_format.sql]
resumed:
  description: Numbers of the deltas that were resumed.
  returned: success
  type: list
  elements: int
  sample: []
database_changed:
  description:
    - Whether anything but this module's own records took effect in the database, or may have. V(false), too, where
      nothing was to be done, or something failed before the first delta.
  returned: but in check mode and with O(output_file), also on failure; a failure without it may have changed anything
  type: bool
failed_delta:
  description: The delta that failed, with C(number), C(name), C(statement) (from 1) and the server's C(error) number.
  returned: when a statement failed
  type: dict
unknown:
  description: The statement whose outcome nobody knows, with C(number), C(name) and C(statement).
  returned: when that is why the run failed
  type: list
  elements: dict
replicas:
  description: The replicas that have caught up, with the GTID C(position) that they reached and the seconds C(waited).
  returned: when O(replicas) were waited for
  type: list
  elements: dict
  sample: [{host: db2.example.com, port: 3306, position: 0-1-4711, waited: 0.012}]
replica:
  description: The replica that has not caught up.
  returned: when that is why the run failed
  type: str
  sample: db2.example.com:3306
lock_holder:
  description: Who holds the lock, with database user, host, process and time, as far as this user may see.
  returned: when another runner holds it
  type: str
  sample: shop@10.0.0.5 (connection 12), process 4711 of root on web1, since 2026-03-01 12:00:00 UTC
error_code:
  description: What failed, such as V(dbdeploy_statement_failed).
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils import _mysql
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import delta as delta_files
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy import folder, galera, output
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.changelog import Changelog
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.engine import Engine, Settings
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.options import ARGUMENTS
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.outlook import Outlook
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.plan import Plan
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.run import Run
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.script import Dialect
from ansible_collections.lamp.cluster.plugins.module_utils._dbdeploy.session import records_error, untouched
from ansible_collections.lamp.cluster.plugins.module_utils._module import run as run_module


def dbdeploy(module: AnsibleModule) -> dict[str, t.Any]:
    """Plan; carry the plan out unless in check mode or there is nothing to do."""
    params = module.params
    dialect = Dialect(recoded=folder.is_recoded(params["encoding"]))
    with untouched():
        deltas, ignored = delta_files.read(folder.files(params), params["session_table"], dialect)
        run = Run(params)
    try:
        with untouched():
            dialect.learn(run.sql_mode, run.flavour.product == "mysql")
            changelog = Changelog(run.session, params["changelog_table"], params["delta_set"])
            engine = Engine(changelog, deltas, Settings(params))
            engine.check()
            if run.flavour.cluster == "galera":
                for warning in galera.look_ahead(run.connection, engine.work(), params["allow_unreplicated"]):
                    module.warn(warning)
            plan = {**engine.plan(), "ignored_files": ignored}
            if module._diff or module.check_mode:
                shown = Plan(engine, Outlook(run.session, run.flavour))
                plan["table_changes"] = shown.changes
                plan["diff"] = {"prepared": shown.text}
                for refusal in shown.refusals if module.check_mode else ():
                    module.warn(f"A run would be refused: {refusal}")
            if params["output_file"] or params["undo_output_file"]:
                return {**plan, **output.write(engine, params, check_mode=module.check_mode)}
        if module.check_mode:
            return plan
        if plan["changed"] or params["accept_changed"]:
            plan.update(run.locked(engine))
        else:
            plan["database_changed"] = False
        return run.replicated(plan)
    except _mysql.SERVER_ERRORS as error:
        raise records_error(error) from error
    finally:
        if run.connection.open:
            run.connection.close()


def main() -> None:
    run_module(ARGUMENTS.create_module(), dbdeploy)


if __name__ == "__main__":
    main()
