<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// What applications do with PHP's own functions while the store fails at one thing or another.

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\SaveHandler;
use Lamp\Cluster\Session\Store;
use PHPUnit\Framework\Attributes\DataProvider;
use PHPUnit\Framework\TestCase;

final class SaveHandlerTest extends TestCase
{
    private const ID = '0123456789abcdef0123456789abcdef';

    private const CART = ['cart' => 'full'];

    private FailingStore $store;

    private string $log;

    protected function setUp(): void
    {
        $this->log = (string) tempnam(sys_get_temp_dir(), 'log');
        $this->set('error_log', $this->log);
        foreach (['use_cookies' => 0, 'use_strict_mode' => 1, 'cache_limiter' => '', 'serialize_handler' => 'php_serialize'] as $name => $value) {
            $this->set("session.$name", (string) $value);
        }
        $this->store = new FailingStore();
        $this->store->sessions = [self::ID => serialize(self::CART)];
        session_set_save_handler(new SaveHandler($this->store), false);
        session_id(self::ID);
    }

    protected function tearDown(): void
    {
        session_abort();
        session_id('');
        $this->set('error_log', '');
        unlink($this->log);
    }

    private function set(string $option, string $value): void
    {
        self::assertNotFalse(ini_set($option, $value), $option);
    }

    /** Begin the session that cannot be looked up and read; afterwards the store works again. */
    private function beginUnread(): void
    {
        $this->store->fails = ['validateId', 'read'];
        self::assertTrue(session_start());
        self::assertSame([], $_SESSION);
        $this->store->fails = [];
        $this->store->asked = [];
    }

    /** @param array<string, mixed>|null $expected */
    private function assertStored(?array $expected, string $id = self::ID): void
    {
        self::assertSame($expected, isset($this->store->sessions[$id]) ? unserialize($this->store->sessions[$id]) : null);
    }

    public static function pages(): iterable
    {
        yield 'a new id' => [static fn () => session_regenerate_id()];
        yield 'a new id, and the old one deleted' => [static fn () => session_regenerate_id(true)];
        yield 'twice' => [static fn () => session_regenerate_id(true) && session_regenerate_id(true)];
        yield 'reset' => [static function (): void {
            session_regenerate_id(true);
            session_reset();
        }];
        yield 'abort and begin again' => [static function (): void {
            session_regenerate_id(true);
            session_abort();
            session_start();
        }];
        yield 'an id that is not used' => [static fn () => self::assertNotSame(self::ID, session_create_id())];
    }

    /** @dataProvider pages */
    #[DataProvider('pages')]
    public function testASessionThatCouldNotBeReadStaysAsItIsUnderItsId(callable $page): void
    {
        $this->beginUnread();
        $this->store->fails = ['validateId', 'read'];
        $page();
        self::assertSame(self::ID, session_id());
        $_SESSION = ['cart' => 'empty'];
        session_write_close();
        self::assertSame([self::ID], array_keys($this->store->sessions));
        $this->assertStored(self::CART);
    }

    public function testItIsNotAskedForAgainUnderSessionRegenerateId(): void
    {
        $this->beginUnread();
        session_regenerate_id(true);
        self::assertSame(['close'], $this->store->asked);
    }

    public function testAMethodOfTheApplicationMayBeCalledSessionRegenerateId(): void
    {
        $this->beginUnread();
        $page = new class {
            public function session_regenerate_id(): bool
            {
                return session_destroy();
            }
        };
        self::assertTrue($page->session_regenerate_id());
        $this->assertStored(null);
    }

    public function testASessionThatIsReadAfterAllIsWrittenAndGetsNewIds(): void
    {
        foreach (['session_reset', static fn () => session_write_close() && session_start()] as $again) {
            $this->beginUnread();
            session_regenerate_id(true);
            $again();
            self::assertSame(self::CART, array_intersect_key($_SESSION, self::CART));
            $_SESSION['more'] = ($_SESSION['more'] ?? 0) + 1;
            session_write_close();
        }
        $this->assertStored(self::CART + ['more' => 2]);
        session_start();
        session_regenerate_id(true);
        self::assertNotSame(self::ID, session_id());
        session_write_close();
        $this->assertStored(null);
        $this->assertStored(self::CART + ['more' => 2], (string) session_id());
    }

