<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps PHP's sessions in two tables that all web servers share: one row per session, one per variable of it.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use PDOException;

/**
 * A request writes only the variables that it changed, so requests of one session that change different variables
 * lose nothing and need no lock. Of two writes to the same variable the last one stays, whole.
 */
final class MysqlVariableSessionHandler extends MysqlStore
{
    private const BAD_NULL = 1048;

    /** What one statement takes at most; a larger variable has one of its own. */
    private const VARIABLES = 1000;
    private const BYTES = 1 << 20;

    /** @var array<string, string> each variable as it was read, serialized */
    private array $known = [];

    public function read(string $id): string
    {
        $this->requireSerializer();
        $this->known = [];
        $former = $this->locked($id, fn (): string => $this->fetch($id));
        if ($former !== '') {
            $this->takeApart($id, $former);
            $this->locked($id, fn (): string => $this->fetch($id)); // that let go of its row
        }
        return Variables::join($this->known);
    }

    public function write(string $id, string $data): void
    {
        $now = Variables::split($data);
        $problem = $this->change(fn (): ?PDOException => $this->store($id, $now));
        $this->existed = true;
        if ($problem === null) {
            $this->known = $now;
        } else {
            $this->complain('write', $problem); // all else is written
        }
    }

    public function destroy(string $id): void
    {
        $this->change(function () use ($id): void {
            $this->connection->run('DELETE FROM lamp_session WHERE id = ?', [$this->key($id)]);
            $this->connection->run('DELETE FROM lamp_session_variable WHERE session_id = ?', [$this->key($id)]);
        });
    }

    /** Learn the variables; what is returned is the text that MysqlSessionHandler left. */
    private function fetch(string $id): string
    {
        $row = $this->current($id);
        $this->remember((int) $row['epoch'], $row['id'] !== null);
        if (!$this->existed) {
            $this->known = [];
            return '';
        }
        $sql = 'SELECT name, value FROM lamp_session_variable WHERE session_id = ?';
        $this->known = $this->connection->run($sql, [$this->key($id)])->fetchAll(\PDO::FETCH_KEY_PAIR);
        return $row['data'];
    }

    /**
     * A session that MysqlSessionHandler wrote. Only the first request that does it has an effect: what is removed after
     * that does not come back. One that nobody understands begins anew, or its user could not even log in.
     */
    private function takeApart(string $id, string $data): void
    {
        $variables = [];
        try {
            $variables = Variables::split(Variables::modern($data));
        } catch (\UnexpectedValueException $problem) {
            error_log('lamp.cluster: a session of the handler mysql is left behind: ' . $problem->getMessage());
        }
        $this->connection->transaction(function () use ($id, $variables): void {
            $sql = "UPDATE lamp_session SET data = '' WHERE id = ? AND epoch = ? AND data <> ''";
            if ($this->connection->run($sql, [$this->key($id), $this->epoch])->rowCount() === 0) {
                return;
            }
            $problem = $this->put($id, $variables, 'session_id = session_id');
            if ($problem !== null) {
                throw $problem;
            }
        });
    }

    /** What this request changed; where a variable does not fit, all others all the same, and the first problem of it. */
    private function store(string $id, array $now): ?PDOException
    {
        $changed = array_diff_assoc($now, $this->known);
        $gone = array_keys(array_diff_key($this->known, $now));
        if (!$this->existed) {
            $this->create($id);
        }
        $problem = $this->put($id, $changed, 'value = VALUES(value), updated_at = VALUES(updated_at)');
        $this->remove($id, $gone);
        if ($this->existed) {
            $this->renew($id, $changed !== [] || $gone !== []);
        }
        return $problem;
    }

    /** Variables that a purge or an expired session left under this id do not come back with it. */
    private function create(string $id): void
    {
        $this->connection->run(
            'DELETE v FROM lamp_session_variable v LEFT JOIN lamp_session s ON s.id = v.session_id AND s.epoch = ?'
            . ' AND s.expires_at >= UNIX_TIMESTAMP() WHERE v.session_id = ? AND s.id IS NULL',
            [$this->epoch, $this->key($id)],
        );
        $sql = 'INSERT INTO lamp_session (id, data, epoch, created_at, updated_at, expires_at)'
            . " VALUES (?, '', ?, UNIX_TIMESTAMP(), UNIX_TIMESTAMP(), UNIX_TIMESTAMP() + ?) ON DUPLICATE KEY UPDATE"
            . " data = IF(epoch < VALUES(epoch) OR expires_at < UNIX_TIMESTAMP(), '', data),"
            . ' updated_at = VALUES(updated_at), expires_at = VALUES(expires_at), epoch = GREATEST(epoch, VALUES(epoch))';
        $this->connection->run($sql, [$this->key($id), $this->epoch, $this->ttl()]);
    }

    /**
     * One statement for all of them, where they are neither very many nor very large.
     *
     * @param array<string, string> $variables
     * @param string $change  what happens to those that are there
     * @return PDOException|null that of the first one that does not fit: it stays as it was
     */
    private function put(string $id, array $variables, string $change): ?PDOException
    {
        $problem = null;
        foreach (self::parts($variables) as $part) {
            try {
                $this->putAtOnce($id, $part, $change);
            } catch (PDOException $caught) {
                if (!MysqlConnection::isTooLarge($caught)) {
                    throw $caught;
                }
                $problem ??= $caught;
                foreach (count($part) > 1 ? array_chunk($part, 1, true) : [] as $single) {
                    $this->put($id, $single, $change);
                }
            }
        }
        return $problem;
    }

    /**
     * @param array<string, string> $variables
     * @return iterable<array<string, string>>
     */
    private static function parts(array $variables): iterable
    {
        $part = [];
        $bytes = 0;
        foreach ($variables as $name => $value) {
            $bytes += strlen($value);
            if ($part !== [] && ($bytes > self::BYTES || count($part) === self::VARIABLES)) {
                yield $part;
                [$part, $bytes] = [[], strlen($value)];
            }
            $part[$name] = $value;
        }
        if ($part !== []) {
            yield $part;
        }
    }

    /**
     * The session's row decides whether it takes effect, so that a session that was ended or purged meanwhile does not
     * come back.
     *
     * @param array<string, string> $variables
     */
    private function putAtOnce(string $id, array $variables, string $change): void
    {
        $row = '((SELECT s.id FROM lamp_session s WHERE s.id = ? AND s.epoch = ?), ?, ?, ?, UNIX_TIMESTAMP())';
        $values = [];
        foreach ($variables as $name => $value) {
            array_push($values, $this->key($id), $this->epoch, $this->key((string) $name), (string) $name, $value);
        }
        try {
            $this->connection->run(
                'INSERT INTO lamp_session_variable (session_id, name_hash, name, value, updated_at) VALUES '
                . implode(', ', array_fill(0, count($variables), $row))
                . " ON DUPLICATE KEY UPDATE $change",
                $values,
            );
        } catch (PDOException $problem) {
            if (($problem->errorInfo[1] ?? 0) !== self::BAD_NULL) {
                throw $problem;
            }
        }
    }

    /** @param list<int|string> $names */
    private function remove(string $id, array $names): void
    {
        foreach (array_chunk($names, self::VARIABLES) as $part) {
            $hashes = array_map(fn (int|string $name): string => $this->key((string) $name), $part);
            $sql = 'DELETE FROM lamp_session_variable WHERE session_id = ? AND name_hash IN ('
                . self::marks($hashes) . ')';
            $this->connection->run($sql, [$this->key($id), ...$hashes]);
        }
    }
}
