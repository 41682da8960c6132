<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// The database of one session name: made on first use, with a design document that carries a version.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use RuntimeException;

final class CouchDbDatabase
{
    /** Raise it with each change of DESIGN: databases with a lower number are brought up, a higher one is refused. */
    public const VERSION = 1;

    public const EPOCH = 'lamp-epoch';

    private const DESIGN_ID = '_design/lamp_session';

    /** The design document of the layout of old: one view, by createdAt. */
    private const FORMER_DESIGN_ID = '_design/app';

    private const TRIES = 10;

    /** Both views give the revision, with which documents are deleted without being fetched. */
    private const VIEWS = [
        'by_expiry' => ['map' => <<<'JS'
            function (doc) {
              if (doc.type === 'session') { emit(doc.expiresAt, doc._rev); }
            }
            JS],
        // The layout of old: {_id, data, createdAt}, with seconds, milliseconds or a date.
        'former_by_time' => ['map' => <<<'JS'
            function (doc) {
              if (doc.type === undefined && doc.data !== undefined && doc.createdAt !== undefined) {
                var time = isNaN(doc.createdAt) ? Date.parse(doc.createdAt) : Number(doc.createdAt);
                emit(time > 1e11 ? Math.floor(time / 1000) : time || 0, doc._rev);
              }
            }
            JS],
    ];

    private readonly string $path;

    /** @param string $name  the session's name */
    public function __construct(private readonly CouchDbConnection $connection, string $name)
    {
        $lower = strtolower($name);
        $this->path = '/' . (preg_match('/^[a-z][a-z0-9_-]*$/', $lower) ? $lower : 'session-' . bin2hex($name));
    }

    /**
     * The epoch, and documents by their ids; those that are not there are not in it. Makes or upgrades what is missing.
     *
     * @param list<string> $ids
     * @return array{int, array<string, array<string, mixed>>}
     */
    public function read(array $ids): array
    {
        for ($try = 1; $try <= self::TRIES; ++$try) {
            $found = $this->documents([self::EPOCH, self::DESIGN_ID, ...$ids]);
            if ($found === null) {
                $this->expect([201, 202, 412], 'PUT', $this->path); // 412: another request was faster
                continue;
            }
            $version = (int) ($found[self::DESIGN_ID]['version'] ?? 0);
            if ($version > self::VERSION) {
                throw new RuntimeException("the database $this->path has the design of version $version, these handlers know "
                    . self::VERSION . ': install the newer handlers on this host');
            }
            if ($version < self::VERSION) {
                $this->install($found[self::DESIGN_ID]['_rev'] ?? null);
            }
            if (isset($found[self::EPOCH])) {
                return [(int) $found[self::EPOCH]['epoch'], $found];
            }
            // By the clock: what a request holds of a database that was dropped is older.
            $epoch = (int) (microtime(true) * 1000);
            $this->put(self::EPOCH, ['epoch' => $epoch, 'first' => $epoch], null);
        }
        throw new RuntimeException("the database $this->path is made and dropped all the time");
    }

    /**
     * Store a document; false when another revision is there, null when the database is not.
     *
     * @param array<string, mixed> $document
     */
    public function put(string $id, array $document, ?string $revision): ?bool
    {
        $status = $this->expect(
            [201, 202, 404, 409],
            'PUT',
            $this->document($id),
            $document + ($revision === null ? [] : ['_rev' => $revision]),
        )[0];
        return $status === 404 ? null : $status !== 409;
    }

    /**
     * Delete documents, each if it still has that revision.
     *
     * @param array<string, string> $revisions  by id
     * @return int how many it were
     */
    public function delete(array $revisions): int
    {
        if ($revisions === []) {
            return 0;
        }
        $documents = [];
        foreach ($revisions as $id => $revision) {
            $documents[] = ['_id' => (string) $id, '_rev' => $revision, '_deleted' => true];
        }
        $answer = $this->expect([201, 202, 404], 'POST', "$this->path/_bulk_docs", ['docs' => $documents])[1];
        return count(array_filter($answer, static fn (mixed $row): bool => is_array($row) && !isset($row['error'])));
    }

    /**
     * Delete what expired, or in the layout of old was written longer ago than $lifetime: at most 1000 of each.
     *
     * The indexes are read as they are, and brought up after that: a user's request does not wait for it.
     */
    public function clean(int $lifetime): int
    {
        $this->read([]); // the views must be there
        $now = $this->connection->time();
        $gone = $this->delete($this->oldest('by_expiry', 'limit=1000&stale=update_after&endkey=' . ($now - 1)));
        $old = $this->delete($this->oldest('former_by_time', 'limit=1000&stale=update_after&endkey=' . ($now - $lifetime - 1)));
        if ($old > 0 && $this->oldest('former_by_time', 'limit=1') === []) {
            $design = $this->documents([self::FORMER_DESIGN_ID])[self::FORMER_DESIGN_ID] ?? null;
            if (isset($design['views']['byCreateTime'])) {
                $this->delete([self::FORMER_DESIGN_ID => $design['_rev']]);
            }
        }
        return $gone + $old;
    }

    /** @return array<string, string> revisions by id */
    private function oldest(string $view, string $query): array
    {
        $answer = $this->expect([200], 'GET', "$this->path/" . self::DESIGN_ID . "/_view/$view?$query")[1];
        return array_column($answer['rows'] ?? [], 'value', 'id');
    }

    /** Make or upgrade the design document; where another request does so too, its next read sees what came of it. */
    private function install(?string $revision): void
    {
        $design = ['version' => self::VERSION, 'language' => 'javascript', 'views' => self::VIEWS];
        $this->put(self::DESIGN_ID, $design, $revision);
    }

    /**
     * @param list<string> $ids
     * @return array<string, array<string, mixed>>|null null when there is no such database
     */
    private function documents(array $ids): ?array
    {
        [$status, $answer] = $this->expect(
            [200, 404],
            'POST',
            "$this->path/_all_docs?include_docs=true",
            ['keys' => $ids],
        );
        if ($status === 404) {
            return null;
        }
        return array_column(array_filter(array_column($answer['rows'] ?? [], 'doc')), null, '_id');
    }

    private function document(string $id): string
    {
        return "$this->path/" . (str_starts_with($id, '_design/') ? $id : rawurlencode($id));
    }

    /**
     * @param list<int> $statuses
     * @param array<mixed>|null $body
     * @return array{int, array<mixed>}
     */
    private function expect(array $statuses, string $method, string $path, ?array $body = null): array
    {
        [$status, $answer] = $this->connection->request($method, $path, $body);
        if (!in_array($status, $statuses, true)) {
            $reason = implode(', ', array_filter([$answer['error'] ?? '', $answer['reason'] ?? ''], is_string(...)));
            throw new RuntimeException("CouchDB answered $method $this->path with status $status: $reason", $status);
        }
        return [$status, $answer];
    }
}
