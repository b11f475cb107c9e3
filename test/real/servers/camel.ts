/**
 * Apache Camel 4.14.0, resolved by Maven from the pom in camel/: `POST /in` with a header `x-id`
 * sets that key to the body in two Redis servers, one after the other, as its fan-out does it.
 * Needs `redisPorts: [first, second]`.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { debian, installed, programOf, run } from './cache.ts';
import { freePort } from './ports.ts';
import { newDataFolder, startSingle } from './server.ts';
import type { NodePlan, ServerKind, ServerOptions } from './server.ts';

const VERSION = '4.14.0';
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
const SOURCE = join(import.meta.dirname, 'camel');
const ANSWER_MS_MAX = 2000;
/** What the route answers to anything but a POST, once it is there. */
const METHOD_NOT_ALLOWED = 405;

/** The folder with its jars. */
async function jars(): Promise<string> {
  const folder = await installed(`camel-${VERSION}`, async (fresh) => {
    const maven = await debian('maven', () => programOf('mvn'));
    await cp(join(SOURCE, 'pom.xml'), join(fresh, 'pom.xml'));
    await run(maven, ['-q', '-B', COPY, `-DoutputDirectory=${join(fresh, 'lib')}`], { cwd: fresh });
  });
  return join(folder, 'lib');
}

async function plan(lib: string, options: ServerOptions): Promise<NodePlan> {
  const [first, second] = options.redisPorts ?? [];
  if (first === undefined || second === undefined) {
    throw new Error('Camel needs the ports of two Redis servers');
  }
  const port = await freePort();
  const folder = await newDataFolder('camel');
  const url = `http://127.0.0.1:${port}`;
  const settings = [
    'camel.main.name=peer',
    `camel.main.routesIncludePattern=file:${join(folder, 'fanout.yaml')}`,
    'camel.server.enabled=true',
    'camel.server.host=127.0.0.1',
    `camel.server.port=${port}`,
  ];
  return {
    name: 'camel',
    port,
    folder,
    url,
    launch: (args) => ({
      command: 'java',
      args: [
        '-Xmx512m',
        '-XX:+UseSerialGC',
        ...args,
        '-cp',
        [folder, join(lib, '*')].join(delimiter),
        'org.apache.camel.main.Main',
      ],
    }),
    async ready() {
      const { status } = await fetch(`${url}/in`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      if (status !== METHOD_NOT_ALLOWED) throw new Error(`its route is not there: ${status}`);
    },
    async prepare() {
      const route = await readFile(join(SOURCE, 'fanout.yaml'), 'utf8');
      const ours = route
        .replaceAll('FIRST_PORT', String(first))
        .replaceAll('SECOND_PORT', String(second));
      await writeFile(join(folder, 'fanout.yaml'), ours);
      await writeFile(join(folder, 'application.properties'), `${settings.join('\n')}\n`);
    },
    wipe: async () => {},
  };
}

/** `args` go to Java, before the class. */
export const camel: ServerKind = {
  install: async () => void (await jars()),
  async start(options) {
    const lib = await jars();
    return startSingle(() => plan(lib, options), options.args ?? []);
  },
};
