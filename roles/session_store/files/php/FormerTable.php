<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// The session table of another handler, which goes on writing to it on hosts that were not upgraded yet.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use PDOException;
use RuntimeException;

/** Each layout reads and writes as the other handler does; names of table and columns are the administrator's. */
abstract class FormerTable
{
    /** The table's name while the delta that takes it over copies it: whoever needs a session waits. */
    private const BEING_COPIED = 'lamp_session_former';

    private const NO_SUCH_TABLE = 1146;

    /** How long this request waits: it asks more than once. */
    private ?float $end = null;

    /** @param array{layout: string, table: string, id: string, time: string, time_is: string, data?: string,
     *               name?: string, value?: string} $names */
    public function __construct(
        protected readonly MysqlConnection $connection,
        private readonly array $names,
        private readonly int $wait = 10,
    ) {
    }

    /** @param array<string, mixed> $names */
    public static function of(MysqlConnection $connection, array $names, int $wait): self
    {
        return $names['layout'] === 'variable'
            ? new FormerVariables($connection, $names, $wait)
            : new FormerSessions($connection, $names, $wait);
    }

    /** The session as it is there now, null when it is not. */
    abstract public function read(string $id, int $ttl): ?string;

    /** Write what is $data now and was $base when it was read, null when there was none. */
    abstract public function write(string $id, string $data, ?string $base, int $ttl): void;

    /** Whether the table is still in use; waits while it is copied. */
    public function inUse(): bool
    {
        while (!$this->exists($this->column('table'))) {
            if (!$this->exists(self::BEING_COPIED)) {
                return false;
            }
            $this->end ??= microtime(true) + $this->wait;
            if (microtime(true) > $this->end) {
                throw new RuntimeException('the sessions of ' . $this->names['table'] . ' are still being copied');
            }
            usleep(20000);
        }
        return true;
    }

    public static function isGone(\Throwable $problem): bool
    {
        return $problem instanceof PDOException && ($problem->errorInfo[1] ?? 0) === self::NO_SUCH_TABLE;
    }

    public function touch(string $id, int $ttl): void
    {
        $this->send('UPDATE {table} SET {time} = ' . $this->stamp($ttl) . ' WHERE {id} = ?', [$id]);
    }

    public function destroy(string $id): void
    {
        $this->send('DELETE FROM {table} WHERE {id} = ?', [$id]);
    }

    public function clean(int $ttl): int
    {
        return $this->send('DELETE FROM {table} WHERE NOT ' . $this->isLive($ttl) . ' LIMIT 1000', [])->rowCount();
    }

    /** @param list<mixed> $values */
    protected function send(string $sql, array $values): \PDOStatement
    {
        return $this->connection->run(
            preg_replace_callback('/\{(\w+)\}/', fn (array $match): string => $this->column($match[1]), $sql),
            $values,
        );
    }

    /** What the column of time holds for a session that is used now. */
    protected function stamp(int $ttl): string
    {
        return $this->moment(str_starts_with($this->names['time_is'], 'expires') ? $ttl : 0);
    }

    protected function isLive(int $ttl): string
    {
        return '({time} >= ' . $this->moment(str_starts_with($this->names['time_is'], 'expires') ? 0 : -$ttl) . ')';
    }

    private function moment(int $seconds): string
    {
        return str_ends_with($this->names['time_is'], 'unix')
            ? "UNIX_TIMESTAMP() + $seconds"
            : "NOW() + INTERVAL $seconds SECOND";
    }

    private function column(string $name): string
    {
        return '`' . str_replace('`', '``', $this->names[$name]) . '`';
    }

    private function exists(string $table): bool
    {
        try {
            $this->connection->run("SELECT 1 FROM $table LIMIT 0", []);
            return true;
        } catch (PDOException $problem) {
            return self::isGone($problem) ? false : throw $problem;
        }
    }
}
