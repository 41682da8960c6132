<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Lamp\Cluster\Tests;

use Lamp\Cluster\Session\CouchDbConnection;
use Lamp\Cluster\Session\CouchDbDatabase;
use Lamp\Cluster\Session\Handlers;
use Lamp\Cluster\Session\SaveHandler;
use PHPUnit\Framework\Attributes\DataProvider;

require_once __DIR__ . '/clock.php';

final class CouchDbSessionHandlerTest extends HandlerTestCase
{
    private const PATH = '/phpsessid';

    private CouchDbConnection $couchdb;

    protected function setUp(): void
    {
        parent::setUp();
        $this->couchdb = new CouchDbConnection($this->settings());
        $this->couchdb->request('DELETE', self::PATH);
    }

    /** @return array<string, mixed> */
    private function settings(): array
    {
        $server = ['host' => '127.0.0.1', 'port' => (int) getenv('LAMP_COUCHDB_PORT')];
        return ['handler' => 'couchdb', 'servers' => [$server], 'read_timeout' => 60];
    }

    protected function handler(): SaveHandler
    {
        return Handlers::make($this->settings());
    }

    protected function deadHandler(): SaveHandler
    {
        return Handlers::make(['servers' => [['host' => '127.0.0.1', 'port' => 1]]] + $this->settings());
    }

    protected function purge(): void
    {
        $epoch = $this->get(CouchDbDatabase::EPOCH);
        $this->put(CouchDbDatabase::EPOCH, ['epoch' => $epoch['epoch'] + 1] + $epoch);
    }

    protected function expire(): void
    {
        foreach ($this->sessions() as $session) {
            $this->put($session['_id'], ['expiresAt' => time() - 1] + $session);
        }
    }

    protected function cleanUp(): int|false
    {
        $this->opened()->read(self::ID); // makes the views, if they are not there
        foreach (['by_expiry', 'former_by_time'] as $view) { // the handler would not wait for them
            $path = self::PATH . "/_design/lamp_session/_view/$view?limit=1";
            self::assertSame(200, $this->couchdb->request('GET', $path)[0]);
        }
        return parent::cleanUp();
    }

    protected function outage(bool $begins): void
    {
        $design = $this->get('_design/lamp_session');
        $this->put('_design/lamp_session', ['version' => CouchDbDatabase::VERSION + ($begins ? 1 : 0)] + $design);
    }

    protected function stored(): int
    {
        return count($this->sessions());
    }

    protected function content(): string
    {
        return print_r($this->documents(), true);
    }

    /** @return array<string, mixed> */
    private function get(string $id): array
    {
        return $this->couchdb->request('GET', self::PATH . "/$id")[1];
    }

    /** @param array<string, mixed> $document */
    private function put(string $id, array $document): void
    {
        self::assertSame(201, $this->couchdb->request('PUT', self::PATH . "/$id", $document)[0]);
    }

    /** @return list<array<string, mixed>> */
    private function documents(): array
    {
        $rows = $this->couchdb->request('GET', self::PATH . '/_all_docs?include_docs=true')[1]['rows'] ?? [];
        return array_column($rows, 'doc');
    }

    /** @return list<array<string, mixed>> */
    private function sessions(): array
    {
        return array_values(array_filter(
            $this->documents(),
            static fn (array $document): bool => isset($document['data']),
        ));
    }

    public function testEachSessionNameHasItsDatabase(): void
    {
        foreach (['Shop' => '/shop', 'a b' => '/session-612062', '_x' => '/session-5f78'] as $name => $path) {
            $handler = $this->handler();
            $handler->open('', $name);
            $handler->read(self::ID);
            $handler->write(self::ID, serialize([$name => 1]));
            self::assertSame(200, $this->couchdb->request('GET', $path)[0]);
            $this->couchdb->request('DELETE', $path);
        }
        self::assertSame('', $this->errors());
    }

