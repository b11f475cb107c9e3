/**
 * What clients were told, kept outside the process that is killed. An operation is one thing a
 * client wanted; it is sent once, or again under its Idempotency-Key. Bodies are unique, so every
 * value found in a store names the operation it came from.
 */
import { digestOf } from '../../src/kernel/digest.ts';
import type { Http, Reply } from '../process/http.ts';

export type Flow = 'default/default' | 'shop/orders' | 'shop/views' | 'shop/counters';

/** How an operation ended as its client knows it. */
export type End =
  /** Sent, nothing heard yet. */
  | 'waiting'
  /** The connection was lost: it may have happened or not. */
  | 'lost'
  | 'committed'
  /** 202: Holdfast's from here. */
  | 'accepted'
  | 'refused'
  | 'failed'
  /** Before it was held: nothing of it may be anywhere. */
  | 'turned-away';

export interface Wish {
  readonly flow: Flow;
  readonly kind: 'set' | 'delete';
  readonly keys: readonly string[];
  /** Sent as one record with several keys, through the mapping. */
  readonly record: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  /** Of a counter: the ETag it must replace; null: there was nothing. */
  readonly base?: string | null;
  /** Further members of the body. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export interface Operation extends Wish {
  readonly id: number;
  readonly body: string;
  readonly digest: string;
  /** Moments of a clock that only counts: what was answered before another was sent came first. */
  readonly sentAt: number;
  answeredAt: number;
  end: End;
  uow: number | null;
  /** Tried again after its failure was told, by a person or by its Idempotency-Key. */
  retried: boolean;
  resent: number;
}

const ENDS: Readonly<Record<number, End>> = {
  200: 'committed',
  202: 'accepted',
  412: 'refused',
  422: 'refused',
  502: 'failed',
  503: 'failed',
  504: 'failed',
};

export class Recorder {
  readonly operations: Operation[] = [];
  /** Contradictions between two answers to the same operation. */
  readonly complaints: string[] = [];
  /** Called the moment an answer is here. */
  onAnswer: ((operation: Operation) => void) | null = null;
  #moment = 0;

  /** The next moment: behind all that was sent or answered so far. */
  moment(): number {
    return (this.#moment += 1);
  }

  /** Sends a wish and records what comes back; never rejects. */
  async send(http: Http, wish: Wish): Promise<Operation> {
    const id = this.operations.length;
    const named = wish.record ? { keys: wish.keys } : {};
    const base = wish.base === undefined ? {} : { base: wish.base };
    const members = { ...named, ...base, ...wish.more, op: id };
    const body = wish.kind === 'delete' ? '' : JSON.stringify(members);
    const operation: Operation = {
      ...wish,
      id,
      body,
      digest: digestOf(Buffer.from(body)),
      sentAt: (this.#moment += 1),
      answeredAt: Infinity,
      end: 'waiting',
      uow: null,
      retried: false,
      resent: 0,
    };
    this.operations.push(operation);
    await this.#exchange(http, operation);
    return operation;
  }

  /** The same request again: what it said must not be taken back. */
  async resend(http: Http, operation: Operation): Promise<void> {
    const before = operation.end;
    const { uow } = operation;
    operation.resent += 1;
    if (before === 'failed') operation.retried = true;
    const reply = await this.#exchange(http, operation);
    const { id, end } = operation;
    if (reply === null || before === 'lost' || before === 'turned-away') return;
    if (uow !== null && operation.uow !== uow && reply.status !== 409) {
      this.complaints.push(`operation ${id} was write ${uow} and is now ${operation.uow}`);
    }
    if ((before === 'committed' || before === 'refused') && end !== before) {
      this.complaints.push(`operation ${id} was ${before} and is now ${end}: ${reply.text}`);
    }
    if (before === 'committed' && reply.headers['idempotency-replayed'] !== 'true') {
      this.complaints.push(`operation ${id} was answered again without being a replay`);
    }
  }

  async #exchange(http: Http, operation: Operation): Promise<Reply | null> {
    const { flow, kind, keys, record, body, headers, idempotencyKey } = operation;
    const path = record
      ? `/v1/data/${flow}`
      : `/v1/data/${flow}/${encodeURIComponent(keys[0] ?? '')}`;
    const method = kind === 'delete' ? 'DELETE' : record ? 'POST' : 'PUT';
    const sent: Record<string, string> = { ...headers, 'content-type': 'application/json' };
    if (idempotencyKey !== undefined) sent['idempotency-key'] = idempotencyKey;
    let reply: Reply;
    try {
      reply = await http.ask(path, { method, headers: sent, body });
    } catch {
      if (operation.end === 'waiting') operation.end = 'lost';
      return null;
    }
    operation.answeredAt = this.#moment += 1;
    const said = JSON.parse(reply.text) as { uow?: number };
    const held = typeof said.uow === 'number' && reply.status !== 409;
    if (held) operation.uow = said.uow ?? null;
    // 409 is about another request with this Idempotency-Key, or another write of this key.
    if (held) operation.end = ENDS[reply.status] ?? 'turned-away';
    else if (operation.end === 'waiting') operation.end = 'turned-away';
    if (reply.status >= 500 && !held && ![503].includes(reply.status)) {
      this.complaints.push(`operation ${operation.id} got ${reply.status}: ${reply.text}`);
    }
    this.onAnswer?.(operation);
    return reply;
  }

  /** How many operations ended so. */
  count(end: End): number {
    return this.operations.reduce((sum, each) => sum + (each.end === end ? 1 : 0), 0);
  }
}
