/**
 * Fakes for the tests and the bench of this folder: ports over a map in memory that answer at once,
 * with switches for whatever a test wants them to answer instead.
 */
import type { FlowPlan } from '../../contracts/flow.ts';
import type {
  CallbackPort,
  Deletion,
  DeletionPort,
  FailurePort,
  Got,
  LanesPort,
  ReadPort,
  StatusCheck,
  StatusPort,
} from '../../contracts/ports.ts';
import type { FailureRow, ReceiptRow } from '../../contracts/state.ts';
import type { Answer, WritePort, WriteRequest } from '../../intake/request.ts';
import { digestOf } from '../../kernel/digest.ts';
import { Fault } from '../../kernel/errors.ts';
import { LIMITS } from '../../kernel/limits.ts';
import type { Receipt, Uow } from '../../kernel/words.ts';
import type { Ports } from './door.ts';

/** A flow plan with the defaults; `part` overrides. */
export function fakeFlow(flow: string, part: Partial<FlowPlan> = {}): FlowPlan {
  return {
    account: 'default',
    flow,
    generation: 1,
    stashes: [],
    reader: 'store',
    read: ['store'],
    respond: 'settled',
    ttlMs: null,
    mediaType: 'application/json',
    limits: {
      bodyBytesMax: LIMITS.bodyBytesMax,
      keysPerRecordMax: LIMITS.keysPerRecordMax,
      jsonDepthMax: LIMITS.jsonDepthMax,
      ttlMsMax: null,
    },
    shaped: false,
    valueChecked: false,
    ...part,
  };
}

export interface Fakes extends Ports {
  readonly values: Map<string, Got>;
  readonly requests: WriteRequest[];
  readonly receipts: Map<Uow, Receipt>;
  readonly failureRows: Map<Uow, FailureRow>;
  readonly rejected: ReceiptRow[];
  readonly deletionRows: Map<string, Deletion>;
  readonly calls: string[];
  /** When set, submit answers this instead of storing. */
  answer: ((request: WriteRequest) => Answer) | null;
  /** When set, submit does not answer at all. */
  silent: boolean;
  /** Checks beside the good ones in ready. */
  trouble: StatusCheck[];
  keepRequests: boolean;
}

/** Ports over a map: flows `default` (JSON), `bytes` (any bytes), `page` (text/html), `small`. */
export function fakePorts(): Fakes {
  const flows = new Map<string, FlowPlan>();
  const small = { bodyBytesMax: 100, keysPerRecordMax: 10, jsonDepthMax: 5, ttlMsMax: 3_600_000 };
  for (const plan of [
    fakeFlow('default'),
    fakeFlow('bytes', { mediaType: 'application/octet-stream' }),
    fakeFlow('page', { mediaType: 'text/html' }),
    fakeFlow('small', { limits: small }),
  ]) {
    flows.set(`${plan.account}/${plan.flow}`, plan);
  }
  const own = {
    values: new Map<string, Got>(),
    requests: [],
    receipts: new Map<Uow, Receipt>(),
    failureRows: new Map<Uow, FailureRow>(),
    rejected: [],
    deletionRows: new Map<string, Deletion>(),
    calls: [],
    answer: null,
    silent: false,
    trouble: [],
    keepRequests: true,
    flows: { find: (account: string, flow: string) => flows.get(`${account}/${flow}`) ?? null },
  };
  const fakes = own as unknown as Fakes;
  return Object.assign(fakes, {
    write: fakeWrite(fakes),
    read: fakeRead(fakes),
    failures: fakeFailures(fakes),
    deletions: fakeDeletions(fakes),
    lanes: fakeLanes(),
    callbacks: fakeCallbacks(fakes),
    status: fakeStatus(fakes),
  });
}

function pathOf(flow: FlowPlan, key: string): string {
  return `${flow.account}/${flow.flow}/${key}`;
}

function fakeWrite(fakes: Fakes): WritePort {
  const { values, requests, receipts } = fakes;
  let uow = 0;
  return {
    submit(request, answer) {
      if (fakes.keepRequests) requests.push(request);
      if (fakes.silent) return;
      if (fakes.answer !== null) {
        const made = fakes.answer(request);
        queueMicrotask(() => answer(made));
        return;
      }
      uow += 1;
      const path = `${request.account}/${request.flow}/${request.key ?? 'made-by-mapping'}`;
      const existed = values.has(path);
      if (request.kind === 'delete') values.delete(path);
      else {
        const value = request.body;
        const ttlMs = request.ttlMs ?? null;
        values.set(path, { value, digest: digestOf(value), ttlMs, uow });
      }
      const receipt = fakeReceipt(uow, request);
      if (fakes.keepRequests) receipts.set(uow, receipt);
      const done = request.kind === 'delete' ? existed : null;
      queueMicrotask(() =>
        answer({ answer: 'settled', receipt, replayed: false, existed: done, fault: null }),
      );
    },
    receipt: (asked) => Promise.resolve(receipts.get(asked) ?? null),
    settled: (asked) => Promise.resolve(receipts.get(asked) ?? 'unknown'),
  };
}

