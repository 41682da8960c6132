<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// What every handler must do, seen from the side of PHP's session module.

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\SaveHandler;
use PHPUnit\Framework\Attributes\DataProvider;
use PHPUnit\Framework\TestCase;

abstract class HandlerTestCase extends TestCase
{
    protected const ID = '0123456789abcdef0123456789abcdef';

    private string $log;

    /** A new handler, as each request has one. */
    abstract protected function handler(): SaveHandler;

    /** One whose server does not exist. */
    abstract protected function deadHandler(): SaveHandler;

    /** Raise the epoch, as a purge does. */
    abstract protected function purge(): void;

    /** Make all sessions older than they are. */
    abstract protected function expire(): void;

    /** Take the store away, or give it back. */
    abstract protected function outage(bool $begins): void;

    /** How many sessions are stored, expired ones included. */
    abstract protected function stored(): int;

    /** All that is at rest, as text. */
    abstract protected function content(): string;

    protected function setUp(): void
    {
        $this->log = (string) tempnam(sys_get_temp_dir(), 'log');
        ini_set('error_log', $this->log);
        ini_set('session.serialize_handler', 'php_serialize');
    }

    protected function tearDown(): void
    {
        ini_set('error_log', '');
        unlink($this->log);
    }

    protected function errors(): string
    {
        return (string) file_get_contents($this->log);
    }

    protected function opened(): SaveHandler
    {
        $handler = $this->handler();
        self::assertTrue($handler->open('', 'PHPSESSID'));
        return $handler;
    }

    /** What the handler says that it deleted. */
    protected function cleanUp(): int|false
    {
        return $this->opened()->gc(1000);
    }

    /** @param array<string, mixed> $variables */
    protected function save(array $variables, string $id = self::ID): void
    {
        $handler = $this->opened();
        $handler->read($id);
        self::assertTrue($handler->write($id, serialize($variables)));
        self::assertTrue($handler->close());
    }

    /** @return array<string, mixed>|null null when there is no session */
    protected function load(string $id = self::ID): ?array
    {
        $handler = $this->opened();
        $there = $handler->validateId($id);
        $text = $handler->read($id);
        $handler->close();
        self::assertSame($there, $text !== '');
        return $text === '' ? null : unserialize($text);
    }

    public function testWhatWasWrittenIsRead(): void
    {
        $this->save(['a' => 1, 'b' => ['c' => null]]);
        self::assertEquals(['a' => 1, 'b' => ['c' => null]], $this->load());
        $this->save(['a' => 2]);
        self::assertSame(['a' => 2], $this->load());
        self::assertSame('', $this->errors());
    }

    public function testTheIdIsNotAtRest(): void
    {
        $this->save(['a' => 'needle']);
        self::assertStringNotContainsString(self::ID, $this->content());
        self::assertSame(1, $this->stored());
    }

    public static function hostileTexts(): iterable
    {
        yield 'SQL' => ["' OR '1'='1' -- "];
        yield 'SQL, backslash' => ["\\' OR 1=1; DROP TABLE lamp_session; #"];
        yield 'path' => ['../../_users/org.couchdb.user:root?rev=1&x='];
        yield 'design document' => ['_design/lamp_session'];
        yield 'epoch' => ['lamp-epoch'];
        yield 'all bytes' => [implode('', array_map('chr', range(0, 255)))];
        yield 'no UTF-8' => ["\xff\xfe\x00\xc3\x28"];
        yield 'line ends' => ["a\r\nDELETE / HTTP/1.0\r\n\r\n"];
        yield 'digits' => ['1234567890123456'];
        yield 'a stored name' => ['session-' . hash('sha256', self::ID)];
        yield 'empty' => [''];
        yield 'long' => [str_repeat('x', 60000)];
    }

    /** @dataProvider hostileTexts */
    #[DataProvider('hostileTexts')]
    public function testHostileIds(string $id): void
    {
        $this->save(['a' => 1]);
        self::assertNull($this->load($id));
        $this->save(['b' => 2], $id);
        self::assertSame(['b' => 2], $this->load($id));
        self::assertSame(['a' => 1], $this->load());
        $handler = $this->opened();
        self::assertTrue($handler->destroy($id));
        self::assertNull($this->load($id));
        self::assertSame(['a' => 1], $this->load());
        self::assertSame('', $this->errors());
    }

    /** @dataProvider hostileTexts */
    #[DataProvider('hostileTexts')]
    public function testHostileNamesAndValues(string $text): void
    {
        $variables = ['before' => 0, "v$text" => $text, 'after' => [$text => "$text|a:1:{"]];
        $this->save($variables);
        self::assertEquals($variables, $this->load());
        $this->save(['after' => true] + $variables);
        self::assertEquals(['after' => true] + $variables, $this->load());
        self::assertSame('', $this->errors());
    }

    public function testAnIdThatWasNeverGivenIsNotValid(): void
    {
        self::assertFalse($this->opened()->validateId(self::ID));
        $handler = $this->opened();
        self::assertMatchesRegularExpression('/^[0-9a-f]{32}$/', $handler->create_sid());
        self::assertNotSame($handler->create_sid(), $handler->create_sid());
    }

