/** Where a PostgreSQL store is: its URL taken apart, nothing filled in from the environment. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { Fault } from '../../kernel/errors.ts';

/** What the driver needs; `label` names the place without any secret. */
export interface Address {
  readonly label: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Never null: the driver would look for a file of passwords. */
  readonly password: string;
  readonly database: string;
  readonly ssl: false | ConnectionOptions;
}

const PORT = 5432;
const PARAMETERS = ['host', 'sslmode', 'sslrootcert'];
const HINT =
  'Write postgres://user:password@host:5432/database, with ?sslmode=require or verify-full ' +
  '(and sslrootcert=FILE) for TLS, or ?host=/folder for a socket of this machine; special ' +
  'characters of a password as %40 and the like.';

/** Throws a Fault `bad-request` for a URL that leads nowhere; it never quotes the URL. */
export function addressOf(text: string, id: string): Address {
  const fault = (detail: string): Fault =>
    new Fault('bad-request', `the url of "${id}" ${detail}`, { hint: HINT });
  if (!/^postgres(ql)?:\/\//.test(text)) throw fault('does not begin with postgres://');
  if (/^[^?]*@[^/?]*,/.test(text)) throw fault('names several servers, where one is wanted');
  if (!URL.canParse(text)) throw fault('cannot be taken apart');
  const url = new URL(text);
  for (const name of url.searchParams.keys()) {
    if (!PARAMETERS.includes(name)) throw fault(`has a parameter that is not known: ${name}`);
  }
  const decoded = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw fault('has a percent sign that encodes nothing');
    }
  };
  const user = decoded(url.username);
  if (user === '') throw fault('names no user');
  const named = decoded(url.hostname).replace(/^\[(.*)\]$/, '$1');
  const host = url.searchParams.get('host') ?? named;
  const port = url.port === '' ? PORT : Number(url.port);
  const database = decoded(url.pathname.slice(1)) || user;
  const ssl = tlsOf(url.searchParams, fault);
  const label = `${host}:${port}/${database}`;
  return { label, host, port, user, password: decoded(url.password), database, ssl };
}

/** As PostgreSQL's own clients read it: `require` encrypts, `verify-full` also knows the server. */
function tlsOf(
  parameters: URLSearchParams,
  fault: (detail: string) => Fault,
): false | ConnectionOptions {
  const mode = parameters.get('sslmode') ?? 'disable';
  if (mode === 'disable') return false;
  if (mode === 'require') return { rejectUnauthorized: false };
  if (mode !== 'verify-full') throw fault(`has an sslmode that is not known: ${mode}`);
  const file = parameters.get('sslrootcert');
  if (file === null) return {};
  try {
    return { ca: readFileSync(file, 'utf8') };
  } catch (error) {
    throw fault(`names a certificate that cannot be read: ${(error as Error).message}`);
  }
}

/** The physical table behind a URL; null where the URL is nonsense (told when it is opened). */
export function tableAt(url: string, schema: string, table: string): string | null {
  const plain = url.replace(/\?.*$/s, '');
  const host = URL.canParse(url) ? new URL(url).searchParams.get('host') : null;
  try {
    const { label } = addressOf(host === null ? plain : `${plain}?host=${host}`, '');
    return `${label} ${schema}.${table}`;
  } catch (error) {
    if (error instanceof Fault) return null;
    throw error;
  }
}
