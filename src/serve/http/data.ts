/**
 * The data resource, `/v1/data/...`: routed here by hand instead of by the framework, because this
 * is the hot path and because its keys must not be decoded before they are told apart.
 */
import { Fault } from '../../kernel/errors.ts';
import type { RouteTimes } from '../../telemetry/metrics.ts';
import { discardBody } from './body.ts';
import type { Call } from './call.ts';
import { DATA_ROUTES } from './dataroutes.ts';
import { get, history, list } from './get.ts';
import { dataPath } from './path.ts';
import { post, put, remove, turnAway } from './put.ts';
import { queryOf } from './query.ts';
import type { RouteRow } from './route.ts';

type DataRoute = keyof typeof DATA_ROUTES;

/** Which operation a method is, by what the path points at. */
const OF_FLOW: Readonly<Record<string, DataRoute>> = { GET: 'list', HEAD: 'list', POST: 'post' };
const OF_KEY: Readonly<Record<string, DataRoute>> = {
  GET: 'get',
  HEAD: 'get',
  PUT: 'put',
  DELETE: 'delete',
};
const OF_HISTORY: Readonly<Record<string, DataRoute>> = { GET: 'history', HEAD: 'history' };

export type DataTimes = Readonly<Record<DataRoute, RouteTimes>>;

/** Answers one request below `/v1/data/`; never throws. */
export function answerData(call: Call, times: DataTimes): void {
  let route: DataRoute | null = null;
  try {
    const path = dataPath(call.req.url ?? '');
    const table = path === null ? null : tableOf(path.key, path.tail);
    if (path === null || table === null) {
      throw new Fault('not-found', 'No resource has this path.');
    }
    const method = call.req.method ?? '';
    route = table[method] ?? null;
    if (route === null) {
      discardBody(call.req);
      const allow = Object.keys(table).join(', ');
      call.fail(new Fault('method-not-allowed', `${method} is not for this path.`), [
        'Allow',
        allow,
      ]);
      return;
    }
    const row: RouteRow = DATA_ROUTES[route];
    call.times = times[route];
    call.operation = row.id;
    call.quiet = true;
    call.writes = route === 'put' || route === 'post' || route === 'delete';
    const query = queryOf(row.query, path.query);
    const flow = call.door.flow(path.account, path.flow);
    call.account = flow.account;
    call.flow = flow.flow;
    if (path.key !== null) call.key = path.key;
    const key = path.key as string;
    switch (route) {
      case 'put':
        return put(call, flow, key, query);
      case 'get':
        return get(call, flow, key, query);
      case 'delete':
        return remove(call, flow, key, query);
      case 'post':
        return post(call, flow, query);
      case 'list':
        return later(call, list(call, flow, query));
      case 'history':
        return later(call, history(call, flow, key, query));
      default:
        route satisfies never;
    }
  } catch (error) {
    discardBody(call.req);
    if (call.writes) turnAway(call, error);
    else call.fail(error);
  }
}

function tableOf(
  key: string | null,
  tail: string | null,
): Readonly<Record<string, DataRoute>> | null {
  if (key === null) return OF_FLOW;
  if (tail === null) return OF_KEY;
  return tail === 'history' ? OF_HISTORY : null;
}

function later(call: Call, work: Promise<void>): void {
  work.catch((error: unknown) => call.fail(error));
}
