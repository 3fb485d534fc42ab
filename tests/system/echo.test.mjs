// duet echo: with itself through the room server, and with aiortc's echo pair over its sockets.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { duet, here, sleep, start, startServer, within } from './common.mjs';

// Nothing leaves this machine: in a namespace of our own any interface will do, otherwise loopback only.
const local = process.env.DUET_NETNS ? [] : ['--bind', '127.0.0.1'];
const aloneInNetwork = { skip: process.env.DUET_NETNS ? false : 'only in a network namespace: it talks to the network' };

let server;
before(async () => { server = await startServer(['--dev', '--mesh-limit', '32']); });
after(async () => { assert.equal(await server.stop(), 0, server.child.text); });

const room = async (name, sub, ...args) =>
  ['--signaling', server.ws, '--room', name, '--token', await server.token(sub), '--json', ...local, ...args];
const json = (child, type) => child.lines.map((line) => JSON.parse(line)).filter((line) => line.type === type);

async function serve(name, ...args) {
  const child = duet('echo', 'serve', ...await room(name, 'echo', ...args));
  await child.line((line) => line.includes('"ready"'));
  return child;
}

async function stop(child) {
  child.kill('SIGTERM');
  assert.equal(await within(10000, child.exited, 'it ends'), 0, child.text);
}

test('a call echoes text and binary messages and tells the round-trip time', async () => {
  const echo = await serve('one');
  for (const args of [['--message', 'Grüße ✓', '--count', '3'], ['--size', '200000', '--count', '2']]) {
    const call = duet('echo', 'call', ...await room('one', 'caller', ...args));
    assert.equal(await within(30000, call.exited, 'the call'), 0, call.text);
    const [result] = json(call, 'result');
    assert.equal(result.ok, true);
    assert.equal(result.received, Number(args[3]));
    assert.ok(result.rttMinMs > 0 && result.rttMinMs <= result.rttAvgMs && result.rttAvgMs <= result.rttMaxMs);
    assert.equal(json(call, 'echo').length, result.received);
  }
  await echo.line((line) => line.includes('"gone"') && line.includes('400000'));
  assert.equal(json(echo, 'echo').filter((e) => e.kind === 'text').length, 3);
  await stop(echo);
});

test('the echo server serves many callers at once', async () => {
  const echo = await serve('many', '--quiet');
  const names = Array.from({ length: 8 }, (_, i) => `caller${i}`);
  const calls = await Promise.all(names.map(async (name) =>
    duet('echo', 'call', ...await room('many', name, '--peer', json(echo, 'ready')[0].self, '--count', '20', '--quiet'))));
  for (const call of calls) {
    assert.equal(await within(30000, call.exited, 'the call'), 0, call.text);
    assert.equal(json(call, 'result')[0].received, 20);
  }
  await stop(echo);
});

test('the echo server serves many callers at one UDP port', async () => {
  const port = 20000 + Math.floor(Math.random() * 20000);
  const echo = await serve('mux', '--quiet', '--mux', String(port));
  const { self } = json(echo, 'ready')[0];
  const calls = await Promise.all(Array.from({ length: 8 }, async (_, i) =>
    duet('echo', 'call', ...await room('mux', `caller${i}`, '--peer', self, '--count', '20', '--quiet'))));
  const sockets = execFileSync('ss', ['-lnup'], { encoding: 'utf8' }).split('\n').filter((l) => l.includes(`pid=${echo.pid},`));
  for (const call of calls) {
    assert.equal(await within(30000, call.exited, 'the call'), 0, call.text);
    assert.equal(json(call, 'result')[0].received, 20);
  }
  assert.ok(sockets.length > 0 && sockets.every((l) => l.includes(`:${port} `)), sockets.join('\n'));
  await stop(echo);
});

