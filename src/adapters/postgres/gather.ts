/**
 * Gathers lone reads into common queries: what is asked for while queries are under way goes
 * together in the next one. A lone read on an idle store is sent at once, by itself.
 */
import type { Clock } from '../../kernel/world.ts';

/** Keys of one query, so that its answer stays small. */
const KEYS_MAX = 200;

interface Asked<Answer> {
  readonly key: string;
  readonly give: (answer: Answer) => void;
  readonly fail: (error: unknown) => void;
}

/** Keys of one account and flow that wait for the next query. */
interface Group<Answer> {
  readonly account: string;
  readonly flow: string;
  readonly asked: Asked<Answer>[];
}

export type Ask<Answer> = (
  account: string,
  flow: string,
  keys: readonly string[],
) => Promise<readonly Answer[]>;

export class Gather<Answer> {
  readonly #atOnce: number;
  readonly #clock: Clock;
  readonly #ask: Ask<Answer>;
  /** Those that still take keys. */
  readonly #open = new Map<string, Group<Answer>>();
  /** All of them, the longest waiting first. */
  readonly #line = new Set<Group<Answer>>();
  #running = 0;
  #due = false;

  /** `ask` answers once per key, in order; at most `atOnce` calls of it are under way. */
  constructor(atOnce: number, clock: Clock, ask: Ask<Answer>) {
    this.#atOnce = atOnce;
    this.#clock = clock;
    this.#ask = ask;
  }

  /** As `ask` for one key; rejects as it does. */
  one(account: string, flow: string, key: string): Promise<Answer> {
    const name = `${account}/${flow}`;
    let group = this.#open.get(name);
    if (group === undefined || group.asked.length >= KEYS_MAX) {
      group = { account, flow, asked: [] };
      this.#open.set(name, group);
      this.#line.add(group);
    }
    const { asked } = group;
    const answer = new Promise<Answer>((give, fail) => asked.push({ key, give, fail }));
    if (!this.#due && this.#running < this.#atOnce) {
      this.#due = true;
      this.#clock.soon(() => {
        this.#due = false;
        this.#send();
      });
    }
    return answer;
  }

  #send(): void {
    for (const group of this.#line) {
      if (this.#running >= this.#atOnce) return;
      const name = `${group.account}/${group.flow}`;
      this.#line.delete(group);
      if (this.#open.get(name) === group) this.#open.delete(name);
      this.#running += 1;
      void this.#answer(group).finally(() => {
        this.#running -= 1;
        this.#send();
      });
    }
  }

  async #answer({ account, flow, asked }: Group<Answer>): Promise<void> {
    try {
      const keys = asked.map((each) => each.key);
      const answers = await this.#ask(account, flow, keys);
      for (const [at, each] of asked.entries()) each.give(answers[at] as Answer);
    } catch (error) {
      for (const each of asked) each.fail(error);
    }
  }
}
