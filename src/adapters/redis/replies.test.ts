/** What replies mean, and how the options are read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StashReply } from '../../contracts/stash.ts';
import { Fault } from '../../kernel/errors.ts';
import { redisOptions, storeOf } from './options.ts';
import { redirectOf, replyTo } from './replies.ts';
import { jointReply, replyOf } from './verdict.ts';

const stored: StashReply = { reply: 'stored' };
const refused: StashReply = { reply: 'refused', detail: 'no' };
const failed: StashReply = { reply: 'failed', detail: 'not now', sent: true };
const unknown: StashReply = { reply: 'unknown', detail: 'lost' };

describe('error replies', () => {
  it('of a store that can take nothing open its breaker', () => {
    const words = ['OOM', 'READONLY', 'LOADING', 'MISCONF', 'CLUSTERDOWN', 'NOAUTH', 'NOPERM'];
    for (const word of words) {
      const reply = replyTo(new Error(`${word} some words`));
      assert.deepEqual(
        { ...reply, detail: '' },
        { reply: 'failed', status: word, detail: '', sent: true, outage: true },
      );
    }
  });

  it('about a name that holds something else refuse', () => {
    assert.equal(replyTo(new Error('WRONGTYPE Operation against a key')).reply, 'refused');
  });

  it('that nobody knows fail, without blaming the store', () => {
    const reply = replyTo(new Error('ERR something new'));
    assert.deepEqual({ ...reply, detail: '' }, { ...failed, status: 'ERR', detail: '' });
  });

  it('that lead elsewhere are read', () => {
    assert.deepEqual(redirectOf(new Error('MOVED 3999 127.0.0.1:6381')), {
      kind: 'moved',
      slot: 3999,
      node: '127.0.0.1:6381',
    });
    assert.deepEqual(redirectOf(new Error('ASK 1 :6381')), {
      kind: 'ask',
      slot: 1,
      node: ':6381',
    });
    assert.equal(redirectOf(new Error('TRYAGAIN Multiple keys'))?.kind, 'again');
    assert.equal(redirectOf(new Error('ERR no')), null);
  });
});

describe('an attempt in several parts', () => {
  it('is stored when all are, refused or failed when none is, and unknown in between', () => {
    const rows: readonly (readonly [StashReply[], string])[] = [
      [[], 'stored'],
      [[stored, stored], 'stored'],
      [[failed, failed], 'failed'],
      [[failed, refused], 'refused'],
      [[stored, failed], 'unknown'],
      [[stored, refused], 'unknown'],
      [[failed, unknown], 'unknown'],
      [[stored, unknown], 'unknown'],
    ];
    for (const [parts, word] of rows) assert.equal(jointReply(parts).reply, word);
  });

  it('is unknown when a transaction took effect on some of its keys', () => {
    const error = new Error('OOM');
    const done = (replies: unknown[]) => replyOf({ state: 'done', replies }).reply;
    assert.equal(done(['OK', 'OK']), 'stored');
    assert.equal(done(['OK', error]), 'unknown');
    assert.equal(done([error, error]), 'failed');
    assert.equal(replyOf({ state: 'not', error }).reply, 'failed');
    assert.equal(replyOf({ state: 'unknown', why: 'cut' }).reply, 'unknown');
  });
});

describe('options', () => {
  it('are read from the address, and what is said apart from it counts', () => {
    const { access, seeds, cluster } = redisOptions({
      url: 'rediss://me:p%40ss@redis.example:7000/3',
      username: 'other',
    });
    assert.deepEqual(
      [access.username, access.password, access.database, access.tls],
      ['other', 'p@ss', 3, true],
    );
    assert.deepEqual([seeds, cluster], [[{ host: 'redis.example', port: 7000 }], false]);
  });

  it('with nodes mean a cluster', () => {
    const { seeds, cluster } = redisOptions({ nodes: ['a:1', '[::1]:2'] });
    assert.deepEqual(seeds, [
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
    ]);
    assert.equal(cluster, true);
  });

  it('that can never work are a Fault, which tells no secret', () => {
    const bad = [
      {},
      { url: 'http://secret@x' },
      { url: 'redis://:secret@' },
      { url: 'redis://:secret@x/name' },
      { url: 'redis://:secret@x/1', cluster: true },
    ];
    for (const given of bad) {
      assert.throws(
        () => redisOptions(given),
        (error) => error instanceof Fault && !error.message.includes('secret'),
        JSON.stringify(given),
      );
    }
  });

  it('name the store without its secrets', () => {
    assert.equal(storeOf({ url: 'redis://:secret@x:1/2' }), 'x:1/2');
    assert.equal(storeOf({ nodes: ['b:2', 'a:1'] }), 'cluster a:1 b:2');
  });
});