function fakeRead(fakes: Fakes): ReadPort {
  const { values } = fakes;
  return {
    get: (flow, key) => Promise.resolve(values.get(pathOf(flow, key)) ?? null),
    getMany: (flow, keys) =>
      Promise.resolve(keys.map((key) => values.get(pathOf(flow, key)) ?? null)),
    scan(flow, prefix, cursor, limit) {
      if (cursor !== null && !cursor.startsWith('c')) {
        return Promise.reject(new Fault('bad-cursor', 'not one of ours'));
      }
      const start = cursor === null ? 0 : Number(cursor.slice(1));
      const base = pathOf(flow, '');
      const all = [...values]
        .filter(([path]) => path.startsWith(base + prefix))
        .map(([path, got]) => ({ key: path.slice(base.length), ttlMs: got.ttlMs }));
      const items = all.slice(start, start + limit);
      const end = start + limit;
      return Promise.resolve({ items, cursor: end < all.length ? `c${end}` : null });
    },
    history: (flow, key) => {
      const got = values.get(pathOf(flow, key));
      const { digest = '', uow: last = 0 } = got ?? {};
      const bytes = got?.value.byteLength ?? 0;
      const version = {
        uow: last,
        kind: 'set' as const,
        heldAt: 0,
        expiresAt: null,
        digest,
        bytes,
      };
      return Promise.resolve({ items: got === undefined ? [] : [version], cursor: null });
    },
    at: (flow, key, moment) => {
      fakes.calls.push(`at ${key} ${JSON.stringify(moment)}`);
      return Promise.resolve(values.get(pathOf(flow, key)) ?? null);
    },
  };
}

function fakeFailures(fakes: Fakes): FailurePort {
  return {
    list: (filter, cursor, limit) => {
      fakes.calls.push(`failures ${JSON.stringify(filter)} ${cursor} ${limit}`);
      return Promise.resolve({ items: [...fakes.failureRows.values()], cursor: null });
    },
    show: (asked) => Promise.resolve(fakes.failureRows.get(asked) ?? null),
    retry: (asked) => {
      const row = fakes.failureRows.get(asked);
      if (row === undefined) return Promise.resolve(null);
      const receipt = fakeReceipt(asked, { account: row.account, flow: row.flow, key: 'k' });
      return Promise.resolve({ ...receipt, state: 'held' as const, outcome: null });
    },
    skip: (asked) => Promise.resolve(fakes.failureRows.has(asked)),
    discard: (asked) => Promise.resolve(fakes.failureRows.delete(asked)),
    rejections: () => Promise.resolve({ items: fakes.rejected, cursor: null }),
  };
}

function fakeDeletions(fakes: Fakes): DeletionPort {
  return {
    plan: (flow, pattern) => {
      const id = `d${fakes.deletionRows.size + 1}`;
      const row: Deletion = {
        id,
        account: flow.account,
        flow: flow.flow,
        pattern,
        state: 'planned',
        count: 2,
        sample: ['a', 'b'],
        plannedAt: 0,
        expiresAt: 600_000,
        deleted: 0,
        detail: null,
      };
      fakes.deletionRows.set(id, row);
      return Promise.resolve(row);
    },
    run: (id) => {
      const row = fakes.deletionRows.get(id);
      if (row === undefined) return Promise.resolve(null);
      if (row.state !== 'planned') return Promise.reject(new Fault('conflict', 'it was run'));
      const running: Deletion = { ...row, state: 'running' };
      fakes.deletionRows.set(id, running);
      return Promise.resolve(running);
    },
    get: (id) => Promise.resolve(fakes.deletionRows.get(id) ?? null),
  };
}

/** Somebody waits for the token `waited-for`. */
function fakeCallbacks(fakes: Fakes): CallbackPort {
  return {
    deliver: (token, { headers, body }) => {
      const type = headers['content-type'] ?? '';
      fakes.calls.push(`callback ${token} ${type} ${Buffer.from(body).toString('utf8')}`);
      return token === 'waited-for';
    },
  };
}

function fakeLanes(): LanesPort {
  return {
    parked: () =>
      Promise.resolve({
        items: [
          {
            account: 'default',
            flow: 'default',
            key: 'k',
            uow: 7,
            since: 0,
            retryAt: null,
            reason: 'store: 503',
            waiting: 2,
          },
        ],
        cursor: null,
      }),
  };
}

function fakeStatus(fakes: Fakes): StatusPort {
  return {
    live: () => [{ name: 'process', level: 'ok', detail: 'running' }],
    ready: () =>
      Promise.resolve([{ name: 'journal', level: 'ok', detail: 'writable' }, ...fakes.trouble]),
    startup: () => [{ name: 'recovery', level: 'ok', detail: 'done' }],
    config: () => ({ version: 1, access: 'open' }),
  };
}

/** A committed receipt. */
export function fakeReceipt(
  uow: Uow,
  request: { account: string; flow: string; key: string | null },
): Receipt {
  return {
    uow,
    account: request.account,
    flow: request.flow,
    keys: [request.key ?? 'made-by-mapping'],
    state: 'settled',
    outcome: 'committed',
    durable: 'local',
    report: [{ stash: 'store', reply: 'stored', ms: 0.2 }],
  };
}
