import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MongoNetworkError, MongoServerError } from 'mongodb';
import type { Trouble } from './trouble.ts';
import { replyToCommand, replyToDocument, troubleOf } from './trouble.ts';

/** As the driver raises it for a reply with `ok: 0`. */
const answered = (code: number): Trouble => {
  return troubleOf(new MongoServerError({ message: 'no', code }));
};

describe('what a command that was turned down says', () => {
  it('is a failure and an outage where our credentials or rights are rejected', () => {
    for (const code of [13, 18]) {
      const reply = replyToCommand(answered(code));
      assert.ok(reply?.reply === 'failed' && reply.outage === true, String(code));
    }
  });

  it('is nothing definite where some documents may have been written before', () => {
    // Stepped down, shutting down, interrupted, out of time, no room, never heard of.
    for (const code of [10107, 189, 91, 11600, 11602, 50, 262, 14031, 4711]) {
      assert.equal(replyToCommand(answered(code)), null, String(code));
    }
    const broken = troubleOf(new MongoNetworkError('connection closed'));
    assert.equal(broken.how, 'lost');
    assert.equal(replyToCommand(broken), null);
  });

  it('takes an error that nobody knows for an answer that is lost', () => {
    assert.equal(troubleOf(new RangeError('?')).how, 'lost');
    assert.equal(troubleOf('?').how, 'lost');
  });
});

describe('what one document was turned down with', () => {
  it('is refused where it will never be taken', () => {
    for (const code of [11000, 121, 10334]) {
      assert.equal(replyToDocument(code, 'no').reply, 'refused', String(code));
    }
  });

  it('is a failure otherwise, and an outage where the server cannot write at all', () => {
    assert.deepEqual(replyToDocument(112, 'write conflict'), {
      reply: 'failed',
      status: 112,
      detail: 'write conflict',
      sent: true,
    });
    const full = replyToDocument(14031, 'no room');
    assert.ok(full.reply === 'failed' && full.outage === true);
  });
});
