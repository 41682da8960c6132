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
        $this->known = [];
        $data = $this->attempt('read', fn () => $this->fetch($id));
        if ($data === null) {
            $this->epoch = null;
        }
        return $data ?? '';
    }

    public function write(string $id, string $data): bool
    {
        if ($this->epoch === null) {
            return true; // it was not read: see Store
        }
        $this->attempt('write', function () use ($id, $data): void {
            $now = Variables::split($data);
            $existed = $this->existed;
            if (!$existed) {
                $this->create($id);
            }
            $changed = array_diff_assoc($now, $this->known);
            $this->put($id, $changed, 'value = VALUES(value), updated_at = VALUES(updated_at)');
            $this->remove($id, array_keys(array_diff_key($this->known, $now)));
            if ($existed) {
                $this->updateTimestamp($id, '');
            }
            $this->known = $now;
        });
        return true;
    }

    public function destroy(string $id): bool
    {
        $this->attempt('destroy', function () use ($id): void {
            $this->connection->run('DELETE FROM lamp_session WHERE id = ?', [$this->key($id)]);
            $this->connection->run('DELETE FROM lamp_session_variable WHERE session_id = ?', [$this->key($id)]);
        });
        return true;
    }

    private function fetch(string $id): string
    {
        $this->requireSerializer();
        $row = $this->current($id);
        $this->remember($id, (int) $row['epoch'], $row['id'] !== null);
        if ($this->existed) {
            if ($row['data'] !== '') {
                $this->takeApart($id, $row['data']);
            }
            $sql = 'SELECT name, value FROM lamp_session_variable WHERE session_id = ?';
            $this->known = $this->connection->run($sql, [$this->key($id)])->fetchAll(\PDO::FETCH_KEY_PAIR);
        }
        return Variables::join($this->known);
    }

    /**
     * A session that MysqlSessionHandler wrote. Where another request has done so already, what it left stays. One that
     * nobody understands begins anew, or its user could not even log in.
     */
    private function takeApart(string $id, string $data): void
    {
        try {
            $this->put($id, Variables::split(Variables::modern($data)), 'session_id = session_id');
        } catch (\UnexpectedValueException $problem) {
            error_log('lamp.cluster: a session of the handler mysql is left behind: ' . $problem->getMessage());
        }
        $this->connection->run("UPDATE lamp_session SET data = '' WHERE id = ? AND epoch = ?", [$this->key($id), $this->epoch]);
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
            . ' expires_at = VALUES(expires_at), epoch = GREATEST(epoch, VALUES(epoch))';
        $this->connection->run($sql, [$this->key($id), $this->epoch, $this->ttl()]);
        $this->existed = true;
    }

    /**
     * One statement for all of them, where they are neither very many nor very large.
     *
     * @param array<string, string> $variables
     * @param string $change  what happens to those that are there
     */
    private function put(string $id, array $variables, string $change): void
    {
        $part = [];
        $bytes = 0;
        foreach ($variables as $name => $value) {
            $bytes += strlen($value);
            if ($part !== [] && ($bytes > self::BYTES || count($part) === self::VARIABLES)) {
                $this->putAtOnce($id, $part, $change);
                [$part, $bytes] = [[], strlen($value)];
            }
            $part[$name] = $value;
        }
        if ($part !== []) {
            $this->putAtOnce($id, $part, $change);
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
