/**
 * The payloads of the npm package `@octokit/webhooks-examples`, all of them, as deliveries. They
 * carry neither name nor id of their delivery: the name comes from the package, the id is drawn
 * from the place a payload has in it, so that every run makes the same ones.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface Payload {
  readonly repository?: { readonly full_name: string };
  readonly sender?: { readonly id: number };
}

export interface Delivery {
  readonly delivery: string;
  readonly event: string;
  /** `api.github.com`, or the version of GitHub Enterprise Server that sent it. */
  readonly source: string;
  readonly payload: Payload;
}

interface Example {
  readonly name: string;
  readonly examples: readonly Payload[];
}

/** Every payload of every folder of the package. */
export function deliveries(): Delivery[] {
  const manifest = '@octokit/webhooks-examples/package.json';
  const root = dirname(createRequire(import.meta.url).resolve(manifest));
  const sources = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return sources.flatMap(({ name: source }) => {
    const text = readFileSync(join(root, source, 'index.json'), 'utf8');
    return (JSON.parse(text) as Example[]).flatMap(({ name: event, examples }) =>
      examples.map((payload, index) => {
        return { delivery: idOf(`${source}/${event}/${index}`), event, source, payload };
      }),
    );
  });
}

/** A UUID (version 8, RFC 9562) out of a name. */
function idOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  const variant = '89ab'[Number.parseInt(hex[16] ?? '0', 16) % 4];
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}

/** Keys that only this delivery has: what the mapping in holdfast.yaml should make of it. */
export function ownKeys({ delivery, event, source, payload }: Delivery): string[] {
  const keys = [`delivery:${delivery}`, `event:${source}/${event}/${delivery}`];
  const { repository, sender } = payload;
  if (repository) keys.push(`repository:${repository.full_name}/${event}/${delivery}`);
  if (sender) keys.push(`sender:${sender.id}/${delivery}`);
  return keys;
}

/** The key that it shares with every other delivery of that event of that repository. */
export function sharedKey({ event, payload }: Delivery): string | null {
  return payload.repository ? `latest:${payload.repository.full_name}/${event}` : null;
}
