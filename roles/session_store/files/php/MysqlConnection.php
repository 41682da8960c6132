<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// A connection to MariaDB or MySQL that is made when it is needed, and made again, to the next server, when it was lost.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use PDO;
use PDOException;
use PDOStatement;

final class MysqlConnection
{
    /** Errors after which another connection may help: gone away, lost, no server, node not ready (Galera), read-only, killed. */
    private const LOST = [2002, 2003, 2006, 2013, 1047, 1053, 1290, 1836, 1927];

    /** Errors after which the same statement may be sent again: nothing of it took effect. */
    private const AGAIN = [1205, 1213];

    private ?PDO $pdo = null;

    /** @param array{servers: list<array{host?: string, port?: int, socket?: string}>, database: string,
     *               user: string, password: string, connect_timeout?: int} $settings */
    public function __construct(private readonly array $settings)
    {
    }

    /**
     * Run one statement with its values; tried once more when the connection was lost or a lock was not to be had.
     *
     * @param list<mixed> $values
     * @throws PDOException when it failed twice
     */
    public function run(string $sql, array $values): PDOStatement
    {
        try {
            return $this->send($sql, $values);
        } catch (PDOException $problem) {
            $number = (int) ($problem->errorInfo[1] ?? $problem->getCode());
            if (in_array($number, self::LOST, true)) {
                $this->pdo = null;
            } elseif (!in_array($number, self::AGAIN, true) || $this->pdo?->inTransaction()) {
                throw $problem;
            }
            return $this->send($sql, $values);
        }
    }

    /** Start a transaction that waits for locks no longer than that; end() commits it. */
    public function begin(int $wait): void
    {
        $this->run('SET SESSION innodb_lock_wait_timeout = ' . max(1, $wait), []);
        $this->run('SET TRANSACTION ISOLATION LEVEL READ COMMITTED', []); // no locks on gaps: new ids wait for nobody
        $this->pdo?->beginTransaction();
    }

    public function end(): void
    {
        if ($this->pdo?->inTransaction()) {
            $this->pdo->commit();
        }
    }

    /** @param list<mixed> $values */
    private function send(string $sql, array $values): PDOStatement
    {
        $this->pdo ??= $this->connect();
        $statement = $this->pdo->prepare($sql);
        $statement->execute($values);
        return $statement;
    }

    private function connect(): PDO
    {
        $last = new PDOException('no server is configured');
        foreach ($this->settings['servers'] as $server) {
            $place = isset($server['socket'])
                ? 'unix_socket=' . $server['socket']
                : sprintf('host=%s;port=%d', $server['host'] ?? 'localhost', $server['port'] ?? 3306);
            try {
                return new PDO(
                    "mysql:$place;dbname={$this->settings['database']};charset=utf8mb4",
                    $this->settings['user'],
                    $this->settings['password'],
                    [
                        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
                        PDO::ATTR_EMULATE_PREPARES => false,
                        // a value that does not fit is an error, never cut off
                        PDO::MYSQL_ATTR_INIT_COMMAND => "SET SESSION sql_mode = 'STRICT_ALL_TABLES'",
                        PDO::ATTR_TIMEOUT => $this->settings['connect_timeout'] ?? 2,
                    ],
                );
            } catch (PDOException $problem) {
                $last = $problem;
            }
        }
        throw $last;
    }
}
