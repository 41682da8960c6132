<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// What the two MySQL handlers have in common: the row that says whether a session counts, and locks.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use PDOException;

abstract class MysqlStore extends Store
{
    /** The name of the advisory lock that is held. */
    private ?string $lock = null;

    /** @var array{string, array<string, mixed>}|null  what validateId() found, for read(), which PHP calls next */
    private ?array $looked = null;

    private bool $cleanUpDue = false;

    /** @param 'none'|'advisory'|'row' $locking  one request of a session at a time, on the same database server */
    public function __construct(
        protected readonly MysqlConnection $connection,
        protected readonly string $locking = 'none',
        private readonly int $lockTimeout = 10,
    ) {
    }

    public function open(string $path, string $name, bool $goesOn): void
    {
        $this->connection->end(); // session_reset() closes nothing; what would be lost with it is read again
        parent::open($path, $name, $goesOn);
    }

    public function close(): void
    {
        $this->connection->end();
        [$lock, $this->lock] = [$this->lock, null];
        if ($lock !== null) {
            $this->connection->run('DO RELEASE_LOCK(?)', [$lock]);
        }
        [$due, $this->cleanUpDue] = [$this->cleanUpDue, false];
        if ($due) {
            $this->cleanUp();
        }
    }

    public function validateId(string $id): bool
    {
        $this->looked = [$id, $this->row($id)];
        return $this->looked[1]['id'] !== null;
    }

    public function updateTimestamp(string $id, string $data): void
    {
        if ($this->existed) {
            $this->change(fn () => $this->renew($id, false));
        } else {
            $this->write($id, $data);
        }
    }

    protected function renew(string $id, bool $written): void
    {
        $also = $written ? ', updated_at = UNIX_TIMESTAMP()' : '';
        $sql = "UPDATE lamp_session SET expires_at = UNIX_TIMESTAMP() + ?$also WHERE id = ? AND epoch = ?";
        $this->connection->run($sql, [$this->ttl(), $this->key($id), $this->epoch]);
    }

    /** Do $work, which changes the session; where its row is held, all of it or nothing, and then it is let go. */
    protected function change(callable $work): mixed
    {
        return $this->locking === 'row' ? $this->connection->transaction($work) : $work();
    }

    /** What $read gives, with a lock on the session from then on, if there is to be one. */
    protected function locked(string $id, callable $read): mixed
    {
        if ($this->locking === 'row') {
            return $this->connection->hold(function () use ($id, $read): mixed {
                $sql = 'SELECT epoch FROM lamp_session WHERE id = ? FOR UPDATE';
                $this->connection->run($sql, [$this->key($id)])->fetchAll();
                return $read();
            });
        }
        if ($this->locking === 'advisory') {
            $this->lock('lamp:' . substr(hash('sha256', "lock $id"), 0, 56));
        }
        return $read();
    }

    /**
     * The epoch to work with, and the session, if it counts.
     *
     * @return array{epoch: int|string, id: string|null, data: string|null}
     */
    protected function current(string $id): array
    {
        [$known, $row] = $this->looked ?? [null, []];
        $this->looked = null;
        return $known === $id && $this->locking === 'none' ? $row : $this->row($id);
    }

    /** @return array<string, mixed> */
    private function row(string $id): array
    {
        $sql = 'SELECT e.epoch, s.id, s.data FROM lamp_session_epoch e LEFT JOIN lamp_session s'
            . ' ON s.id = ? AND s.epoch = e.epoch AND s.expires_at >= UNIX_TIMESTAMP()'
            . " WHERE e.name = 'lamp_session'";
        $row = $this->connection->run($sql, [$this->key($id)])->fetch(\PDO::FETCH_ASSOC);
        if ($row === false) {
            throw new PDOException('lamp_session_epoch has no row lamp_session: apply the delta set session_store');
        }
        return $row;
    }

    private function lock(string $name): void
    {
        if ($this->lock === $name) {
            return; // session_reset() reads again without a close before it
        }
        $got = $this->connection->run('SELECT GET_LOCK(?, ?)', [$name, $this->lockTimeout])->fetchColumn();
        if ((int) $got !== 1) {
            throw new PDOException("the session is held by another request for more than $this->lockTimeout s");
        }
        $this->lock = $name;
    }

    public function gc(int $max_lifetime): int
    {
        // In the transaction that holds the session, what is deleted would stay locked until the request ends.
        $this->cleanUpDue = $this->locking === 'row';
        return $this->cleanUpDue ? 0 : $this->cleanUp();
    }

    /**
     * Delete at most 1000 expired sessions, with their variables.
     *
     * Variables whose session is gone without them (the table was truncated, or another node deleted it while they were
     * written) are found by going over a part of their table: a thousand rows from a random place and as many from the
     * start, by its primary key.
     *
     * What is to go is looked up without locks and deleted by its primary key: an index of times would have the next
     * session locked, too, which may be in use, and waited for.
     */
    private function cleanUp(): int
    {
        $select = 'SELECT id FROM lamp_session WHERE expires_at < UNIX_TIMESTAMP() LIMIT 1000';
        $old = $this->connection->run($select, [])->fetchAll(\PDO::FETCH_COLUMN);
        $gone = $old === [] ? 0 : $this->connection->run(
            'DELETE s FROM lamp_session s FORCE INDEX (PRIMARY)'
            . ' WHERE s.id IN (' . self::marks($old) . ') AND s.expires_at < UNIX_TIMESTAMP()',
            $old,
        )->rowCount();
        $part = '(SELECT session_id FROM lamp_session_variable %s ORDER BY session_id LIMIT 1000)';
        $orphans = $this->connection->run(
            'SELECT DISTINCT session_id FROM (' . sprintf($part, 'WHERE session_id >= ?') . ' UNION ALL '
            . sprintf($part, '') . ') part LEFT JOIN lamp_session s ON s.id = session_id WHERE s.id IS NULL',
            [random_bytes(32)],
        )->fetchAll(\PDO::FETCH_COLUMN);
        $this->deleteOrphans([...$old, ...$orphans]);
        return $gone;
    }

    /** @param list<string> $ids */
    private function deleteOrphans(array $ids): void
    {
        if ($ids !== []) {
            $this->connection->run('DELETE v FROM lamp_session_variable v LEFT JOIN lamp_session s ON s.id = v.session_id'
                . ' WHERE v.session_id IN (' . self::marks($ids) . ') AND s.id IS NULL', $ids);
        }
    }

    /** @param array<mixed> $values */
    protected static function marks(array $values): string
    {
        return implode(', ', array_fill(0, count($values), '?'));
    }

    protected function advice(\Throwable $problem): string
    {
        return match ($problem instanceof PDOException ? $problem->errorInfo[1] ?? 0 : 0) {
            1153 => '; raise max_allowed_packet on the server above the size of the largest session',
            1406 => '; a session, or a variable of one, may have 16 MiB less one byte',
            default => '',
        };
    }
}
