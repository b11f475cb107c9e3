/** What a network does between Holdfast and each of its stores, in the middle of traffic. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { undergo } from './ordeal.ts';
import { STORES, TIMEOUT_MS, Town } from './town.ts';

/** Writes that end while the fault lasts. */
const MET = 30;
const CUTS = 4;
/** In the middle of a batch. */
const CUT_BYTES = 700;

for (const store of STORES) {
  describe(`between Holdfast and ${store}`, () => {
    it('everything takes a while, which is no fault', async (t) => {
      const town = await Town.open(t, { proxied: [store] });
      if (town === null) return;
      const { during } = await undergo(t, town, {
        async strike(_, traffic) {
          town.proxy(store).delay(40);
          await traffic.committed(MET);
          assert.deepEqual(await town.apart(), { cache: 0, second: 0, history: 0 });
        },
        mend: async () => town.proxy(store).delay(0),
      });
      assert.equal(during['failed'] ?? 0, 0);
    });

    // Of the history that stands in faults-mongodb.test.ts.
    const longer = store === 'history' ? null : 'everything takes longer than Holdfast waits';
    if (longer !== null)
      it(longer, async (t) => {
        const town = await Town.open(t, { proxied: [store] });
        if (town === null) return;
        await undergo(t, town, {
          async strike(_, traffic) {
            town.proxy(store).delay(TIMEOUT_MS);
            await town.parted(store);
            await traffic.more(MET, () => true);
          },
          mend: async () => town.proxy(store).delay(0),
        });
      });

    it('requests are kept back, and arrive when all of them is settled otherwise', async (t) => {
      const town = await Town.open(t, { proxied: [store] });
      if (town === null) return;
      const proxy = town.proxy(store);
      let late = 0;
      await undergo(t, town, {
        async strike(_, traffic) {
          proxy.hold();
          await town.parted(store);
          late = proxy.counts().heldToServer;
          // Other connections work, so that everything goes on, and what failed is undone.
          proxy.keepHeld();
          await town.joined();
          await traffic.committed(MET);
        },
        mend: () => proxy.release(),
      });
      t.diagnostic(`${late} bytes were delivered late`);
      assert.ok(late > 0, 'nothing was delivered late');
    });

    it('replies are lost', async (t) => {
      const town = await Town.open(t, { proxied: [store] });
      if (town === null) return;
      const proxy = town.proxy(store);
      await undergo(t, town, {
        async strike(_, traffic) {
          proxy.holdReplies();
          await town.parted(store);
          await traffic.more(MET, () => true);
        },
        async mend() {
          proxy.cut();
          proxy.releaseReplies();
        },
      });
    });

    it('connections break in the middle of a request, again and again', async (t) => {
      const town = await Town.open(t, { proxied: [store] });
      if (town === null) return;
      const proxy = town.proxy(store);
      await undergo(t, town, {
        async strike(_, traffic) {
          for (let cut = 0; cut < CUTS; cut += 1) {
            const { taken } = proxy.counts();
            proxy.cutAfterBytes(CUT_BYTES);
            await traffic.more(MET / CUTS, () => true);
            await proxy.seen((counts) => counts.taken > taken);
          }
        },
        async mend() {},
      });
    });

    it('connections break and new ones are turned away', async (t) => {
      const town = await Town.open(t, { proxied: [store] });
      if (town === null) return;
      const proxy = town.proxy(store);
      await undergo(t, town, {
        async strike(_, traffic) {
          proxy.refuse(true);
          proxy.cut();
          await town.parted(store);
          await traffic.more(MET, () => true);
          await proxy.seen((counts) => counts.refused > 0);
        },
        mend: async () => proxy.refuse(false),
      });
    });
  });
}
