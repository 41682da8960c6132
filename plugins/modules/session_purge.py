#!/usr/bin/python
# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: session_purge
short_description: Remove the users' sessions from the store they live in
version_added: 1.0.0
description:
  - Removes exactly the sessions of a store and nothing else, counts before and after, and repeats until none is left.
  - Run it while no request can write a session back, behind M(lamp.cluster.maintenance).
author: The lamp.cluster developers (@lamp-cluster)
extends_documentation_fragment:
  - lamp.cluster.attributes
  - lamp.cluster.attributes.actiongroup
  - lamp.cluster.mysql
attributes:
  idempotent:
    support: partial
    details: An epoch is raised by each run, for it ends also the sessions that requests are about to write.
options:
  store:
    description: Where the sessions are.
    type: str
    choices: [mysql, files, redis, memcached, couchdb]
    required: true
  dedicated:
    description:
      - The store holds sessions of this application and nothing else, so that it can be emptied at once, in a time that
        does not grow with their number. For O(store=files) the folder is exchanged for an empty one
        (with O(leftovers=leave)), for V(redis) the database is flushed, for V(memcached) the servers are, for
        V(couchdb) the database is dropped and made anew with its security object and design documents.
      - Not for a database of V(couchdb) that is replicated with other servers (the nodes of one cluster do not count);
        they would give all sessions back. Where this server's own replications name it, nothing is purged.
      - Without it, sessions are told by their names, and everything else survives. A table of O(store=mysql) always
        counts as dedicated.
      - In V(redis) and V(memcached), O(keep_ids) and O(older_than) have sessions told by their names all the same, and
        O(prefix) must be given then.
    type: bool
    default: false
  leftovers:
    description:
      - What to do with what can be put aside at once and removed later.
      - V(remove) removes it in the same run, with what earlier runs left. V(leave) is for a maintenance window, a
        later run removes it; counting stops at 10000 sessions then, see RV(exact). V(only) removes what earlier runs
        left, and purges nothing.
    type: str
    choices: [remove, leave, only]
    default: remove
  older_than:
    description:
      - Remove sessions only if they were not written for that long, V(90), V(15m), V(2h), V(1d), V(1w).
        For V(couchdb) the time of creation counts, for V(redis) also that of the last reading. V(memcached) takes
        O(lifetime) for it, and so does V(redis) with a C(maxmemory-policy) of LFU.
      - An empty one, as a variable leaves it that is not set, is refused; so is an empty O(where).
    type: str
  lifetime:
    description:
      - For O(older_than) and O(store) V(redis) and V(memcached), how long a session lives after it was written, as
        C(session.gc_maxlifetime) of php.ini has it, V(1440) or V(24m); the shortest where they differ. When a session
        was written is told from when it ends, for V(redis) besides how long nobody has looked at it. One that has no
        end is not removed.
    type: str
  keep_ids:
    description:
      - The ids of sessions to keep, as the users' cookies hold them. Layouts that store ids hashed are known. For
        O(layout=laravel), whose cookies are encrypted, rather use O(keep_users).
    type: list
    elements: str
    default: []
  keep_users:
    description: For O(store=mysql) and layouts with a column of the user, ids of users whose sessions to keep.
    type: list
    elements: str
    default: []
  id_pattern:
    description:
      - A regular expression (Python's) that matches a whole session id, for O(store) V(files), V(redis) and
        V(memcached). By default what PHP makes of its ids, V([A-Za-z0-9,-]+), behind a O(prefix) that is not one of
        PHP's own V([A-Za-z0-9,-]{22,256}). Where that prefix ends in one of these signs, so that a neighbour's name can
        go on there, nothing is purged without it, unless O(dedicated); V([A-Za-z0-9,-]{26}) is right for
        C(session.sid_length) of 26, as C(php-fpm -i) tells it.
      - In V(redis) and V(memcached), a warning says so where there are no sessions by it, but other keys behind the
        prefix.
    type: str
  save_path:
    description: For O(store=files), the folder as C(session.save_path) of php.ini has it, V([N;[MODE;]]/path).
    type: str
    default: /var/lib/php/sessions
  owner:
    description:
      - For O(store=files), name or number of the user that PHP runs as; only files of that user go.
      - A folder that others than its owner can write to (with V(N;), enter), as they can to Debian's default, may hold
        sessions of several applications. It is not purged without it, unless O(dedicated).
    type: str
  layout:
    description:
      - For O(store=mysql), whose table it is. It brings defaults for O(table) and O(columns), and says how ids are
        stored.
      - V(lamp) is this collection's own store. Its variables are removed with it, and its epoch is raised.
      - V(variables) is any table with a row per variable of a session; V(custom) any other one.
    type: str
    choices: [lamp, symfony, laravel, drupal, roundcube, magento, variables, custom]
    default: lamp
  table:
    description: For O(store=mysql), the table, V(table) or V(database.table).
    type: str
  columns:
    description: For O(store=mysql), names of columns that differ from the layout's, for the options that select.
    type: dict
    suboptions:
      id:
        description: The column of the session's id.
        type: str
      user:
        description: The column of the user's id.
        type: str
      time:
        description:
          - The column of the last write, seconds since 1970, or a DATETIME or TIMESTAMP in the server's time zone.
        type: str
  former:
    description:
      - For O(layout=lamp), the table of another handler that this collection's handlers work on as long as it is there.
        What is in it is purged as well, also while it is taken over (C(lamp_session_former)).
    type: dict
    suboptions:
      table:
        description: The table.
        type: str
        required: true
      rows:
        description: What a row is.
        type: str
        choices: [session, variable]
        default: session
      id:
        description: The column of the session's id, for O(keep_ids); with O(former.rows=variable) always.
        type: str
      time:
        description: The column of the last write, for O(older_than).
        type: str
  epoch_table:
    description:
      - For O(store=mysql), the table with the epoch of this collection's PHP handlers. It is raised once, before
        anything is removed, when all sessions end, or all but O(keep_ids); no request in flight can write a session
        back then.
      - By default that of O(layout=lamp), O(table) with C(_epoch) behind it; none for other layouts.
    type: str
  epoch_name:
    description: The row of O(epoch_table).
    type: str
    default: lamp_session
  where:
    description:
      - For O(store=mysql), an SQL condition that selects the sessions to remove. Without it, all.
      - With a row per variable it selects sessions of which it holds for any row.
    type: str
  lock_wait_timeout:
    description: For O(store=mysql), seconds to wait for somebody who holds the table.
    type: int
    default: 5
  on_lock:
    description:
      - For O(store=mysql), what to do about somebody who holds the table, such as a backup or a report.
      - A table is emptied at once by TRUNCATE, with O(leftovers=leave) by an empty table that is renamed into its
        place. V(delete), when that has waited for O(lock_wait_timeout), deletes the rows in small steps instead, in the
        order of the primary key, for which nobody has to let go of the table.
      - V(wait) fails after O(lock_wait_timeout), naming who holds it.
      - V(swap) renames an empty table (with O(keep_ids), one that holds these) into its place, waiting by short
        attempts that hold up others for a second at most, and fails after O(lock_wait_timeout). The old table is a
        leftover. It takes a constant time also with O(keep_ids).
    type: str
    choices: [delete, wait, swap]
    default: delete
  exchange:
    description:
      - For O(store=mysql) with O(leftovers=leave), whether an empty table may be renamed into the place of the table.
        If not, it is always emptied by TRUNCATE, which takes longer the larger the table's file is.
      - Say V(false) where a replica leaves this table out (C(replicate-ignore-table)); its replication would stop at
        the new table. O(on_lock=swap) exchanges it all the same.
    type: bool
    default: true
  servers:
    description:
      - For O(store) V(redis) and V(memcached), the servers, V(host), V(host:port), V([IPv6]:port) or the path of a
        socket. All of them are purged. For O(topology=cluster) some nodes suffice, the others are found; for
        O(topology=sentinel) they are the sentinels. By default the local host.
    type: list
    elements: str
    default: []
  prefix:
    description:
      - For O(store) V(redis) and V(memcached), what the sessions' keys begin with, V(sf_s) for instance, which takes
        an O(id_pattern). By default what PHP's extensions use, C(PHPREDIS_SESSION:), C(PHPREDIS_CLUSTER_SESSION:) and
        C(memc.sess.key.). Locks of these sessions go with them.
    type: str
  topology:
    description: For O(store=redis), how the servers belong together. V(single) means each for itself.
    type: str
    choices: [single, cluster, sentinel]
    default: single
  sentinel_service:
    description: For O(topology=sentinel), the name that the sentinels know the primary by.
    type: str
    default: mymaster
  sentinel_user:
    description: The user to log in to the sentinels as.
    type: str
  sentinel_password:
    description: The sentinels' password.
    type: str
  tls:
    description: For O(store) V(redis) and V(memcached), use TLS also without O(ca_cert), with the system's authorities.
    type: bool
    default: false
  sasl:
    description:
      - For O(store=memcached), log in by SASL (PLAIN), which takes O(dedicated), as such servers list no keys. Without
        it, O(login_user) logs in as the servers' own file of users has it.
    type: bool
    default: false
  url:
    description: For O(store=couchdb), the server, such as V(http://couch.example.com:5984).
    type: str
  login_host:
    description: For O(store=mysql), the server's host name or address, as seen from the host that runs the module.
  login_port:
    description: For O(store=mysql), the server's TCP port.
  login_user:
    description: The user to connect as, for any store but V(files). For V(mysql), by default the one of O(config_file).
  login_db:
    description:
      - The database to work in. For V(redis) its number (V(0)), for V(couchdb) the one of the session name.
requirements:
  - PyMySQL >= 1.0.2 (Debian, python3-pymysql) for O(store=mysql)
  - redis >= 4.1 (Debian, python3-redis) for O(store=redis), and Redis 6.0 or later
  - Memcached 1.4.31 or later for O(store=memcached)
"""

EXAMPLES = r"""
- name: Log everybody out, sessions in this collection's own table
  lamp.cluster.session_purge:
    store: mysql
    login_host: db.example.com
    login_user: shop
    login_password: "{{ shop_db_password }}"
    login_db: shop

- name: Log everybody out but the administrator, sessions of Laravel
  lamp.cluster.session_purge:
    store: mysql
    layout: laravel
    keep_users: ["1"]
    login_unix_socket: /run/mysqld/mysqld.sock
    login_db: shop

- name: Log everybody out, sessions in files of a folder that several sites share
  lamp.cluster.session_purge:
    store: files
    save_path: /var/lib/php/sessions
    owner: www-data

- name: Log everybody out, sessions in a Redis cluster with TLS
  lamp.cluster.session_purge:
    store: redis
    topology: cluster
    servers: [redis1.example.com:6379, redis2.example.com:6379]
    ca_cert: /etc/ssl/certs/redis.pem
    login_user: shop
    login_password: "{{ shop_redis_password }}"

- name: Log everybody out, sessions of php-memcached
  lamp.cluster.session_purge:
    store: memcached
    servers: [cache1.example.com, cache2.example.com]

- name: Log those out who have not been here for two hours
  lamp.cluster.session_purge:
    store: memcached
    servers: [cache1.example.com, cache2.example.com]
    older_than: 2h
    lifetime: 1d # session.gc_maxlifetime

- name: Log everybody out, sessions in CouchDB
  lamp.cluster.session_purge:
    store: couchdb
    url: https://couch.example.com:6984
    login_db: phpsessid
    login_user: shop
    login_password: "{{ shop_couch_password }}"
"""

RETURN = r"""
store:
  description: The store.
  returned: success
  type: str
  sample: mysql
before:
  description: How many sessions there were.
  returned: success
  type: int
  sample: 1200
purged:
  description: How many were removed (in check mode, would be).
  returned: success
  type: int
  sample: 1200
after:
  description: How many are left (in check mode, would be).
  returned: success
  type: int
  sample: 0
exact:
  description:
    - Whether the counts are exact. They are not where counting would take longer than the purge, 10000 means that many
      or more then; and where expired items of a dedicated server are counted, or documents that had ended before; and
      where sentinels, or a cluster, named another primary meanwhile.
  returned: success
  type: bool
  sample: true
ignored:
  description: How many names were found among the sessions' that are none, and left alone.
  returned: success
  type: int
  sample: 0
swept:
  description: How many sessions that earlier runs had put aside were removed (in check mode, would be).
  returned: success
  type: int
  sample: 0
epoch:
  description: The new epoch.
  returned: success, where one is raised
  type: int
  sample: 8
error_code:
  description: What failed, such as V(session_purge_no_table).
  returned: on failure
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec, run
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores import (
    Store,
    memcached,
    mysql,
    options,
    redis,
)
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.couchdb import CouchDb
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.files import Files
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.purge import carry_out
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.selection import misfit

STORES: dict[str, t.Callable[[dict[str, t.Any]], t.Sequence[Store]]] = {
    "mysql": mysql.stores,
    "files": lambda params: [Files(params)],
    "redis": redis.stores,
    "memcached": memcached.stores,
    "couchdb": lambda params: [CouchDb(params)],
}


def purge(params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
    """Find the places of the store, and purge them."""
    stores = STORES[params["store"]](params)
    return {"store": params["store"], **carry_out(stores, params["leftovers"], check)}


def work(module: AnsibleModule) -> dict[str, t.Any]:
    """Purge as this module was asked to."""
    result = purge(module.params, module.check_mode)
    doubt = misfit(module.params, result)
    if doubt:
        module.warn(doubt)
    return result


def arguments() -> ArgumentSpec:
    """The options of this module."""
    return options.of(STORES)


def main() -> None:
    run(arguments().create_module(), work)


if __name__ == "__main__":
    main()