    public function testTheDesignDocumentIsMadeUpgradedAndRefusedByItsVersion(): void
    {
        $this->save(['a' => 1]);
        $design = $this->get('_design/lamp_session');
        self::assertSame(CouchDbDatabase::VERSION, $design['version']);
        $this->put('_design/lamp_session', ['version' => CouchDbDatabase::VERSION - 1, 'views' => []] + $design);
        self::assertSame(['a' => 1], $this->load());
        $upgraded = $this->get('_design/lamp_session');
        self::assertSame([$design['version'], $design['views']], [$upgraded['version'], $upgraded['views']]);
        self::assertSame('', $this->errors());

        $this->put('_design/lamp_session', ['version' => CouchDbDatabase::VERSION + 1] + $upgraded);
        $handler = $this->opened();
        self::assertSame('', $handler->read(self::ID));
        $handler->write(self::ID, serialize(['a' => 2]));
        self::assertStringContainsString('install the newer handlers on this host', $this->errors());
        $newer = $this->get('_design/lamp_session');
        self::assertSame(CouchDbDatabase::VERSION + 1, $newer['version']);
        $this->put('_design/lamp_session', ['_rev' => $newer['_rev']] + $upgraded);
        self::assertSame(['a' => 1], $this->load());
    }

    public function testASessionThatTheNodesOfAClusterDisagreeAboutEndsAsAWhole(): void
    {
        $this->save(['a' => 1]);
        [$session] = $this->sessions();
        foreach (['a', 'f'] as $digit) { // whichever wins, another one comes after it
            $revision = '2-' . str_repeat($digit, 32);
            $history = ['start' => 2, 'ids' => [str_repeat($digit, 32), explode('-', $session['_rev'])[1]]];
            $document = ['_rev' => $revision, '_revisions' => $history] + $session;
            $this->couchdb->request('POST', self::PATH . '/_bulk_docs', ['new_edits' => false, 'docs' => [$document]]);
        }
        self::assertSame(['a' => 1], $this->load());
        $handler = $this->opened();
        $handler->read(self::ID);
        self::assertTrue($handler->destroy(self::ID));
        self::assertNull($this->load());
        self::assertSame([], $this->sessions());
        self::assertSame('', $this->errors());
    }

    public function testAHostWhoseClockIsAheadEndsNoSessionOfOthersAndItsOwnDoNotLiveForLonger(): void
    {
        $this->save(['a' => 1]);
        $GLOBALS['ahead'] = 5000;
        try {
            self::assertSame(['a' => 1], $this->load());
            self::assertSame(0, $this->cleanUp());
            $this->save(['a' => 2]);
        } finally {
            $GLOBALS['ahead'] = 0;
        }
        self::assertSame(['a' => 2], $this->load());
        self::assertLessThanOrEqual(time() + 1001, $this->sessions()[0]['expiresAt']);
        self::assertSame('', $this->errors());
    }

    public function testADatabaseWithoutADesignDocumentGetsOne(): void
    {
        $this->couchdb->request('PUT', self::PATH);
        $this->save(['a' => 1]);
        self::assertSame(CouchDbDatabase::VERSION, $this->get('_design/lamp_session')['version']);
    }

    public function testOfTwoRequestsBothChangesStay(): void
    {
        $this->save(['a' => 0, 'b' => 0, 'c' => 0]);
        [$one, $two] = [$this->opened(), $this->opened()];
        $one->read(self::ID);
        $two->read(self::ID);
        $two->write(self::ID, serialize(['a' => 0, 'b' => 2]));
        $one->write(self::ID, serialize(['a' => 1, 'b' => 0, 'c' => 0, 'd' => 4]));
        self::assertEquals(['a' => 1, 'b' => 2, 'd' => 4], $this->load());
        [$one, $two] = [$this->opened(), $this->opened()];
        $one->read(self::ID);
        $two->read(self::ID);
        $two->write(self::ID, serialize(['a' => 'two']));
        $one->write(self::ID, serialize(['a' => 'one', 'b' => 2, 'd' => 4]));
        self::assertEquals(['a' => 'one'], $this->load(), 'of one variable the last write stays');
        self::assertSame('', $this->errors());
    }

    public function testTwoRequestsThatBothBeginTheSession(): void
    {
        [$one, $two] = [$this->opened(), $this->opened()];
        $one->read(self::ID);
        $two->read(self::ID);
        $two->write(self::ID, serialize(['b' => 2]));
        $one->write(self::ID, serialize(['a' => 1]));
        self::assertEquals(['a' => 1, 'b' => 2], $this->load());
    }

