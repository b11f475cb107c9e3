/** Probes, metrics, configuration: what operators and orchestrators ask. */
import type { StatusCheck } from '../../contracts/ports.ts';
import type { Call } from './call.ts';

export function live(call: Call): void {
  status(call, call.door.ports.status.live());
}

/** While draining the answer is no, whatever the checks say: traffic should go elsewhere. */
export async function ready(call: Call): Promise<void> {
  const checks = await call.door.ports.status.ready();
  const draining: StatusCheck = {
    name: 'drain',
    level: 'error',
    detail: 'this process is about to end',
  };
  status(call, call.door.draining ? [...checks, draining] : checks);
}

export function startup(call: Call): void {
  status(call, call.door.ports.status.startup());
}

export async function metrics(call: Call): Promise<void> {
  const text = await call.door.metrics.text();
  call.answer(200, call.door.metrics.contentType, text, ['Cache-Control', 'no-store']);
}

export function config(call: Call): void {
  call.json(call.door.ports.status.config());
}

function status(call: Call, checks: readonly StatusCheck[]): void {
  const has = (level: string): boolean => checks.some((check) => check.level === level);
  const worst = has('error') ? 'error' : has('warning') ? 'warning' : 'ok';
  call.json({ status: worst, checks }, worst === 'error' ? 503 : 200);
}
