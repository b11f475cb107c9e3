/**
 * Names in Redis: that of a key's value, which the user chooses (`keyName`), and those that
 * Holdfast keeps for itself. Ours begin with a word and NUL, which no key can hold, so that the two
 * never meet, and carry a tag of the slot they must be in.
 */
import type { StashSetup } from '../../contracts/spec.ts';
import { digestOf } from '../../kernel/digest.ts';
import { Fault } from '../../kernel/errors.ts';
import { slotOf, tagOf } from './slots.ts';

const OURS = 'holdfast\0';

/** Two keys that have nothing in common but that they are keys. */
const SENTINELS = ['\u{1f5dd}sentinel-4f1c', 'Zq7\u00e4other-91ab'] as const;

type Render = (key: string) => string;

export interface Around {
  readonly before: string;
  readonly after: string;
}

/**
 * What stands before and after the key in each name. Throws a Fault `bad-request` unless the key is
 * in it exactly once, as it is: otherwise names could not be read back, nor told apart.
 */
export function aroundKey(render: Render): Around {
  const [one, other] = SENTINELS.map((key) => partsAround(render(key), key));
  if (one === undefined || one === null || one.before !== other?.before) throw notOnce();
  if (one.after !== other.after) throw notOnce();
  return one;
}

function partsAround(name: string, key: string): Around | null {
  const parts = name.split(key);
  const [before, after] = parts;
  return parts.length === 2 && before !== undefined && after !== undefined
    ? { before, after }
    : null;
}

function notOnce(): Fault {
  return new Fault('bad-request', '`keyName` does not hold the key exactly once, as it is', {
    hint: 'Let `keyName` be a text with `key` in it once, such as "${{ flow + \':\' + key }}".',
  });
}

export class Names {
  readonly #setup: StashSetup;

  constructor(setup: StashSetup) {
    this.#setup = setup;
  }

  /** Where the value of a key is. */
  of(account: string, flow: string, key: string): string {
    return this.#setup.render('keyName', { account, flow, key });
  }

  around(account: string, flow: string): Around {
    return aroundKey((key) => this.of(account, flow, key));
  }

  /** Where what Holdfast knows about the value under `name` is, in the same slot. */
  beside(name: string): string {
    return `${OURS}{${tagOf(slotOf(name))}}${this.#setup.id}\0${name}`;
  }

  /** Where uow, attempt and digest of a plain value are, if they are kept. */
  about(name: string): string {
    return `${OURS}{${tagOf(slotOf(name))}}${this.#setup.id}\0\0about\0${name}`;
  }

  /** Where the mark of this stash is, in the node that has `slot`. */
  mark(slot: number): string {
    return `${OURS}{${tagOf(slot)}}${this.#setup.id}`;
  }

  /** A name that is written to learn when what came before it is on disk. */
  tide(slot: number): string {
    return `${OURS}{${tagOf(slot)}}${this.#setup.id}\0\0tide`;
  }

  /** Whether `name` is one of `beside`, of those that `besideAll` matches. */
  isBeside(name: string): boolean {
    return name.charAt(name.indexOf('}') + this.#setup.id.length + 2) !== '\0';
  }

  /** Matches all names of `beside`, and those of `about` and `tide`. */
  get besideAll(): string {
    return `${globOf(OURS)}{*}${globOf(this.#setup.id)}\0*`;
  }
}

export function isOurs(name: string): boolean {
  return name.startsWith(OURS);
}

/** A pattern that matches `text` and nothing else (P28). */
export function globOf(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, String.raw`\$&`);
}

/** Eight letters that tell texts apart; no secret. */
export function shortDigest(text: string): string {
  return digestOf(Buffer.from(text, 'utf8'))
    .replaceAll(/[^A-Za-z0-9]/g, '0')
    .slice(0, 8);
}
