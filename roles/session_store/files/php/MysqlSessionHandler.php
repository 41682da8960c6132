<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps PHP's sessions in a table that all web servers share: one row per session.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use PDOException;
use SessionHandlerInterface;
use SessionIdInterface;
use SessionUpdateTimestampHandlerInterface;

/**
 * Failures go to error_log(), never to the page. A session that could not be read is not written either, so that a
 * passing fault of the database cannot empty it.
 *
 * A request writes with the epoch that it read. Once the epoch was raised, by a purge, what it writes does not count.
 */
final class MysqlSessionHandler implements
    SessionHandlerInterface,
    SessionIdInterface,
    SessionUpdateTimestampHandlerInterface
{
    private const EPOCH = 'lamp_session';

    private ?int $epoch = null;

    private ?string $locked = null;

    /** @param 'none'|'advisory' $locking  advisory: one request of a session at a time, on the same database server */
    public function __construct(
        private readonly MysqlConnection $connection,
        private readonly string $locking = 'none',
        private readonly int $lockTimeout = 10,
    ) {
    }

    public function open(string $path, string $name): bool
    {
        return true;
    }

    public function close(): bool
    {
        if ($this->locked !== null) {
            $this->attempt('unlock', fn () => $this->connection->run('DO RELEASE_LOCK(?)', [$this->locked]));
            $this->locked = null;
        }
        return true;
    }

    public function create_sid(): string
    {
        return bin2hex(random_bytes(16));
    }

    public function validateId(string $id): bool
    {
        return (bool) $this->attempt('look up', fn () => $this->find($id)['data'] !== null);
    }

    public function read(string $id): string
    {
        $this->epoch = null;
        $row = $this->attempt('read', function () use ($id): array {
            $this->lock($id);
            return $this->find($id);
        });
        if ($row === null) {
            return '';
        }
        $this->epoch = (int) $row['epoch'];
        return $row['data'] ?? '';
    }

    public function write(string $id, string $data): bool
    {
        if ($this->epoch === null) {
            return true; // it was not read: see above
        }
        $sql = 'INSERT INTO lamp_session (id, data, epoch, created_at, updated_at, expires_at)'
            . ' VALUES (?, ?, ?, UNIX_TIMESTAMP(), UNIX_TIMESTAMP(), UNIX_TIMESTAMP() + ?) ON DUPLICATE KEY UPDATE'
            . ' data = IF(epoch <= VALUES(epoch), VALUES(data), data), updated_at = VALUES(updated_at),'
            . ' expires_at = VALUES(expires_at), epoch = GREATEST(epoch, VALUES(epoch))';
        $this->attempt('write', fn () => $this->connection->run($sql, [$this->key($id), $data, $this->epoch, $this->ttl()]));
        return true;
    }

    public function updateTimestamp(string $id, string $data): bool
    {
        $sql = 'UPDATE lamp_session SET expires_at = UNIX_TIMESTAMP() + ? WHERE id = ? AND epoch = ?';
        $this->attempt('touch', fn () => $this->connection->run($sql, [$this->ttl(), $this->key($id), $this->epoch ?? 0]));
        return true;
    }

    public function destroy(string $id): bool
    {
        $this->attempt('destroy', fn () => $this->connection->run('DELETE FROM lamp_session WHERE id = ?', [$this->key($id)]));
        return true;
    }

    public function gc(int $max_lifetime): int|false
    {
        $sql = 'DELETE FROM lamp_session WHERE expires_at < UNIX_TIMESTAMP() LIMIT 1000';
        return $this->attempt('clean up', fn () => $this->connection->run($sql, [])->rowCount()) ?? 0;
    }

    /** @return array{epoch: int|string, data: string|null} */
    private function find(string $id): array
    {
        $sql = 'SELECT e.epoch, s.data FROM lamp_session_epoch e LEFT JOIN lamp_session s'
            . ' ON s.id = ? AND s.epoch = e.epoch AND s.expires_at >= UNIX_TIMESTAMP() WHERE e.name = ?';
        $row = $this->connection->run($sql, [$this->key($id), self::EPOCH])->fetch(\PDO::FETCH_ASSOC);
        if ($row === false) {
            throw new PDOException('lamp_session_epoch has no row ' . self::EPOCH . ': apply the delta set session_store');
        }
        return $row;
    }

    private function lock(string $id): void
    {
        if ($this->locking !== 'advisory') {
            return;
        }
        $name = 'lamp:' . substr(hash('sha256', "lock $id"), 0, 56);
        $got = $this->connection->run('SELECT GET_LOCK(?, ?)', [$name, $this->lockTimeout])->fetchColumn();
        if ((int) $got !== 1) {
            throw new PDOException("the session is held by another request for more than $this->lockTimeout s");
        }
        $this->locked = $name;
    }

    private function key(string $id): string
    {
        return hash('sha256', $id, true);
    }

    private function ttl(): int
    {
        return max(1, (int) ini_get('session.gc_maxlifetime'));
    }

    /** What $action returns, or null when it failed, which is logged. */
    private function attempt(string $verb, callable $action): mixed
    {
        try {
            return $action();
        } catch (PDOException $problem) {
            error_log("lamp.cluster: could not $verb a session: " . $problem->getMessage());
            return null;
        }
    }
}
