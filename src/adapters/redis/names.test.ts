/** Slots, tags and names. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Fault } from '../../kernel/errors.ts';
import { realWorld } from '../../kernel/realworld.ts';
import type { StashSetup } from '../../contracts/spec.ts';
import { aroundKey, globOf, isOurs, Names } from './names.ts';
import { crc16, SLOTS, slotOf, tagOf } from './slots.ts';

describe('slots', () => {
  it('follow the checksum of the cluster specification', () => {
    assert.equal(crc16(Buffer.from('123456789')), 0x31c3);
    assert.equal(slotOf('foo'), 12_182);
    assert.equal(slotOf('somekey'), 11_058);
  });

  it('look at what stands between the first brace and the next one that closes it', () => {
    assert.equal(slotOf('{user1000}.following'), slotOf('user1000'));
    assert.equal(slotOf('foo{}{bar}'), crc16(Buffer.from('foo{}{bar}')) % SLOTS);
    assert.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'));
    assert.equal(slotOf('foo{bar}{zap}'), slotOf('bar'));
    assert.equal(slotOf('a}b{c'), crc16(Buffer.from('a}b{c')) % SLOTS);
  });

  it('each have a short tag that leads to them', () => {
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const tag = tagOf(slot);
      assert.ok(/^[0-9a-z]{1,4}$/.test(tag), tag);
      assert.equal(slotOf(`{${tag}}`), slot);
    }
    assert.throws(() => tagOf(SLOTS), RangeError);
  });
});

const names = new Names({
  id: 'cache',
  world: realWorld(),
  render: (_option: string, { account, flow, key }: Record<string, string>) =>
    `${account}:${flow}:${key}`,
} as unknown as StashSetup);

describe('names', () => {
  it('put what is ours into the slot of the value, whatever braces its name holds', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '{', '}', '\u00e9', ':') });
    fc.assert(
      fc.property(text, (name) => {
        assert.equal(slotOf(names.beside(name)), slotOf(name));
        assert.equal(slotOf(names.about(name)), slotOf(name));
        assert.ok(isOurs(names.beside(name)) && isOurs(names.about(name)));
      }),
    );
  });

  it('of ours never meet each other', () => {
    const all = ['a', 'a\u0001'].flatMap((name) => [names.beside(name), names.about(name)]);
    const others = [0, 1].flatMap((slot) => [names.mark(slot), names.tide(slot)]);
    assert.equal(new Set([...all, ...others]).size, 8);
  });

  it('are taken apart around the key', () => {
    assert.deepEqual(
      aroundKey((key) => `x:${key}:y`),
      { before: 'x:', after: ':y' },
    );
    assert.deepEqual(names.around('acme', 'orders'), { before: 'acme:orders:', after: '' });
  });

  it('that do not hold the key once, as it is, are no names', () => {
    const bad = [
      () => 'always',
      (key: string) => `${key}${key}`,
      (key: string) => key.toUpperCase(),
      (key: string) => `${key.length}:${key}`,
    ];
    for (const render of bad) {
      assert.throws(() => aroundKey(render), Fault, render.toString());
    }
  });

  it('as patterns match themselves alone', () => {
    assert.equal(globOf('a*b?[c]\\'), String.raw`a\*b\?\[c\]\\`);
  });
});
