/** The proxy of the fault tests does what it says, over a server that repeats what it hears. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { startProxy, type Proxy } from './proxy.ts';

/** A server that answers with what it hears, and remembers all of it. */
class Echo {
  heard = '';
  readonly #server = createServer((socket) => {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (bytes) => {
      this.heard += bytes.toString();
      socket.write(bytes);
    });
  });
  readonly #sockets = new Set<Socket>();

  async start(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** A client that waits for what it wants to hear. */
class Client {
  heard = '';
  readonly socket: Socket;
  readonly closed: Promise<void>;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('error', () => {});
    this.socket.on('data', (bytes) => {
      this.heard += bytes.toString();
    });
    this.closed = new Promise((done) => this.socket.once('close', () => done()));
  }

  async hears(text: string): Promise<void> {
    while (!this.heard.includes(text)) await once(this.socket, 'data');
  }

  /** Sends a word and waits for its echo. */
  async talk(text: string): Promise<void> {
    this.socket.write(text);
    await this.hears(text);
  }
}

async function opened(t: TestContext): Promise<{ echo: Echo; proxy: Proxy; client: Client }> {
  const echo = new Echo();
  const proxy = await startProxy({ host: '127.0.0.1', port: await echo.start() });
  const client = new Client(proxy.port);
  t.after(async () => {
    client.socket.destroy();
    await proxy.dispose();
    await echo.stop();
  });
  await client.talk('hello');
  return { echo, proxy, client };
}

describe('the fault proxy', () => {
  it('passes bytes on in both directions and counts them', async (t) => {
    const { echo, proxy } = await opened(t);
    assert.equal(echo.heard, 'hello');
    assert.deepEqual(proxy.counts(), {
      taken: 1,
      refused: 0,
      open: 1,
      toServer: 5,
      toClient: 5,
      heldToServer: 0,
      heldToClient: 0,
    });
  });

  it('delays both ways and keeps the order', async (t) => {
    const { echo, proxy, client } = await opened(t);
    proxy.delay(60);
    const start = performance.now();
    client.socket.write('one');
    await proxy.seen((counts) => counts.heldToServer === 3);
    client.socket.write('two');
    await client.hears('two');
    assert.ok(performance.now() - start >= 120, 'there and back');
    assert.equal(echo.heard, 'helloonetwo');
    proxy.delay(0);
  });

  it('keeps requests back and delivers them when they are released', async (t) => {
    const { echo, proxy, client } = await opened(t);
    proxy.hold();
    client.socket.write('kept');
    await proxy.seen((counts) => counts.heldToServer === 4);
    assert.equal(echo.heard, 'hello');
    await proxy.release();
    await client.hears('kept');
  });

  it('delivers late what a client sent that is gone, whether it left or was cut off', async (t) => {
    const { echo, proxy, client } = await opened(t);
    const other = new Client(proxy.port);
    await other.talk('other');
    proxy.hold();
    client.socket.write('late');
    other.socket.write('later');
    await proxy.seen((counts) => counts.heldToServer === 9);
    client.socket.destroy();
    await proxy.seen((counts) => counts.open === 1);
    proxy.cut();
    await other.closed;
    assert.equal(echo.heard, 'helloother');
    await proxy.release();
    assert.match(echo.heard, /late/);
    assert.match(echo.heard, /later/);
  });

  it('lets other connections through while it keeps what it holds', async (t) => {
    const { echo, proxy, client } = await opened(t);
    const idle = new Client(proxy.port);
    await idle.talk('idle');
    proxy.hold();
    client.socket.write('kept');
    await proxy.seen((counts) => counts.heldToServer === 4);
    proxy.keepHeld();
    const other = new Client(proxy.port);
    await other.talk('new');
    await idle.talk('again');
    client.socket.write('behind');
    await proxy.seen((counts) => counts.heldToServer === 10);
    assert.doesNotMatch(echo.heard, /kept|behind/);
    await proxy.release();
    await client.hears('keptbehind');
    other.socket.destroy();
    idle.socket.destroy();
  });

  it('keeps replies back: the server did it, the client does not know', async (t) => {
    const { echo, proxy, client } = await opened(t);
    proxy.holdReplies();
    client.socket.write('done');
    await proxy.seen((counts) => counts.heldToClient === 4);
    assert.equal(echo.heard, 'hellodone');
    assert.equal(client.heard, 'hello');
    proxy.releaseReplies();
    await client.hears('done');
    proxy.holdReplies();
    client.socket.write('lost');
    await proxy.seen((counts) => counts.heldToClient === 4);
    proxy.cut();
    await client.closed;
    assert.equal(client.heard, 'hellodone');
  });

  it('breaks every connection, and in the middle of a request when asked to', async (t) => {
    const { echo, proxy, client } = await opened(t);
    proxy.cutAfterBytes(3);
    client.socket.write('abcdef');
    await client.closed;
    await proxy.seen((counts) => counts.open === 0 && echo.heard.length >= 8);
    assert.equal(echo.heard, 'helloabc');
    const next = new Client(proxy.port);
    await next.talk('next');
    next.socket.destroy();
  });

  it('turns new connections away and keeps those that are there', async (t) => {
    const { proxy, client } = await opened(t);
    proxy.refuse(true);
    const other = new Client(proxy.port);
    await other.closed;
    assert.equal(proxy.counts().refused, 1);
    await client.talk('still here');
    proxy.refuse(false);
    const next = new Client(proxy.port);
    await next.talk('next');
    next.socket.destroy();
  });

  it('ends a client whose server is gone', async (t) => {
    const { echo, client } = await opened(t);
    await echo.stop();
    await client.closed;
  });
});