test('a call through loss, delay and reordering, captured for Wireshark', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'duet-echo-'));
  const pcap = join(folder, 'call.pcapng'), events = join(folder, 'events.jsonl');
  const echo = await serve('lossy');
  const call = duet('echo', 'call', ...await room('lossy', 'caller', '--count', '10', '--timeout', '60',
    '--impair', 'loss=0.05,delay=5ms,jitter=2ms,reorder=0.05,seed=4', '--pcap', pcap, '--events', events));
  assert.equal(await within(60000, call.exited, 'the call'), 0, call.text);
  assert.ok(json(call, 'result')[0].rttMinMs >= 10);
  assert.ok(readFileSync(pcap).length > 1000);
  assert.ok(readFileSync(events, 'utf8').split('\n').some((line) => line.includes('"connected"')));
  await stop(echo);
  rmSync(folder, { recursive: true });
});

test('a call with nobody to call, and a call that is refused, fail with their reason', async () => {
  const alone = duet('echo', 'call', ...await room('empty', 'caller', '--timeout', '1'));
  assert.equal(await within(10000, alone.exited, 'the call'), 1);
  assert.match(alone.text, /time-out: there is no peer to call/);
  const bad = duet('echo', 'call', '--signaling', server.ws, '--room', 'one', '--token', 'a.b.c');
  assert.equal(await within(10000, bad.exited, 'the call'), 1);
  assert.match(bad.text, /4401.*unauthorized: the header of the token/);
  const nowhere = duet('echo', 'call', '--signaling', 'ws://127.0.0.1:1', '--room', 'one', '--token', 'x');
  assert.equal(await within(10000, nowhere.exited, 'the call'), 1);
  assert.match(nowhere.text, /cannot connect to 127\.0\.0\.1:1: Connection refused/);
  const usage = duet('echo', 'call', '--signaling', 'gopher://x');
  assert.equal(await within(10000, usage.exited, 'the call'), 2);
});

test('serve and call find each other over a Unix socket and over TCP, whoever is first', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'duet-echo-'));
  for (const url of [`unix://${join(folder, 'socket')}`, 'tcp://127.0.0.1:1235']) {
    for (const serveFirst of [true, false]) {
      const children = [];
      const run = (role, ...args) => children.push(duet('echo', role, '--signaling', url, '--json', ...local, ...args));
      if (serveFirst) run('serve', '--once');
      else run('call');
      await sleep(400);
      if (serveFirst) run('call');
      else run('serve', '--once');
      for (const child of children) assert.equal(await within(20000, child.exited, url), 0, child.text);
      assert.equal(json(children[serveFirst ? 1 : 0], 'result')[0].received, 1);
    }
  }
  rmSync(folder, { recursive: true });
});

// ---- aiortc ----

// Debian's Python has Debian's aiortc. Its default STUN server is not there: the look-up need not be waited for.
const python = (file) => start('/usr/bin/python3', ['-u', join(here, file)],
  { env: { ...process.env, RES_OPTIONS: 'timeout:1 attempts:1' } });

test("aiortc's echo client is served by duet", aloneInNetwork, async () => {
  const echo = duet('echo', 'serve', '--signaling', 'tcp://127.0.0.1:1234', '--once', '--json');
  const client = python('aiortc_echo_client.py');
  assert.equal(await within(60000, client.exited, 'the client'), 0, client.text + echo.text);
  assert.deepEqual(client.lines, ['Channel open, sending message...', 'Echoed: Hello, WebRTC!']);
  assert.equal(await within(10000, echo.exited, 'the server'), 0, echo.text);
  assert.equal(json(echo, 'gone')[0].messages, 1);
});

test("duet calls aiortc's echo server", aloneInNetwork, async () => {
  const call = duet('echo', 'call', '--signaling', 'tcp://127.0.0.1:1234', '--json', '--timeout', '60', '--count', '5');
  await call.line((line) => line.includes('"ready"'));
  const echo = python('aiortc_echo_server.py');
  assert.equal(await within(60000, call.exited, 'the call'), 0, call.text + echo.text);
  assert.equal(json(call, 'result')[0].received, 5);
  assert.equal(await within(10000, echo.exited, 'the server'), 0, echo.text);
  assert.deepEqual(echo.lines, Array(5).fill('Received: Hello, WebRTC!'));
});
