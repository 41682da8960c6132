# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connect to MariaDB and MySQL with the options that the community's modules made usual, and know what answered."""

from __future__ import annotations

import contextlib
import socket
import ssl
import typing as t

from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._module import ArgumentSpec

try:
    import pymysql
    from pymysql.constants import CLIENT, COMMAND
except ImportError:
    pymysql = None  # type: ignore[assignment]

MYSQL_ARGUMENTS = ArgumentSpec(
    {
        "login_host": {"type": "str", "default": "localhost"},
        "login_port": {"type": "int", "default": 3306},
        "login_user": {"type": "str"},
        "login_password": {"type": "str", "no_log": True},
        "login_unix_socket": {"type": "path"},
        "login_db": {"type": "str"},
        "config_file": {"type": "path"},
        "connect_timeout": {"type": "int", "default": 30},
        "ca_cert": {"type": "path", "aliases": ["ssl_ca"]},
        "client_cert": {"type": "path", "aliases": ["ssl_cert"]},
        "client_key": {"type": "path", "aliases": ["ssl_key"]},
        "check_hostname": {"type": "bool"},
    }
)

ER_DBACCESS_DENIED = 1044
ER_ACCESS_DENIED = 1045
ER_BAD_DB = 1049
KEEPALIVE = {
    "TCP_KEEPIDLE": 20,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": 60000,
}  # gone after a minute

NAMED = 20  # connections that a message names
# Of a connection p of the process list; those that work in this database come first.
WHO = "CONCAT(p.USER, '@', p.HOST, ' (connection ', p.ID, ', ', p.TIME, ' s)') FROM information_schema.PROCESSLIST p"
FIRST = "ORDER BY COALESCE(p.DB = DATABASE(), 0) DESC, p.TIME DESC"
IN_TRANSACTION = "SELECT x.trx_mysql_thread_id FROM information_schema.INNODB_TRX x"
# LOCK TABLES and the tables of other engines make no transaction.
OTHERS = f"""SELECT {WHO}
WHERE p.ID <> CONNECTION_ID() AND p.COMMAND IN ('Sleep', 'Query', 'Execute') AND p.USER <> 'system user'
AND COALESCE(p.STATE, '') NOT LIKE 'Waiting for table%' AND p.ID NOT IN ({IN_TRANSACTION}) {FIRST}"""
HOLDERS = f"SELECT {WHO} WHERE p.ID <> CONNECTION_ID() AND p.ID IN ({IN_TRANSACTION}) {FIRST}"
# Where the server tells whose locks a table has, or all tables: MySQL, and MariaDB with the plugin METADATA_LOCK_INFO.
LOCKS = (
    """SELECT t.PROCESSLIST_ID FROM performance_schema.metadata_locks l
JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID WHERE l.LOCK_STATUS = 'GRANTED' AND (
(l.OBJECT_TYPE = 'TABLE' AND l.OBJECT_SCHEMA = {database} AND l.OBJECT_NAME = {table})
OR (l.OBJECT_TYPE IN ('GLOBAL', 'BACKUP LOCK') AND l.LOCK_TYPE = 'SHARED'))""",
    """SELECT l.THREAD_ID FROM information_schema.METADATA_LOCK_INFO l
WHERE (l.TABLE_SCHEMA = {database} AND l.TABLE_NAME = {table})
OR l.LOCK_MODE REGEXP '^MDL_BACKUP_(FTWRL|WAIT|BLOCK)'""",
)

if pymysql:

    class _Connection(pymysql.connections.Connection):
        """PyMySQL's, but that no authorities are loaded where no certificate is verified.

        Without TLS options it uses TLS if the server does, and trusts whatever certificate it has. To load the
        machine's authorities for that costs 20 ms, more than all else of a connection. Where PyMySQL no longer asks
        for a context here, it makes its own.
        """

        def _create_ssl_ctx(self, options: t.Any) -> ssl.SSLContext:
            if options:
                context: ssl.SSLContext = super()._create_ssl_ctx(options)  # type: ignore[misc]
                return context
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context

        def ask(self, sql: str) -> None:
            """Send statements and wait for nothing; ``next_result`` then gives the answers, one after another."""
            self._execute_command(COMMAND.COM_QUERY, sql.encode(self.encoding))  # type: ignore[attr-defined]

        @property
        def more(self) -> bool:
            """Whether a further answer comes after the one that was had last."""
            return bool(self._result and self._result.has_next)  # type: ignore[attr-defined]


