<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Keeps PHP's sessions in CouchDB: a database for each session name, one document per session.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use RuntimeException;

/**
 * Requests of one session do not wait for one another. Where another one was faster, what this one changed is put on
 * top of what that one left, variable by variable (Variables::merge).
 *
 * A session of the layout of old, {_id, data, createdAt}, is read, and becomes one of this layout when it is written.
 */
final class CouchDbSessionHandler extends Store
{
    private const TRIES = 30;

    private ?CouchDbDatabase $database = null;

    /** @var array{string, int, array<string, array<string, mixed>>}|null  what validateId() found, for read() */
    private ?array $found = null;

    /** The revision that the next write replaces. */
    private ?string $revision = null;

    /** What was read, to tell what this request changed. */
    private string $text = '';

    private int $expiresAt = 0;

    private int $createdAt = 0;

    public function __construct(private readonly CouchDbConnection $connection)
    {
    }

    public function open(string $path, string $name, bool $goesOn): void
    {
        $this->found = null;
        $this->database = new CouchDbDatabase($this->connection, $name);
        parent::open($path, $name, $goesOn);
    }

    public function close(): void
    {
    }

    public function validateId(string $id): bool
    {
        $this->found = [$id, ...$this->load($id)];
        return $this->live($id, $this->found[1], $this->found[2]) !== null;
    }

    public function read(string $id): string
    {
        $this->requireSerializer();
        [$this->text, $this->revision, $this->createdAt] = ['', null, $this->connection->time()];
        [$known, $epoch, $found] = $this->found ?? [null, 0, []];
        $this->found = null;
        if ($known !== $id) {
            [$epoch, $found] = $this->load($id);
        }
        $live = $this->live($id, $epoch, $found);
        $this->remember($epoch, $live !== null);
        $this->revision = $found[$this->name($id)]['_rev'] ?? null;
        $this->createdAt = (int) ($live['createdAt'] ?? $this->connection->time());
        $this->expiresAt = (int) ($live['expiresAt'] ?? 0);
        return $this->text = $this->existed ? $this->content($live ?? []) : '';
    }

    public function write(string $id, string $data): void
    {
        for ($try = 1; $try <= self::TRIES; ++$try) {
            $expires = $this->connection->time() + $this->ttl();
            $stored = $this->database->put($this->name($id), [
                'type' => 'session',
                'epoch' => $this->epoch,
                'createdAt' => $this->createdAt,
                'expiresAt' => $expires,
                'data' => base64_encode($data),
            ], $this->revision);
            if ($stored) {
                [$this->text, $this->existed, $this->expiresAt] = [$data, true, $expires];
                return;
            }
            [$epoch, $found] = $this->load($id); // makes the database, if it was that
            $theirs = $found[$this->name($id)] ?? null;
            $this->revision = $theirs['_rev'] ?? null;
            if ($theirs === null && ($this->existed && !isset($found[$id]))) {
                return; // another request ended the session
            }
            if ((int) ($theirs['epoch'] ?? 0) > $this->epoch || $epoch > $this->epoch) {
                return; // purged meanwhile
            }
            if ((int) ($theirs['epoch'] ?? 0) === $this->epoch) {
                $now = $this->content($theirs);
                [$data, $this->text] = [Variables::merge($this->text, $data, $now), $now];
            }
            usleep(random_int(0, 2000 * $try));
        }
        throw new RuntimeException('other requests of it write all the time');
    }

    public function updateTimestamp(string $id, string $data): void
    {
        // A new revision for each request that only reads would be dear: a late one will do.
        $late = $this->connection->time() + $this->ttl() - min(60, intdiv($this->ttl(), 20));
        if (!$this->existed || $this->expiresAt < $late) {
            $this->write($id, $data);
        }
    }

    public function destroy(string $id): void
    {
        for ($try = 1; $try <= self::TRIES; ++$try) {
            [, $found] = $this->load($id);
            $revisions = array_intersect_key(array_column($found, '_rev', '_id'), [$this->name($id) => 1, $id => 1]);
            if ($revisions === []) {
                return;
            }
            $this->database?->delete($revisions); // of a conflict between nodes, the next revision then comes forth
        }
        throw new RuntimeException('other requests of it write all the time');
    }

    public function gc(int $max_lifetime): int
    {
        return $this->database->clean($max_lifetime);
    }

    /** @return array{int, array<string, array<string, mixed>>} epoch, and documents by id */
    private function load(string $id): array
    {
        if ($this->database === null) {
            throw new RuntimeException('the handler was not opened');
        }
        // In the layout of old the id is the document's own. A cookie may name any document: only such a one is looked at.
        $former = preg_match('/^[A-Za-z0-9,-]{16,256}$/', $id) ? [$id] : [];
        [$epoch, $found] = $this->database->read([$this->name($id), ...$former]);
        if (!is_string($found[$id]['data'] ?? null) || isset($found[$id]['type']) || !isset($found[$id]['createdAt'])) {
            unset($found[$id]);
        }
        return [$epoch, $found];
    }

    /**
     * The document of the session, if there is one that counts.
     *
     * @param array<string, array<string, mixed>> $found
     * @return array<string, mixed>|null
     */
    private function live(string $id, int $epoch, array $found): ?array
    {
        $document = $found[$this->name($id)] ?? null;
        if ($document !== null) {
            return $document['epoch'] === $epoch && $document['expiresAt'] >= $this->connection->time() ? $document : null;
        }
        $former = $found[$id] ?? null;
        if ($former === null || ($found[CouchDbDatabase::EPOCH]['first'] ?? null) !== $epoch) {
            return null; // a purge ends them all: they have no epoch of their own
        }
        $time = $former['createdAt'];
        $time = is_numeric($time) ? (float) $time : (float) strtotime((string) $time);
        if (($time > 1e11 ? $time / 1000 : $time) + $this->ttl() < $this->connection->time()) {
            return null;
        }
        try {
            $this->content($former);
            return $former;
        } catch (\UnexpectedValueException $problem) {
            error_log('lamp.cluster: a session of the layout of old is left behind: ' . $problem->getMessage());
            return null;
        }
    }

    /** @param array<string, mixed> $document */
    private function content(array $document): string
    {
        return isset($document['type'])
            ? (string) base64_decode($document['data'], true)
            : Variables::modern($document['data']);
    }

    private function name(string $id): string
    {
        return 'session-' . bin2hex($this->key($id));
    }
}
