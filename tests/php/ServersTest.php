<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\Servers;
use PHPUnit\Framework\TestCase;

final class ServersTest extends TestCase
{
    private const LIST = [['host' => 'a'], ['host' => 'b'], ['host' => 'c']];

    private string $folder;

    protected function setUp(): void
    {
        $this->folder = sys_get_temp_dir() . '/servers-' . bin2hex(random_bytes(8));
        mkdir($this->folder);
    }

    protected function tearDown(): void
    {
        array_map('unlink', glob("$this->folder/*") ?: []);
        rmdir($this->folder);
    }

    /** @return list<int> */
    private function order(Servers $servers): array
    {
        return array_keys($servers->inOrder());
    }

    public function testAServerThatFailedIsTriedLastByOtherRequestsToo(): void
    {
        (new Servers(self::LIST, $this->folder))->failed(0);
        $other = new Servers(self::LIST, $this->folder);
        self::assertSame([1, 2, 0], $this->order($other));
        $other->failed(1);
        $other->failed(2);
        self::assertSame([0, 1, 2], $this->order($other), 'where all failed, all are tried');
        $other->works(0);
        self::assertSame([0, 1, 2], $this->order($other));
        $other->works(1);
        self::assertSame([0, 1, 2], $this->order($other));
    }

    public function testAfterSomeSecondsOneRequestTriesItAgain(): void
    {
        (new Servers(self::LIST, $this->folder, 10))->failed(0);
        foreach ([-11, 3600] as $moment) { // in an hour: the clock was put back meanwhile
            foreach (glob("$this->folder/*") ?: [] as $mark) {
                touch($mark, time() + $moment);
            }
            $servers = new Servers(self::LIST, $this->folder, 10);
            self::assertSame([0, 1, 2], $this->order($servers));
            self::assertSame([1, 2, 0], $this->order($servers));
        }
    }

    public function testWithoutAFolderAProcessRemembersItsOwn(): void
    {
        foreach (['', "$this->folder/missing"] as $folder) {
            $servers = new Servers(self::LIST, $folder);
            $servers->failed(0);
            self::assertSame([1, 2, 0], $this->order($servers));
            self::assertSame([0, 1, 2], $this->order(new Servers(self::LIST, $folder)));
            $servers->works(0);
            self::assertSame([0, 1, 2], $this->order($servers));
        }
    }
}