    public function testAnExpiredSessionIsGoneAndCleanedUp(): void
    {
        $this->save(['a' => 1]);
        $this->expire();
        self::assertNull($this->load());
        $this->save(['b' => 2], 'fedcba9876543210fedcba9876543210');
        self::assertSame(1, $this->cleanUp());
        self::assertSame(1, $this->stored());
        self::assertSame(['b' => 2], $this->load('fedcba9876543210fedcba9876543210'));
        self::assertSame('', $this->errors());
    }

    public function testAnExpiredSessionThatIsUsedAgainIsANewOne(): void
    {
        $this->save(['a' => 1]);
        $this->expire();
        $this->save(['b' => 2]);
        self::assertSame(['b' => 2], $this->load());
    }

    public function testReadingKeepsASessionAlive(): void
    {
        $this->save(['a' => 1]);
        $handler = $this->opened();
        $text = $handler->read(self::ID);
        self::assertTrue($handler->updateTimestamp(self::ID, $text));
        self::assertSame(['a' => 1], $this->load());
        self::assertSame('', $this->errors());
    }

    public function testAPurgeEndsAllSessionsAndTheIdMayBeUsedAnew(): void
    {
        $this->save(['a' => 1]);
        $this->purge();
        self::assertNull($this->load());
        $this->save(['b' => 2]);
        self::assertSame(['b' => 2], $this->load());
    }

    public function testARequestInFlightCannotUndoAPurge(): void
    {
        $this->save(['a' => 1]);
        $flying = $this->opened();
        $flying->read(self::ID);
        $beginning = $this->opened();
        $beginning->read('fedcba9876543210fedcba9876543210');
        $this->purge();
        $flying->write(self::ID, serialize(['a' => 2]));
        $beginning->write('fedcba9876543210fedcba9876543210', serialize(['c' => 3]));
        self::assertNull($this->load());
        self::assertNull($this->load('fedcba9876543210fedcba9876543210'));
        self::assertSame('', $this->errors());
    }

    public function testASessionThatWasEndedMeanwhileStaysEnded(): void
    {
        $this->save(['a' => 1]);
        $flying = $this->opened();
        $flying->read(self::ID);
        $this->opened()->destroy(self::ID);
        $flying->write(self::ID, serialize(['a' => 2]));
        self::assertNull($this->load());
        self::assertSame(0, $this->stored());
    }

    public function testASessionThatCouldNotBeReadIsNotWritten(): void
    {
        $handler = $this->deadHandler();
        $handler->open('', 'PHPSESSID');
        self::assertTrue($handler->validateId(self::ID), 'the cookie must stay');
        self::assertSame('', $handler->read(self::ID));
        self::assertTrue($handler->write(self::ID, serialize(['a' => 1])));
        self::assertTrue($handler->updateTimestamp(self::ID, serialize(['a' => 1])));
        self::assertFalse($handler->destroy(self::ID), 'a logout that did not log out');
        self::assertSame(0, $handler->gc(1000));
        self::assertTrue($handler->close());
        self::assertStringContainsString('lamp.cluster: could not read a session', $this->errors());
        self::assertStringNotContainsString('could not write', $this->errors());
        self::assertStringNotContainsString(getenv('LAMP_MYSQL_PASSWORD') ?: 'no password', $this->errors());
    }

    public function testAnIdThatCouldNotBeLookedUpIsNotTakenUnlessItIsThere(): void
    {
        $this->save(['a' => 1]);
        foreach ([self::ID, 'fedcba9876543210fedcba9876543210'] as $id) {
            $handler = $this->opened();
            $this->outage(true);
            self::assertTrue($handler->validateId($id));
            $this->outage(false);
            $handler->read($id);
            $handler->write($id, serialize(['a' => 2]));
        }
        self::assertSame(['a' => 2], $this->load());
        self::assertSame(1, $this->stored());
    }

    /** As session_regenerate_id() has it, where the store fails between the old id and the new one. */
    public function testANewIdThatCannotBeReadTakesAllOfTheSession(): void
    {
        $new = 'fedcba9876543210fedcba9876543210';
        $this->save(['a' => 1, 'b' => 2]);
        $store = (new \ReflectionProperty(SaveHandler::class, 'store'))->getValue($this->handler());
        $store->open('', 'PHPSESSID', false);
        $text = $store->read(self::ID);
        $store->destroy(self::ID);
        $store->open('', 'PHPSESSID', true);
        $this->outage(true);
        try {
            $store->read($new);
            self::fail('it was read');
        } catch (\RuntimeException) {
            $this->outage(false);
        }
        $store->write($new, $text);
        self::assertNull($this->load());
        self::assertEquals(['a' => 1, 'b' => 2], $this->load($new));
    }

    public function testSixteenMebibytes(): void
    {
        $size = 16 * 1024 * 1024 - 1024; // with its name and length less than 16 MiB
        $this->save(['a' => str_repeat("\xff", $size)]);
        self::assertSame($size, strlen($this->load()['a'] ?? ''));
        self::assertSame('', $this->errors());
    }

    public function testALifetimeWithoutEnd(): void
    {
        ini_set('session.gc_maxlifetime', (string) PHP_INT_MAX);
        try {
            $this->save(['a' => 1]);
            self::assertSame(['a' => 1], $this->load());
        } finally {
            ini_set('session.gc_maxlifetime', '1000');
        }
        self::assertSame('', $this->errors());
    }
}
