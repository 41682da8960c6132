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
    private const LOST = [2002, 2003, 2006, 2013, 1927, 4031];

    /** The server is not fit for work: no node of a cluster, shutting down, read-only, full. */
    private const UNFIT = [1040, 1047, 1053, 1290, 1836];

    /** Deadlock, or a conflict in Galera or Group Replication: nothing took effect, and the next try may succeed. */
    private const AGAIN = [1213, 3101, 1180];

    /** A packet, or a value, that is too large. */
    private const TOO_LARGE = 1153;
    private const TOO_LONG = 1406;

    /** Every server takes packets of so many bytes; whether it takes a larger one is asked first. */
    private const PACKET = 1 << 18;

    /** The variable is a number, and from MariaDB 12 on a word. */
    private const IS_READ_ONLY = "SELECT CONCAT(@@GLOBAL.read_only) NOT IN ('0', 'OFF')";

    private const TRIES = 4;

    private const CONFLICTS = 30;

    private ?PDO $pdo = null;

    /** The server's number in the list. */
    private int $server = 0;

    /** Only a server that takes no writes could be reached. */
    private bool $readOnly = false;

    /** A connection was lost before this one: what was committed on it may be on its way to this server still. */
    private bool $lost = false;

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
        $send = fn (): PDOStatement => $this->send($sql, $values);
        if ($this->pdo?->inTransaction()) {
            return $send(); // it cannot be sent again by itself: what was done before it is gone
        }
        return $this->persist($send, preg_match('/^(INSERT|UPDATE|DELETE)/', $sql) === 1);
    }

    /**
     * Do $work in one transaction, that of hold() if it is open: all of it or nothing. Where trying again may help, all
     * of it is done again: it must not matter whether it was done before.
     *
     * @throws PDOException
     */
    public function transaction(callable $work): mixed
    {
        return $this->persist(function () use ($work): mixed {
            $this->begin();
            $result = $work();
            $this->pdo?->commit();
            return $result;
        }, true);
    }

    /**
     * What $read gives, in a transaction that keeps its locks until transaction() or end() comes.
     *
     * @throws PDOException
     */
    public function hold(callable $read): mixed
    {
        return $this->persist(function () use ($read): mixed {
            $this->begin();
            return $read();
        }, false);
    }

    /** Give up what hold() holds. */
    public function end(): void
    {
        try {
            if ($this->pdo?->inTransaction()) {
                $this->pdo->rollBack();
            }
        } catch (PDOException) {
            $this->pdo = null; // and the server gives it up
        }
    }

    public static function isTooLarge(PDOException $problem): bool
    {
        return in_array(self::number($problem), [self::TOO_LARGE, self::TOO_LONG], true);
    }

    /** Unless that of hold() is open. */
    private function begin(): void
    {
        if (!$this->pdo?->inTransaction()) {
            $this->pdo?->exec('SET TRANSACTION ISOLATION LEVEL READ COMMITTED'); // no locks on gaps: new ids wait for nobody
            $this->pdo?->beginTransaction();
        }
    }

    /** What $work gives, which is done again where that may help; a transaction that it began does not stay open. */
    private function persist(callable $work, bool $writes): mixed
    {
        for ($tries = $conflicts = $silences = 0; ;) {
            $this->pdo ??= $this->connect();
            if ($this->readOnly && $writes) {
                $this->pdo = null;
                $this->pdo = $this->connect();
                if ($this->readOnly) {
                    throw new PDOException('no server takes writes');
                }
            }
            $begin = microtime(true);
            try {
                return $work();
            } catch (\Throwable $problem) {
                $this->end();
                if (!$problem instanceof PDOException) {
                    throw $problem;
                }
                $silent = microtime(true) - $begin >= $this->readTimeout;
                if (in_array(self::number($problem), self::AGAIN, true) && ++$conflicts < self::CONFLICTS) {
                    usleep(random_int(0, 2000 * $conflicts)); // or those who met here would meet again
                } elseif (++$tries >= self::TRIES || !$this->mayTryAgain($problem, $silent)) {
                    throw $problem;
                } elseif ($silent && ++$silences >= max(2, $this->servers->count())) {
                    throw new PDOException("no answer within $this->readTimeout s, nor when it was asked again");
                }
            }
        }
    }

    /** @param list<mixed> $values */
    private function send(string $sql, array $values): PDOStatement
    {
        $bytes = strlen($sql) + array_sum(array_map(static fn (mixed $value): int => strlen((string) $value) + 16, $values));
        if ($bytes > self::PACKET && $bytes > (int) $this->pdo->query('SELECT @@max_allowed_packet')->fetchColumn()) {
            // The server would close the connection, and end what is under way on it.
            $problem = new PDOException("$bytes bytes are more than max_allowed_packet");
            $problem->errorInfo = ['08S01', self::TOO_LARGE, $problem->getMessage()];
            throw $problem;
        }
        $statement = $this->pdo->prepare($sql);
        $statement->execute($values);
        return $statement;
    }

    private function mayTryAgain(PDOException $problem, bool $silent): bool
    {
        $number = self::number($problem);
        if (in_array($number, self::LOST, true)) {
            // A connection that broke is made again; a server that was silent for so long is left alone.
            if ($silent) {
                $this->servers->failed($this->server);
            }
            $this->pdo = null;
            return $this->lost = true;
        }
        if (in_array($number, self::UNFIT, true)) {
            $this->servers->failed($this->server);
            $this->pdo = null;
            return $this->servers->count() > 1;
        }
        return false;
    }

    private static function number(PDOException $problem): int
    {
        return (int) ($problem->errorInfo[1] ?? 0);
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
                // A SELECT waits, on a Galera node, until it has what others committed. One address may lead to many nodes.
                $asked = $this->lost || $this->servers->count() > 1;
                if (!$asked || !$pdo->query(self::IS_READ_ONLY)->fetchColumn()) {
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
            : sprintf('host=%s;port=%d', Servers::host($server['host'] ?? 'localhost'), $server['port'] ?? 3306);
        // Values are bytes: to look at each of them as text would take the server longer than to store it.
        $bytes = ($this->settings['former'] ?? []) === [] ? ', SESSION character_set_client = binary' : '';
        $options = [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_EMULATE_PREPARES => false,
            // A value that does not fit is an error, never cut off. A Galera node first applies what others committed.
            // PDO takes it for granted that each statement is committed; servers can be configured otherwise.
            PDO::MYSQL_ATTR_INIT_COMMAND => "SET SESSION sql_mode = 'STRICT_ALL_TABLES', SESSION autocommit = 1,"
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
