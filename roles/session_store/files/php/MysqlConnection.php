<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// A connection to MariaDB or MySQL that is made when it is needed, and made again, to the next server, when it was lost.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use PDO;
use PDOException;
use PDOStatement;

/**
 * One connection serves a whole request. It goes to the first server of the list that can be reached and takes writes:
 * any node of a Galera cluster, the primary of a replication. Statements are such that sending them twice does no harm.
 */
final class MysqlConnection
{
    /** The connection is gone: another one may help. */
    private const LOST = [2002, 2003, 2006, 2013, 1927];

    /** The server is not fit for work: no node of a cluster, shutting down, read-only, full. */
    private const UNFIT = [1040, 1047, 1053, 1290, 1836];

    /** Deadlock, or a conflict in Galera or Group Replication: nothing took effect, and the next try may succeed. */
    private const AGAIN = [1213, 3101];

    /** The variable is a number, and from MariaDB 12 on a word. */
    private const IS_READ_ONLY = "SELECT CONCAT(@@GLOBAL.read_only) NOT IN ('0', 'OFF')";

    private const TRIES = 4;

    private const CONFLICTS = 30;

    private ?PDO $pdo = null;

    /** The server's number in the list. */
    private int $server = 0;

    /** Only a server that takes no writes could be reached. */
    private bool $readOnly = false;

    private readonly Servers $servers;

    /** Seconds that a statement waits for a lock; the server ends it before the connection is given up. */
    private readonly int $lockTimeout;

    private readonly int $readTimeout;

    /** @param array{servers: list<array{host?: string, port?: int, socket?: string}>, database: string,
     *               user: string, password: string, connect_timeout?: int, read_timeout?: int, lock_timeout?: int,
     *               ca_cert?: string, client_cert?: string, client_key?: string, state_folder?: string,
     *               retry_after?: int, former?: array<string, string>} $settings */
    public function __construct(private readonly array $settings)
    {
        $this->servers = new Servers(
            $settings['servers'],
            $settings['state_folder'] ?? '',
            $settings['retry_after'] ?? 10,
        );
        $this->lockTimeout = max(1, $settings['lock_timeout'] ?? 10);
        $this->readTimeout = ($settings['read_timeout'] ?? 10) + $this->lockTimeout;
    }

    /**
     * Run one statement with its values; tried again where that may help.
     *
     * @param list<mixed> $values
     * @throws PDOException
     */
    public function run(string $sql, array $values): PDOStatement
    {
        for ($tries = $conflicts = 0; ;) {
            $pdo = $this->pdo ??= $this->connect();
            if ($this->readOnly && preg_match('/^(INSERT|UPDATE|DELETE)/', $sql)) {
                $this->pdo = null;
                $pdo = $this->pdo = $this->connect();
                if ($this->readOnly) {
                    throw new PDOException('no server takes writes');
                }
            }
            $begin = microtime(true);
            try {
                $statement = $pdo->prepare($sql);
                $statement->execute($values);
                return $statement;
            } catch (PDOException $problem) {
                if ($this->isConflict($problem) && ++$conflicts < self::CONFLICTS) {
                    usleep(random_int(0, 2000 * $conflicts)); // or those who met here would meet again
                } elseif (++$tries >= self::TRIES || !$this->mayTryAgain($problem, microtime(true) - $begin)) {
                    throw $problem;
                }
            }
        }
    }

    /** Start a transaction, unless one is open; end() commits it. */
    public function begin(): void
    {
        if ($this->pdo?->inTransaction()) {
            return; // session_reset() reads again without a close before it
        }
        $this->run('SET TRANSACTION ISOLATION LEVEL READ COMMITTED', []); // no locks on gaps: new ids wait for nobody
        $this->pdo?->beginTransaction();
    }

    public function end(): void
    {
        if ($this->pdo?->inTransaction()) {
            $this->pdo->commit();
        }
    }

    private function mayTryAgain(PDOException $problem, float $seconds): bool
    {
        $number = (int) ($problem->errorInfo[1] ?? 0);
        if (in_array($number, self::LOST, true)) {
            // A connection that broke is made again; a server that was silent for so long is left alone.
            if ($seconds >= $this->readTimeout) {
                $this->servers->failed($this->server);
            }
            $this->pdo = null;
            return true;
        }
        if (in_array($number, self::UNFIT, true)) {
            $this->servers->failed($this->server);
            $this->pdo = null;
            return $this->servers->count() > 1;
        }
        return false;
    }

    private function isConflict(PDOException $problem): bool
    {
        return in_array((int) ($problem->errorInfo[1] ?? 0), self::AGAIN, true) && !$this->pdo?->inTransaction();
    }

    /** @throws PDOException what the last server said, when none could be reached */
    private function connect(): PDO
    {
        $last = new PDOException('no server is configured');
        $reader = null;
        $this->readOnly = false;
        foreach ($this->servers->inOrder() as $number => $server) {
            try {
                $pdo = $this->open($server);
                if ($this->servers->count() === 1 || !$pdo->query(self::IS_READ_ONLY)->fetchColumn()) {
                    $this->servers->works($number);
                    $this->server = $number;
                    return $pdo;
                }
                $reader ??= [$number, $pdo];
            } catch (PDOException $problem) {
                $last = $problem;
            }
            $this->servers->failed($number);
        }
        if ($reader === null) {
            throw $last;
        }
        [$this->server, $pdo] = $reader;
        $this->readOnly = true;
        return $pdo;
    }

    /** @param array{host?: string, port?: int, socket?: string} $server */
    private function open(array $server): PDO
    {
        $place = isset($server['socket'])
            ? 'unix_socket=' . $server['socket']
            : sprintf('host=%s;port=%d', $server['host'] ?? 'localhost', $server['port'] ?? 3306);
        // Values are bytes: to look at each of them as text would take the server longer than to store it.
        $bytes = ($this->settings['former'] ?? []) === [] ? ', SESSION character_set_client = binary' : '';
        $options = [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_EMULATE_PREPARES => false,
            // A value that does not fit is an error, never cut off. A Galera node first applies what others committed.
            PDO::MYSQL_ATTR_INIT_COMMAND => "SET SESSION sql_mode = 'STRICT_ALL_TABLES',"
                . " SESSION innodb_lock_wait_timeout = $this->lockTimeout, SESSION lock_wait_timeout = $this->lockTimeout$bytes"
                . ' /*M!100301 , SESSION wsrep_sync_wait = 1 */',
            PDO::ATTR_TIMEOUT => $this->settings['connect_timeout'] ?? 2,
        ];
        $files = [
            PDO::MYSQL_ATTR_SSL_CA => $this->settings['ca_cert'] ?? '',
            PDO::MYSQL_ATTR_SSL_CERT => $this->settings['client_cert'] ?? '',
            PDO::MYSQL_ATTR_SSL_KEY => $this->settings['client_key'] ?? '',
        ];
        $options += array_filter($files, static fn (string $file): bool => $file !== '');
        // It is taken over when a connection is made; the application's own connections keep theirs.
        $before = ini_set('mysqlnd.net_read_timeout', (string) $this->readTimeout);
        try {
            return new PDO(
                "mysql:$place;dbname={$this->settings['database']};charset=utf8mb4",
                $this->settings['user'],
                $this->settings['password'],
                $options,
            );
        } finally {
            ini_set('mysqlnd.net_read_timeout', (string) $before);
        }
    }
}
