<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// What the two MySQL handlers have in common: ids, epoch, expiry, locks, and failures that end in the log.

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
abstract class MysqlStore implements
    SessionHandlerInterface,
    SessionIdInterface,
    SessionUpdateTimestampHandlerInterface
{
    protected const EPOCH = 'lamp_session';

    protected ?int $epoch = null;

    /** Whether the session was there when it was read: if so, and it is gone when it is written, it stays gone. */
    protected bool $existed = false;

    private ?string $locked = null;

    /** @param 'none'|'advisory'|'row' $locking  one request of a session at a time, on the same database server */
    public function __construct(
        protected readonly MysqlConnection $connection,
        protected readonly string $locking = 'none',
        private readonly int $lockTimeout = 10,
    ) {
    }

    public function open(string $path, string $name): bool
    {
        // A new id for a session that goes on: what the request holds is as old as before.
        if (!in_array('session_regenerate_id', array_column(debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS), 'function'), true)) {
            $this->epoch = null;
        }
        return true;
    }

    public function close(): bool
    {
        if ($this->locked !== null) {
            $this->attempt('unlock', fn () => $this->connection->run('DO RELEASE_LOCK(?)', [$this->locked]));
            $this->locked = null;
        }
        $this->attempt('end', fn () => $this->connection->end());
        return true;
    }

    public function create_sid(): string
    {
        return bin2hex(random_bytes(16));
    }

    public function validateId(string $id): bool
    {
        // Nobody knows while the database is away: the cookie stays, or everybody would be logged out for good.
        return $this->attempt('look up', fn () => $this->row($id, 'NULL')['id'] !== null) ?? true;
    }

    public function updateTimestamp(string $id, string $data): bool
    {
        if (!$this->existed) {
            return $this->write($id, $data);
        }
        $sql = 'UPDATE lamp_session SET expires_at = UNIX_TIMESTAMP() + ? WHERE id = ? AND epoch = ?';
        $this->attempt('touch', fn () => $this->connection->run($sql, [$this->ttl(), $this->key($id), $this->epoch ?? 0]));
        return true;
    }

    /**
     * The epoch to work with, and the columns $columns of the session, if it counts.
     *
     * @return array<string, mixed>
     */
    protected function row(string $id, string $columns, string $lock = ''): array
    {
        $sql = "SELECT e.epoch, s.id, $columns FROM lamp_session_epoch e LEFT JOIN lamp_session s"
            . ' ON s.id = ? AND s.epoch = e.epoch AND s.expires_at >= UNIX_TIMESTAMP() WHERE e.name = ?' . $lock;
        $row = $this->connection->run($sql, [$this->key($id), self::EPOCH])->fetch(\PDO::FETCH_ASSOC);
        if ($row === false) {
            throw new PDOException('lamp_session_epoch has no row ' . self::EPOCH . ': apply the delta set session_store');
        }
        return $row;
    }

    /** Take over what row() found; the epoch of a request never rises while its session goes on. */
    protected function remember(int $epoch, bool $existed): void
    {
        $this->epoch = min($this->epoch ?? $epoch, $epoch);
        $this->existed = $existed && $this->epoch === $epoch;
    }

    protected function lock(string $id): void
    {
        if ($this->locking === 'row') {
            $this->connection->begin($this->lockTimeout);
            $this->connection->run('SELECT epoch FROM lamp_session WHERE id = ? FOR UPDATE', [$this->key($id)])->fetchAll();
        }
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

    protected function key(string $id): string
    {
        return hash('sha256', $id, true);
    }

    protected function ttl(): int
    {
        return max(1, (int) ini_get('session.gc_maxlifetime'));
    }

    /** What $action returns, or null when it failed, which is logged. */
    protected function attempt(string $verb, callable $action): mixed
    {
        set_error_handler(static fn (): bool => true); // the driver warns of lost connections besides throwing
        try {
            return $action();
        } catch (\Throwable $problem) {
            error_log("lamp.cluster: could not $verb a session: " . $problem->getMessage() . $this->advice($problem));
            return null;
        } finally {
            restore_error_handler();
        }
    }

    private function advice(\Throwable $problem): string
    {
        return $problem instanceof PDOException && ($problem->errorInfo[1] ?? 0) === 1153
            ? '; raise max_allowed_packet on the server above the size of the largest session'
            : '';
    }
}
