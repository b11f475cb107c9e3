/**
 * The same loss of the second Redis against the plain handler, Apache Camel and Holdfast: the first
 * two show that the example can find half a write, the last must not leave one.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { camel, handler, holdfasts, type Contender } from '../../examples/versus/contenders.ts';
import { face, FAULTS, toldOf, type Row } from '../../examples/versus/run.ts';
import { serversAreRequired, unavailable } from './servers/servers.ts';

const missing = await unavailable('redis');
const skip = missing !== null && !serversAreRequired() ? missing : false;

/** The runs of one contender: the store killed, then the store hung. */
async function facing(contender: Contender): Promise<Row[]> {
  const rows: Row[] = [];
  for (const fault of FAULTS) {
    const row = await face(contender, fault);
    console.log(toldOf(row));
    rows.push(row);
  }
  return rows;
}

/** What a fan-out without a way back does: this is seen, so it would be seen in Holdfast too. */
function assertHalf([killed, hung]: readonly Row[]): void {
  assert.equal(killed?.told.status, 500);
  assert.match(killed.verdict.words, /MIXED: the first store keeps/);
  assert.equal(hung?.told.status, 500);
  assert.match(hung.verdict.words, /LATE/);
}

describe('the second of two Redis is lost in the middle of a write', { skip }, () => {
  it('the plain handler leaves half of it, or lets it land after failure was told', async () => {
    assertHalf(await facing(handler));
  });

  it('so does Apache Camel', async (t) => {
    const why = await unavailable('camel');
    if (why !== null) {
      if (serversAreRequired()) throw new Error(why);
      t.skip(why);
      return;
    }
    assertHalf(await facing(camel));
  });

  for (const contender of holdfasts) {
    it(`${contender.name}: in both stores or in none, as told`, async () => {
      for (const { verdict } of await facing(contender)) assert.ok(verdict.right, verdict.words);
    });
  }
});