    public function testALogoutEndsASessionThatCouldNotBeReadOrSaysThatItDidNot(): void
    {
        $this->beginUnread();
        $this->store->fails = ['destroy'];
        session_regenerate_id(true);
        self::assertFalse(@session_destroy());
        $this->assertStored(self::CART);
        self::assertStringContainsString('could not destroy a session: destroy', (string) file_get_contents($this->log));

        session_id(self::ID);
        $this->beginUnread();
        self::assertTrue(session_destroy());
        $this->assertStored(null);
    }

    public static function faults(): iterable
    {
        yield 'write' => ['write', false];
        yield 'destroy' => ['destroy', true];
    }

    /** @dataProvider faults */
    #[DataProvider('faults')]
    public function testASessionThatCannotBeLeftForANewIdGoesOnUnderItsOwn(string $fails, bool $delete): void
    {
        session_start();
        $this->store->fails = [$fails, 'validateId', 'read'];
        session_regenerate_id($delete);
        $this->store->fails = [];
        self::assertSame(self::ID, session_id());
        $_SESSION['user'] = 'admin';
        session_write_close();
        $this->assertStored(self::CART);
    }

    public function testANewIdThatCannotBeReadBeginsASessionAllTheSame(): void
    {
        session_start();
        $this->store->fails = ['validateId', 'read'];
        session_regenerate_id(true);
        $this->store->fails = [];
        session_write_close();
        $this->assertStored(null);
        $this->assertStored(self::CART, (string) session_id());
    }

    public function testNoIdIsMadeOfOneThatCouldNotBeLookedUp(): void
    {
        $this->store->sessions = [];
        $this->store->fails = ['validateId'];
        session_start();
        session_regenerate_id(true);
        $_SESSION['a'] = 1;
        session_write_close();
        self::assertSame([], $this->store->sessions);
        $this->store->fails = [];
        session_start();
        self::assertNotSame(self::ID, session_id());
    }

    public function testASessionThatWasEndedWhileThisRequestWaitedForItIsNotBegunAnewUnderItsId(): void
    {
        $this->store->ends = true;
        session_start();
        self::assertSame([], $_SESSION);
        $_SESSION['a'] = 1;
        session_write_close();
        $this->store->ends = false;
        self::assertSame([], $this->store->sessions);
        session_start();
        self::assertNotSame(self::ID, session_id());
        $_SESSION['a'] = 1;
        session_write_close();
        $this->assertStored(['a' => 1], (string) session_id());
    }

    public function testAPageMayBeginASessionAnewUnderAnIdThatItEndedWhereItSwitchesStrictModeOff(): void
    {
        session_start();
        session_destroy();
        $this->set('session.use_strict_mode', '0');
        session_id(self::ID);
        session_start();
        $_SESSION['a'] = 1;
        session_write_close();
        $this->assertStored(['a' => 1]);
    }

    public function testOpeningSaysNothingOnThePage(): void
    {
        session_start();
        $this->store->fails = ['open'];
        $said = null;
        set_error_handler(static function (int $_level, string $text) use (&$said): bool {
            $said = $text;
            return true;
        });
        session_reset();
        restore_error_handler();
        self::assertNull($said);
        self::assertSame(self::CART, $_SESSION);
    }

    public function testAFaultAtTheEndIsLoggedAlone(): void
    {
        session_start();
        $_SESSION['a'] = 1;
        $this->store->fails = ['write', 'close', 'gc'];
        self::assertSame(0, session_gc());
        session_write_close();
        self::assertSame(3, substr_count((string) file_get_contents($this->log), 'lamp.cluster: could not'));
        $this->assertStored(self::CART);
    }
}
