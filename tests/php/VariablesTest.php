<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\Variables;
use PHPUnit\Framework\Attributes\DataProvider;
use PHPUnit\Framework\TestCase;

final class VariablesTest extends TestCase
{
    public static function sessions(): iterable
    {
        $shared = new \ArrayObject([1, 'x|y:"{;}']);
        $loop = new \stdClass();
        $loop->self = $loop;
        $list = [1];
        $list[] = &$list[0];
        yield 'scalars' => [['a' => 1, 'b' => 1.5, 'c' => true, 'd' => null, 'e' => "\0|\"';}", 'f' => -0.0]];
        yield 'nested' => [['a' => [[], ['b' => ['c|' => [1, 2]]]], 'z' => INF]];
        yield 'objects' => [['a' => $shared, 'b' => new \DateTimeImmutable('2020-01-01')]];
        yield 'a loop' => [['first' => 1, 'a' => $loop, 'b' => [$loop]]];
        yield 'references' => [['first' => [1, 2], 'a' => $list]];
        yield 'an enum' => [['a' => Suit::Hearts, 'b' => [Suit::Hearts]]];
    }

    /**
     * @dataProvider sessions
     * @param array<string, mixed> $session
     */
    #[DataProvider('sessions')]
    public function testATextOfOldIsReadAsPhpReadsIt(array $session): void
    {
        session_save_path(sys_get_temp_dir());
        ini_set('session.serialize_handler', 'php');
        ini_set('session.use_cookies', '0');
        session_cache_limiter('');
        session_start();
        $_SESSION = $session;
        $text = (string) session_encode();
        session_destroy();
        ini_set('session.serialize_handler', 'php_serialize');
        $modern = Variables::modern($text);
        self::assertEquals($session, unserialize($modern));
        self::assertSame(serialize(unserialize($modern)), $modern);
        self::assertSame($modern, Variables::modern($modern));
        self::assertEquals($session, unserialize(Variables::join(Variables::split($modern))));
    }

    public function testTextsThatAreNoSession(): void
    {
        foreach (['a|', 'a|i:1', 'a|s:5:"x";', 'nonsense', 'a|a:2:{i:0;i:1;}', "a|O:1:\"A\":1:{"] as $text) {
            try {
                Variables::modern($text);
                self::fail("taken for a session: $text");
            } catch (\UnexpectedValueException $problem) {
                self::assertStringContainsString('a session', $problem->getMessage());
            }
        }
    }

    public static function values(): iterable
    {
        yield 'an enum that is gone' => ['E:9:"Gone:Here";'];
        $changed = serialize(new Changed());
        yield 'a class that refuses' => ['a:2:{i:0;' . serialize(Suit::Hearts) . "i:1;$changed}"];
    }

    /**
     * As it does for any handler: else the session could not be read, and so not begun anew, until it expires.
     *
     * @dataProvider values
     */
    #[DataProvider('values')]
    public function testAValueThatPhpCannotReadIsLeftToPhpToRefuse(string $value): void
    {
        $text = @Variables::join(['a' => $value, 'b' => serialize('it refers to R:1;')]); // SaveHandler keeps warnings back
        try {
            self::assertFalse(@unserialize($text));
        } catch (\DomainException $problem) {
            self::assertSame('changed', $problem->getMessage());
        }
    }

    public function testMerging(): void
    {
        $merge = static fn (array $base, array $mine, array $theirs): array => (array) unserialize(
            Variables::merge(serialize($base), serialize($mine), serialize($theirs)) ?: 'a:0:{}',
        );
        self::assertEquals(['a' => 1, 'b' => 2], $merge([], ['a' => 1], ['b' => 2]));
        self::assertEquals(['b' => 2], $merge(['a' => 1], [], ['a' => 1, 'b' => 2]));
        self::assertEquals(['a' => 'mine'], $merge(['a' => 0], ['a' => 'mine'], ['a' => 'theirs']));
        self::assertEquals(['a' => 'theirs'], $merge(['a' => 0], ['a' => 0], ['a' => 'theirs']));
        self::assertEquals(['a' => 'mine'], $merge(['a' => 0], ['a' => 'mine'], []));
        self::assertEquals([], $merge(['a' => 0], [], ['a' => 'theirs']));
        self::assertEquals([7 => 1, 'x' => 2], $merge([], [7 => 1], ['x' => 2]));
    }
}
