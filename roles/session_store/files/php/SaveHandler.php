<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// What PHP calls: passes it on to a store, and keeps failures of that from the page and from the session.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use SessionHandlerInterface;
use SessionIdInterface;
use SessionUpdateTimestampHandlerInterface;

/**
 * Failures go to error_log(), never to the page. A session that could not be read stays as it is, so that a passing
 * fault of the store cannot take it from its user: it is not written, and session_regenerate_id(), which applications
 * call where they find a session empty, neither deletes it nor gives it a new id. session_destroy() does end it.
 */
final class SaveHandler implements
    SessionHandlerInterface,
    SessionIdInterface,
    SessionUpdateTimestampHandlerInterface
{
    /** The id of the session that could not be read, or not be left for a new id. */
    private ?string $untouchable = null;

    /** The id that came in, and was found, or could not be looked up: unless there is such a session, it begins none. */
    private ?string $claimed = null;

    /** The id that was given last, until its session is read. */
    private ?string $given = null;

    public function __construct(private readonly Store $store)
    {
    }

    public function open(string $path, string $name): bool
    {
        $this->claimed = null;
        if (!$this->isKept()) {
            $this->attempt('open', fn () => $this->store->open($path, $name, self::isGivenANewId()));
        }
        return true;
    }

    public function close(): bool
    {
        $this->attempt('close', fn () => $this->store->close());
        return true;
    }

    public function create_sid(): string
    {
        return $this->given = $this->isKept() ? $this->untouchable : bin2hex(random_bytes(16));
    }

    /** Nobody knows while the store is away: the cookie stays, or everybody would be logged out for good. */
    public function validateId(string $id): bool
    {
        if ($id === $this->given) {
            return false; // PHP asks whether it is free
        }
        $valid = $this->attempt('look up', fn (): bool => $this->store->validateId($id)) ?? true;
        $this->claimed = $valid ? $id : null;
        return $valid;
    }

    public function read(string $id): string
    {
        $this->given = null;
        if ($this->isKept()) {
            return '';
        }
        $text = $this->attempt('read', fn (): string => $this->store->read($id));
        $unread = $text === null && !self::isGivenANewId(); // of a new id nothing is there to be read
        $this->untouchable = $unread || ($this->claimed === $id && !$this->store->existed()) ? $id : null;
        return $text ?? '';
    }

    public function write(string $id, string $data): bool
    {
        if ($this->untouchable === null) {
            $this->change('write', $id, fn () => $this->store->write($id, $data));
        }
        return true;
    }

    public function updateTimestamp(string $id, string $data): bool
    {
        if ($this->untouchable === null) {
            $this->change('touch', $id, fn () => $this->store->updateTimestamp($id, $data));
        }
        return true;
    }

    /** False if a logout did not log out: then PHP warns, and session_destroy() returns false. */
    public function destroy(string $id): bool
    {
        return $this->isKept() || $this->change('destroy', $id, fn () => $this->store->destroy($id)) || $this->isKept();
    }

    public function gc(int $max_lifetime): int|false
    {
        return $this->attempt('clean up', fn (): int => $this->store->gc($max_lifetime)) ?? 0;
    }

    /** Whether it was done. A session that cannot be written, or deleted, for a new id goes on under the one it has. */
    private function change(string $verb, string $id, callable $change): bool
    {
        $done = $this->attempt($verb, $change) !== null;
        if (!$done && self::isGivenANewId()) {
            $this->untouchable = $id;
        }
        return $done;
    }

    /** Whether session_regenerate_id() is under way for a session that is to stay as it is. */
    private function isKept(): bool
    {
        return $this->untouchable !== null && self::isGivenANewId();
    }

    /** Whether session_regenerate_id() is under way, which PHP does not tell. */
    private static function isGivenANewId(): bool
    {
        foreach (debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS) as $frame) {
            if ($frame['function'] === 'session_regenerate_id' && !isset($frame['class'])) {
                return true;
            }
        }
        return false;
    }

    /** What $action returns, true where that is nothing; null when it failed, which is logged. */
    private function attempt(string $verb, callable $action): mixed
    {
        set_error_handler(static fn (): bool => true); // drivers warn of lost connections besides throwing
        try {
            return $action() ?? true;
        } catch (\Throwable $problem) {
            $this->store->complain($verb, $problem);
            return null;
        } finally {
            restore_error_handler();
        }
    }
}
