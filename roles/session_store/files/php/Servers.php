<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// The servers of a store in the order in which they are tried, and which of them failed a moment ago.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

/**
 * A server that failed goes to the end of the list for some seconds, for all requests of this host: not every one of
 * them pays for finding out. No server is ever left out: where all others fail too, it is tried.
 */
final class Servers
{
    /** @var array<int, int>  when servers failed in this process, by number */
    private array $failures = [];

    /**
     * @param list<array<string, mixed>> $servers
     * @param string $folder   where this host remembers; without one, a process only remembers what it met itself
     * @param int    $seconds  for how long
     */
    public function __construct(
        private readonly array $servers,
        private readonly string $folder = '',
        private readonly int $seconds = 10,
    ) {
    }

    /** @return array<int, array<string, mixed>> by their number in the list */
    public function inOrder(): array
    {
        $first = $last = [];
        foreach ($this->servers as $number => $server) {
            if ($this->failedLately($number)) {
                $last[$number] = $server;
            } else {
                $first[$number] = $server;
            }
        }
        return $first + $last;
    }

    /** A name or address as PHP wants it in front of a port: one of IPv6 in brackets. */
    public static function host(string $host): string
    {
        return str_contains($host, ':') ? '[' . trim($host, '[]') . ']' : $host;
    }

    public function count(): int
    {
        return count($this->servers);
    }

    public function failed(int $number): void
    {
        $this->failures[$number] = time();
        if (is_dir($this->folder)) {
            touch($this->mark($number));
        }
    }

    public function works(int $number): void
    {
        unset($this->failures[$number]);
        if ($this->folder !== '' && file_exists($this->mark($number))) {
            unlink($this->mark($number));
        }
    }

    private function failedLately(int $number): bool
    {
        if ($this->isLately($this->failures[$number] ?? 0)) {
            return true;
        }
        if ($this->folder === '') {
            return false;
        }
        clearstatcache(true, $this->mark($number));
        $since = is_file($this->mark($number)) ? filemtime($this->mark($number)) : false;
        if ($since === false) {
            return false;
        }
        if ($this->isLately($since)) {
            return true;
        }
        touch($this->mark($number)); // this request finds out how it is; the others go on without it meanwhile
        return false;
    }

    /** What lies ahead was written before the clock was put back: nobody knows how long ago. */
    private function isLately(int $since): bool
    {
        return $since > time() - $this->seconds && $since <= time();
    }

    private function mark(int $number): string
    {
        return $this->folder . '/failed-' . hash('sha256', json_encode($this->servers[$number], JSON_THROW_ON_ERROR));
    }
}
