/**
 * One effect per Idempotency-Key (G3). The key rides in the hold record and reaches State from
 * there; between the request and that moment a slot in memory stands for it. What was turned away
 * before it was held leaves no trace.
 */
import type { IdempotencyRow, State } from '../contracts/state.ts';
import { digestOf } from '../kernel/digest.ts';
import type { WriteRequest } from './request.ts';
import type { HeldWrite } from './write.ts';

export interface Slot {
  readonly digest: string;
  /** Null while the request is shaped and checked. */
  write: HeldWrite | null;
}

export type Claim =
  /** Ours: proceed; call `release` unless the write is held. */
  | { readonly claim: 'new' }
  | { readonly claim: 'slot'; readonly slot: Slot }
  | { readonly claim: 'row'; readonly row: IdempotencyRow };

export class Idempotency {
  readonly #state: State;
  readonly #slots = new Map<string, Slot>();

  constructor(state: State) {
    this.#state = state;
  }

  /** What makes two requests the same: everything that decides their effect. */
  static digest(request: WriteRequest): string {
    const head = JSON.stringify([
      request.kind,
      request.key,
      request.ttlMs === undefined ? 'flow' : request.ttlMs,
      request.conditions,
    ]);
    return digestOf(Buffer.concat([Buffer.from(head), Buffer.of(0), request.body]));
  }

  static #name(account: string, flow: string, key: string): string {
    return `${account}/${flow}\n${key}`;
  }

  /** Claims the key for a request, or says who had it first. */
  async claim(request: WriteRequest, key: string, digest: string, now: number): Promise<Claim> {
    const name = Idempotency.#name(request.account, request.flow, key);
    const slot = this.#slots.get(name);
    if (slot !== undefined) return { claim: 'slot', slot };
    // The slot stands before State is asked, so that of two concurrent requests only one is new.
    const own: Slot = { digest, write: null };
    this.#slots.set(name, own);
    const scope = `${request.account}/${request.flow}`;
    let row: IdempotencyRow | null = null;
    try {
      row = await this.#state.idempotency(scope, key, now);
    } catch (error) {
      this.#slots.delete(name);
      throw error;
    }
    if (row === null) return { claim: 'new' };
    this.#slots.delete(name);
    return { claim: 'row', row };
  }

  /** The request became this write. */
  bind(write: HeldWrite): void {
    if (write.idempotent === null) return;
    const name = Idempotency.#name(write.account, write.flow, write.idempotent.key);
    const slot = this.#slots.get(name);
    if (slot !== undefined) slot.write = write;
  }

  /** Turned away, or State knows it by now: the slot goes. */
  release(account: string, flow: string, key: string): void {
    this.#slots.delete(Idempotency.#name(account, flow, key));
  }
}
