/** What happens to the MongoDB of the history in real life, in the middle of traffic. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withVersions } from './look.ts';
import { undergo } from './ordeal.ts';
import { TIMEOUT_MS, Town } from './town.ts';
import type { Traffic } from './traffic.ts';

/** Writes that end while the fault lasts. */
const MET = 40;
/** Addresses that all writes of a test share. */
const ADDRESSES = 60;

async function apart(town: Town, traffic: Traffic): Promise<void> {
  await town.parted('history');
  await town.saysReady('warning');
  await traffic.more(MET, () => true);
}

describe('the MongoDB of the history', () => {
  it('is killed and comes back', async (t) => {
    const town = await Town.open(t);
    if (town === null) return;
    const { history } = town.servers;
    await undergo(t, town, {
      async strike(_, traffic) {
        await history.kill();
        await apart(town, traffic);
      },
      mend: () => history.restart(),
    });
  });

  it('is killed, comes back empty, and is made whole before it serves', async (t) => {
    const town = await Town.open(t);
    if (town === null) return;
    const { history } = town.servers;
    await undergo(t, town, {
      async strike(_, traffic) {
        await history.kill();
        await apart(town, traffic);
      },
      mend: () => history.restart({ empty: true }),
    });
  });

  it('stands still for longer than every time-out, and goes on', async (t) => {
    const town = await Town.open(t);
    if (town === null) return;
    const { history } = town.servers;
    await undergo(t, town, {
      async strike(_, traffic) {
        history.stop();
        await apart(town, traffic);
      },
      mend: async () => history.cont(),
    });
  });

  it('is slower than Holdfast waits, and is as fast as before again', async (t) => {
    const town = await Town.open(t, { proxied: ['history'] });
    if (town === null) return;
    await undergo(t, town, {
      async strike(_, traffic) {
        town.proxy('history').delay(TIMEOUT_MS * 0.7);
        await apart(town, traffic);
      },
      mend: async () => town.proxy('history').delay(0),
    });
  });

  it('refuses what a unique index of its owner forbids: 422, and nowhere', async (t) => {
    const town = await Town.open(t, { options: { history: 'document: true' } });
    if (town === null) return;
    const name = 'one_address';
    const { during, seen } = await undergo(t, town, {
      wishes: {
        extra: (draw) => ({ address: `${Math.floor(draw() * ADDRESSES)}@example.com` }),
      },
      async strike(_, traffic) {
        await withVersions(town, async (versions) => {
          // What stands there twice already is left out of the index.
          const first = await versions.find({}).sort({ uow: -1 }).limit(1).toArray();
          const partialFilterExpression = { uow: { $gt: Number(first[0]?.['uow'] ?? 0) + 100 } };
          const options = { name, unique: true, partialFilterExpression };
          await versions.createIndex({ 'document.address': 1 }, options, undefined);
        });
        await traffic.more(MET, ({ end }) => end === 'refused');
      },
      mend: () => withVersions(town, (versions) => versions.dropIndex(name)).then(() => {}),
    });
    const refusals = [...seen.receipts.values()].filter(({ outcome }) => outcome === 'refused');
    assert.ok((during['refused'] ?? 0) >= MET && refusals.length >= MET);
  });
});