    public function testWhatDidNotChangeIsNotWrittenAgainAtOnce(): void
    {
        $this->save(['a' => 1]);
        $before = $this->sessions();
        $handler = $this->opened();
        $handler->updateTimestamp(self::ID, $handler->read(self::ID));
        self::assertSame($before, $this->sessions());
        $this->put($before[0]['_id'], ['expiresAt' => time() + 10] + $before[0]);
        $handler = $this->opened();
        $handler->updateTimestamp(self::ID, $handler->read(self::ID));
        self::assertGreaterThan(time() + 900, $this->sessions()[0]['expiresAt']);
    }

    public static function formerTimes(): iterable
    {
        yield 'seconds' => [time() - 10, true];
        yield 'a text of seconds' => [(string) (time() - 10), true];
        yield 'milliseconds' => [(time() - 10) * 1000, true];
        yield 'a date' => [gmdate('Y-m-d\TH:i:s\Z', time() - 10), true];
        yield 'old seconds' => [time() - 2000, false];
        yield 'an old date' => [gmdate('Y-m-d\TH:i:s\Z', time() - 2000), false];
        yield 'nonsense' => ['yesterday or so', false];
    }

    /** @dataProvider formerTimes */
    #[DataProvider('formerTimes')]
    public function testASessionOfTheLayoutOfOldGoesOn(int|string $time, bool $live): void
    {
        $this->couchdb->request('PUT', self::PATH);
        $app = ['views' => ['byCreateTime' => ['map' => 'function (doc) { emit(doc.createdAt, null); }']]];
        $this->put('_design/app', $app);
        $this->put(self::ID, ['data' => 'user|s:4:"demo";n|i:1;', 'createdAt' => $time]);
        self::assertSame($live ? ['user' => 'demo', 'n' => 1] : null, $this->load());
        self::assertSame($live ? 0 : 1, $this->cleanUp());
        self::assertSame($live, isset($this->get('_design/app')['views']), 'its view goes with its last document');
        if ($live) {
            $this->save(['user' => 'demo', 'n' => 2]);
            self::assertSame(['user' => 'demo', 'n' => 2], $this->load());
            $this->opened()->destroy(self::ID);
            self::assertNull($this->load());
            self::assertSame(0, $this->stored());
        }
        self::assertSame('', $this->errors());
    }

    public function testAPurgeEndsSessionsOfTheLayoutOfOld(): void
    {
        $this->save(['a' => 1]);
        $this->put('0123456789abcdef0123456789abcdee', ['data' => 'a|i:1;', 'createdAt' => time()]);
        self::assertSame(['a' => 1], $this->load('0123456789abcdef0123456789abcdee'));
        $this->purge();
        self::assertNull($this->load('0123456789abcdef0123456789abcdee'));
    }

    public function testASessionOfOldThatNobodyUnderstandsIsLeftBehind(): void
    {
        $this->save(['a' => 1]);
        $this->put('0123456789abcdef0123456789abcdee', ['data' => '{"a": 1}', 'createdAt' => time()]);
        self::assertNull($this->load('0123456789abcdef0123456789abcdee'));
        self::assertStringContainsString('left behind', $this->errors());
        self::assertSame(2, $this->stored());
    }

    public function testADroppedDatabaseEndsAllSessions(): void
    {
        $this->save(['a' => 1]);
        $flying = $this->opened();
        $flying->read(self::ID);
        $this->couchdb->request('DELETE', self::PATH);
        $flying->write(self::ID, serialize(['a' => 2]));
        self::assertNull($this->load());
        $this->save(['b' => 1]);
        self::assertSame(['b' => 1], $this->load());
    }

    public function testCleaningUpIsDoneInBulk(): void
    {
        $this->save(['a' => 1]);
        $documents = array_map(
            static fn (int $n): array => ['_id' => "session-$n", 'type' => 'session', 'epoch' => 1, 'expiresAt' => $n, 'data' => ''],
            range(1, 1100),
        );
        $this->couchdb->request('POST', self::PATH . '/_bulk_docs', ['docs' => $documents]);
        self::assertSame(1000, $this->cleanUp());
        self::assertSame(100, $this->cleanUp());
        self::assertSame(1, $this->stored());
    }
}
