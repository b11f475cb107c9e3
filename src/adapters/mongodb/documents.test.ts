import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { contentOf } from './content.ts';
import { DOCUMENT_BYTES_MAX, attemptId, idFrom, lotsOf, uowOfId } from './documents.ts';

const uows = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const attempts = fc.integer({ min: 1, max: 9999 });

describe('ids of versions', () => {
  it('stand in the order of uow and attempt, whatever the keys', () => {
    fc.assert(
      fc.property(uows, attempts, uows, attempts, (one, first, other, second) => {
        const a = attemptId(one, first);
        const b = attemptId(other, second);
        const before = one < other || (one === other && first < second);
        assert.equal(a < b, before);
        assert.equal(uowOfId(`${a}key`), one);
        assert.ok(idFrom(one) < a);
      }),
    );
  });
});

describe('lots', () => {
  it('keep every item in order, and are as large as one command may be', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 20 * 1024 * 1024 }), { maxLength: 40 });
    fc.assert(
      fc.property(sizes, (items) => {
        const lots = lotsOf(items, (size) => size);
        assert.deepEqual(lots.flat(), items);
        for (const lot of lots) {
          const bytes = lot.reduce((sum, size) => sum + size, 0);
          assert.ok(lot.length === 1 || bytes <= 12 * 1024 * 1024);
        }
      }),
    );
  });
});

describe('a value as a document', () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  it('is what JSON says', () => {
    for (const text of ['{"a":[1,2.5,null,true,"x"],"b":{"c":{}}}', '[]', '"x"', '7']) {
      assert.deepEqual(contentOf(bytes(text), DOCUMENT_BYTES_MAX), JSON.parse(text));
    }
  });

  it('is left out where it would not be what JSON says, or no server would take it', () => {
    const deep = `${'['.repeat(200)}${']'.repeat(200)}`;
    const texts = [
      '',
      'x',
      '{"a":',
      '{"$set":1}',
      '{"a":{"$ref":"x"}}',
      '{"a\\u0000b":1}',
      '{"_bsontype":"ObjectId","id":"x"}',
      '[{"__proto__":{"a":1}}]',
      deep,
    ];
    for (const text of texts) assert.equal(contentOf(bytes(text), DOCUMENT_BYTES_MAX), undefined);
    assert.equal(contentOf(new Uint8Array([0x22, 0xff, 0x22]), DOCUMENT_BYTES_MAX), undefined);
  });

  it('is left out where it does not fit beside the bytes', () => {
    const text = JSON.stringify('x'.repeat(9000));
    assert.equal(contentOf(bytes(text), 20_000), undefined);
    assert.notEqual(contentOf(bytes(text), 24_000), undefined);
  });
});