NOBODY = "none now"
LOCK_WAIT, NO_TABLE = 1205, 1146
# All of it is rolled back, and the next try may succeed: a deadlock, a conflict with what another member of the group
# committed, which has a number of its own when it is found at the COMMIT, or a row that somebody changed since the
# transaction's snapshot, which MariaDB refuses with innodb_snapshot_isolation (on by default from 11.6 on).
CONFLICTS = (1213, 3101, 1180, 1020)
SERVER_ERRORS: tuple[type[Exception], ...] = (pymysql.err.MySQLError,) if pymysql else ()
Connection = t.Any  # pymysql.connections.Connection; PyMySQL may be absent where this file is only imported


def _tls(params: dict[str, t.Any]) -> dict[str, t.Any] | None:
    """PyMySQL's ``ssl`` argument, or None where no TLS option was given (the library's own default then holds)."""
    files = {"ca": params["ca_cert"], "cert": params["client_cert"], "key": params["client_key"]}
    tls: dict[str, t.Any] = {name: path for name, path in files.items() if path}
    if params["check_hostname"] is not None:
        tls["check_hostname"] = params["check_hostname"]
    return tls or None


def where(params: dict[str, t.Any]) -> str:
    """The server that these options name, for messages: ``user@host:port`` or ``user@socket``."""
    user = params["login_user"] or "the user of the option file"
    place = params["login_unix_socket"] or f"{params['login_host']}:{params['login_port']}"
    return f"{user}@{place}"


def connect(
    params: dict[str, t.Any],
    *,
    multi_statements: bool = False,
    autocommit: bool = False,
    read_timeout: int | None = None,
) -> Connection:
    """A PyMySQL connection made from a module's ``params`` (see MYSQL_ARGUMENTS), utf8mb4.

    After ``read_timeout`` seconds without an answer to a statement the connection is given up; the server goes on.

    :raises LampError: ``mysql_library_missing``, ``mysql_access_denied``, ``mysql_unknown_database``,
        ``mysql_unreachable``, ``mysql_tls_failed``, ``mysql_option_file``, ``mysql_no_authority``
    """
    if pymysql is None:
        raise LampError(
            "mysql_library_missing",
            "The Python library PyMySQL is not installed on the host that runs this module.",
            "Install python3-pymysql there (Debian), or PyMySQL with pip.",
        )
    arguments: dict[str, t.Any] = {
        "connect_timeout": params["connect_timeout"],
        "charset": "utf8mb4",
        "autocommit": autocommit,
        "client_flag": CLIENT.MULTI_STATEMENTS if multi_statements else 0,
    }
    named = {
        "host": params["login_host"],
        "port": params["login_port"],
        "user": params["login_user"],
        "password": params["login_password"],
        "unix_socket": params["login_unix_socket"],
        "database": params["login_db"],
        "read_default_file": params["config_file"],
        "ssl": _tls(params),
        "read_timeout": read_timeout,
    }
    arguments.update({name: value for name, value in named.items() if value is not None})
    try:
        connection = _Connection(**arguments, defer_connect=True)
        if not params["login_unix_socket"] and params["login_host"] != "localhost":
            connection.unix_socket = None  # an option file's socket leads to another server than the one named here
        if params["check_hostname"] and not getattr(getattr(connection, "ctx", None), "check_hostname", False):
            raise LampError(  # PyMySQL goes on without any proof then
                "mysql_no_authority",
                f"check_hostname is set for {where(params)}, but nothing says which authority signs its certificate.",
                "Set ca_cert, or ssl-ca in config_file.",
            )
        connection.connect()
        _watch(connection)
        return connection
    except pymysql.err.MySQLError as error:
        raise connection_error(error, params) from error
    except RuntimeError as error:  # how PyMySQL says that it cannot log in this way by itself
        raise LampError(
            "mysql_library_missing",
            f"PyMySQL lacks a library to log in to {where(params)}: {error}.",
            "Install it on the host that runs this module: python3-cryptography, or for ed25519 python3-nacl.",
        ) from error
    except (OSError, ValueError) as error:
        raise LampError(
            "mysql_option_file",
            f"The connection options for {where(params)} cannot be used: {error}.",
            "Check config_file, ca_cert, client_cert and client_key.",
        ) from error


def _watch(connection: Connection) -> None:
    """Have the kernel find out when the server is gone: a statement may be silent for hours, a machine may not."""
    for name, value in KEEPALIVE.items():
        with contextlib.suppress(OSError):  # a Unix socket, or a system without this setting
            connection._sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name, -1), value)


