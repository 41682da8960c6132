<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// What all handlers have in common: ids, epoch, expiry, and failures that end in the log.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use SessionHandlerInterface;
use SessionIdInterface;
use SessionUpdateTimestampHandlerInterface;

/**
 * Failures go to error_log(), never to the page. A session that could not be read is not written either, so that a
 * passing fault of the database cannot empty it.
 *
 * A request writes with the epoch that it read. Once the epoch was raised, by a purge, what it writes does not count.
 */
abstract class Store implements
    SessionHandlerInterface,
    SessionIdInterface,
    SessionUpdateTimestampHandlerInterface
{
    /** The epoch that the request works with; null while nothing was read. */
    protected ?int $epoch = null;

    /** Whether the session was there when it was read: if so, and it is gone when it is written, it stays gone. */
    protected bool $existed = false;

    /** The id that validateId() could not look up. */
    private ?string $doubtful = null;

    public function open(string $path, string $name): bool
    {
        // A new id for a session that goes on: what the request holds is as old as before.
        if (!in_array('session_regenerate_id', array_column(debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS), 'function'), true)) {
            $this->epoch = null;
        }
        return true;
    }

    public function create_sid(): string
    {
        return bin2hex(random_bytes(16));
    }

    /**
     * What $look says of an id. Nobody knows while the database is away: the cookie stays, or everybody would be logged
     * out for good.
     */
    protected function isValid(string $id, callable $look): bool
    {
        $valid = $this->attempt('look up', $look);
        $this->doubtful = $valid === null ? $id : null;
        return $valid ?? true;
    }

    /** Whether an id came in unseen, as the database was away: unless there is such a session, none is begun by it. */
    protected function isDoubtful(string $id): bool
    {
        return $this->doubtful === $id;
    }

    /** Take over what was found; the epoch of a request never rises while its session goes on. */
    protected function remember(string $id, int $epoch, bool $existed): void
    {
        $this->epoch = min($this->epoch ?? $epoch, $epoch);
        $this->existed = $existed && $this->epoch === $epoch;
        if (!$this->existed && $this->isDoubtful($id)) {
            $this->epoch = null;
        }
    }

    /** What stands for an id in the store. */
    protected function key(string $id): string
    {
        return hash('sha256', $id, true);
    }

    protected function ttl(): int
    {
        return max(1, min(0x7fffffff, (int) ini_get('session.gc_maxlifetime'))); // times have 32 bits in tables
    }

    /** What works on single variables needs a text that can be taken apart. */
    protected function requireSerializer(): void
    {
        if (ini_get('session.serialize_handler') !== 'php_serialize') {
            throw new \UnexpectedValueException('this handler needs session.serialize_handler = php_serialize');
        }
    }

    /** What $action returns, or null when it failed, which is logged. */
    protected function attempt(string $verb, callable $action): mixed
    {
        set_error_handler(static fn (): bool => true); // drivers warn of lost connections besides throwing
        try {
            return $action();
        } catch (\Throwable $problem) {
            error_log("lamp.cluster: could not $verb a session: " . $problem->getMessage() . $this->advice($problem));
            return null;
        } finally {
            restore_error_handler();
        }
    }

    /** What to do about it, for the log. */
    protected function advice(\Throwable $problem): string
    {
        return '';
    }
}
