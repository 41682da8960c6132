<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// Requests to CouchDB: to the first server that answers.

declare(strict_types=1);

namespace Lamp\Cluster\Session;

use RuntimeException;

final class CouchDbConnection
{
    private readonly Servers $servers;

    /** Seconds that the server's clock, as its last answer shows it, is ahead of this host's. */
    private int $ahead = 0;

    /** @param array{servers: list<array{host: string, port?: int}>, user?: string, password?: string,
     *               connect_timeout?: int, read_timeout?: int, ca_cert?: string, client_cert?: string,
     *               client_key?: string, state_folder?: string, retry_after?: int} $settings */
    public function __construct(private readonly array $settings)
    {
        $this->servers = new Servers(
            $settings['servers'],
            $settings['state_folder'] ?? '',
            $settings['retry_after'] ?? 10,
        );
    }

    /** What time it is for the server, if it has answered: for web hosts whose clocks differ it is the same. */
    public function time(): int
    {
        return time() + $this->ahead;
    }

    /**
     * One request, to the next server when one cannot be reached, breaks off, or says that it cannot serve.
     *
     * @param array<mixed>|null $body
     * @return array{int, array<mixed>} status and JSON of the answer
     * @throws RuntimeException when no server answered
     */
    public function request(string $method, string $path, ?array $body = null): array
    {
        $last = new RuntimeException('no server is configured');
        foreach ($this->servers->inOrder() as $number => $server) {
            try {
                $answer = $this->ask($server, $method, $path, $body === null ? '' : json_encode(
                    $body,
                    JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES,
                ));
                $this->servers->works($number);
                return $answer;
            } catch (RuntimeException $problem) {
                $this->servers->failed($number);
                $last = $problem;
            }
        }
        throw $last;
    }

    /**
     * @param array{host: string, port?: int} $server
     * @return array{int, array<mixed>}
     */
    private function ask(array $server, string $method, string $path, string $body): array
    {
        $place = Servers::host($server['host']) . ':' . ($server['port'] ?? 5984);
        // With 1.0 the server ends its answer by closing: it comes in one piece and needs no decoding.
        $head = "$method $path HTTP/1.0\r\nHost: $place\r\nAccept: application/json\r\n"
            . "Content-Type: application/json\r\nContent-Length: " . strlen($body) . "\r\n";
        if (($this->settings['user'] ?? '') !== '') {
            $login = $this->settings['user'] . ':' . ($this->settings['password'] ?? '');
            $head .= 'Authorization: Basic ' . base64_encode($login) . "\r\n";
        }
        $text = $this->exchange($place, "$head\r\n$body");
        [$head, $json] = explode("\r\n\r\n", $text, 2) + ['', ''];
        if (!preg_match('~^HTTP/1\.\d (\d{3})~', $head, $status)) {
            throw new RuntimeException("CouchDB at $place broke off its answer");
        }
        if (preg_match('/^Content-Length: *(\d+)/mi', $head, $length) && strlen($json) < (int) $length[1]) {
            throw new RuntimeException("CouchDB at $place broke off its answer");
        }
        if (preg_match('/^Date: *([^\r\n]+)/mi', $head, $date) && strtotime($date[1]) !== false) {
            $this->ahead = strtotime($date[1]) - time();
        }
        if ((int) $status[1] >= 500) {
            throw new RuntimeException("CouchDB at $place answered $method with status $status[1]");
        }
        $decoded = json_decode($json, true);
        if (!is_array($decoded)) {
            throw new RuntimeException("what answers at $place with status $status[1] is no CouchDB");
        }
        return [(int) $status[1], $decoded];
    }

    private function exchange(string $place, string $request): string
    {
        $ca = $this->settings['ca_cert'] ?? '';
        $files = [
            'cafile' => $ca,
            'local_cert' => $this->settings['client_cert'] ?? '',
            'local_pk' => $this->settings['client_key'] ?? '',
        ];
        $context = stream_context_create(['ssl' => array_filter($files, static fn (string $file): bool => $file !== '')]);
        $wait = (float) ($this->settings['connect_timeout'] ?? 2);
        $scheme = $ca === '' ? 'tcp' : 'tls';
        $stream = stream_socket_client("$scheme://$place", $number, $reason, $wait, STREAM_CLIENT_CONNECT, $context);
        if ($stream === false) {
            throw new RuntimeException("CouchDB at $place cannot be reached: " . ($reason ?: 'no connection'));
        }
        try {
            stream_set_timeout($stream, $this->settings['read_timeout'] ?? 10);
            for ($sent = 0; $sent < strlen($request); $sent += $written) {
                $written = fwrite($stream, substr($request, $sent, 1 << 20));
                if ($written === false || $written === 0) {
                    throw new RuntimeException("CouchDB at $place does not take the request");
                }
            }
            return $this->answer($stream, $place);
        } finally {
            fclose($stream);
        }
    }

    /** @param resource $stream */
    private function answer($stream, string $place): string
    {
        $answer = '';
        stream_set_chunk_size($stream, 1 << 20);
        $end = hrtime(true) + 1e9 * ($this->settings['read_timeout'] ?? 10);
        while (!feof($stream)) {
            // The timeout of a stream begins anew with every byte that comes.
            $left = (int) (($end - hrtime(true)) / 1000);
            $piece = false;
            if ($left > 0) {
                stream_set_timeout($stream, intdiv($left, 1_000_000), $left % 1_000_000);
                $piece = fread($stream, 1 << 20);
            }
            if ($piece === false || stream_get_meta_data($stream)['timed_out']) {
                throw new RuntimeException("CouchDB at $place does not answer in time");
            }
            $answer .= $piece;
        }
        return $answer;
    }
}