def connection_error(error: Exception, params: dict[str, t.Any]) -> LampError:
    """The LampError for what PyMySQL raised while connecting."""
    number = error.args[0] if error.args else 0
    text = error.args[1] if len(error.args) > 1 else str(error)
    if number in (ER_ACCESS_DENIED, ER_DBACCESS_DENIED):
        return LampError(
            "mysql_access_denied",
            f"The database server refused {where(params)}: {text}.",
            "Check login_user, login_password and the grants of that user.",
        )
    if number == ER_BAD_DB:
        return LampError(
            "mysql_unknown_database",
            f"The database {params['login_db']} does not exist on {where(params)}.",
            "Create it, or correct login_db.",
        )
    if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
        return LampError(
            "mysql_tls_failed",
            f"No TLS connection to the database server {where(params)}: {text}.",
            "Check ca_cert, check_hostname, client_cert and client_key, and the server's certificate.",
        )
    return LampError(
        "mysql_unreachable",
        f"No connection to the database server {where(params)}: {text}.",
        "Check that it runs and that login_host, login_port or login_unix_socket are right.",
    )


def query(connection: Connection, sql: str, values: tuple[t.Any, ...] = ()) -> list[tuple[t.Any, ...]]:
    """The rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall() or ())


def is_read_only(connection: Connection) -> bool:
    """Whether the server takes no writes, as a replica, or only those of users who may write on it all the same.

    The variable is a number, and from MariaDB 12 on a word.
    """
    return bool(query(connection, "SELECT CONCAT(@@GLOBAL.read_only) NOT IN ('0', 'OFF')")[0][0])


def open_transactions(connection: Connection) -> str:
    """Who holds what others wait for, for messages: the connections that have a transaction open."""
    try:
        return _names(query(connection, HOLDERS)) or NOBODY
    except pymysql.err.MySQLError:
        return "who it is, is not shown to this user (it needs the privilege PROCESS)"


def _names(rows: list[tuple[t.Any, ...]]) -> str:
    """Connections in a message; how many are left out is said."""
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return ", ".join(name for (name,) in rows[:NAMED]) + more


def lock_holders(connection: Connection, database: str, table: str) -> str:
    """Who holds a table that somebody waited for in vain, for messages; where the server does not tell, who may.

    :param database: and ``table``: their names as SQL
    """
    for locks in LOCKS:
        with contextlib.suppress(pymysql.err.MySQLError):  # it has no such list, or does not show it to this user
            of_table = locks.format(database=database, table=table)
            names = _names(query(connection, f"SELECT {WHO} WHERE p.ID <> CONNECTION_ID() AND p.ID IN ({of_table})"))
            if names:
                return names
    holders = open_transactions(connection)
    others = ""
    with contextlib.suppress(pymysql.err.MySQLError):
        others = _names(query(connection, OTHERS))
    if not others:
        return holders
    if holders == NOBODY:
        return f"no transaction is open; one of these may have locked it: {others}"
    return f"{holders}; or one of these, which have no transaction open, locked it: {others}"


def quote_identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier; ``database.table`` is quoted part by part by the caller."""
    if not name or "\0" in name:
        raise LampError(
            "mysql_bad_identifier", f"{name!r} cannot be a name in SQL.", "Give a name without NUL characters."
        )
    return "`" + name.replace("`", "``") + "`"


class Flavour:
    """What answered.

    ``product`` is ``mariadb`` or ``mysql``, ``version`` a tuple of numbers, ``cluster`` one of ``galera``,
    ``group_replication`` and the empty string.
    """

    def __init__(self, product: str, version: tuple[int, ...], cluster: str) -> None:
        self.product = product
        self.version = version
        self.cluster = cluster

    @classmethod
    def of(cls, connection: Connection) -> Flavour:
        """Ask the server of ``connection`` in two queries."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            text = cursor.fetchone()[0]
            cursor.execute(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
                " ('wsrep_on', 'wsrep_provider', 'group_replication_group_name') AND Value NOT IN ('', 'OFF', 'none')"
            )
            found = {name for name, _value in cursor.fetchall()}
        version = tuple(int(part) for part in text.split("-")[0].split("."))
        # A MariaDB that is no member of a cluster may have wsrep_on, but then no provider.
        galera = {"wsrep_on", "wsrep_provider"} <= found
        cluster = "galera" if galera else "group_replication" if "group_replication_group_name" in found else ""
        return cls("mariadb" if "mariadb" in text.lower() else "mysql", version, cluster)
