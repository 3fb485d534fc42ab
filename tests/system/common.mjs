// What the system tests share: the tool as a child, the room server, and WebSocket clients of it.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, '../..');
export const tool = process.env.DUET ?? join(root, 'build/release/bin/duet');
const require = createRequire(join(root, 'tests/interop/package.json'));
export const WebSocket = require('ws');
export const secret = '0123456789abcdef0123456789abcdef';

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A child whose standard output is read line by line.
export function start(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  child.text = '';
  child.stderr.on('data', (data) => { child.text = (child.text + data).slice(-20000); });
  child.lines = [];
  const waiting = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    child.lines.push(line);
    for (const w of [...waiting]) w();
  });
  child.exited = new Promise((resolve) => child.on('close', (code, signal) => { resolve(code ?? signal); for (const w of [...waiting]) w(); }));
  child.line = (test, ms = 15000) => within(ms, new Promise((resolve, reject) => {
    const look = () => {
      const found = child.lines.find(test);
      if (found === undefined && child.exitCode === null && child.signalCode === null) return;
      waiting.splice(waiting.indexOf(look), 1);
      if (found === undefined) reject(new Error(`${program} ${args[0]} ended: ${child.lines.join('\n')}\n${child.text}`));
      else resolve(found);
    };
    waiting.push(look);
    look();
  }), `${args.slice(0, 2).join(' ')}: ${test}`);
  return child;
}

export const duet = (...args) => start(tool, args);

// The room server on a free port. `token(sub, …)` makes tokens with its secret.
export async function startServer(args = ['--dev'], options = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'duet-test-'));
  const file = join(folder, 'secret');
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  const child = start(tool, ['signal', '--listen', '127.0.0.1:0', '--secret', file, ...args], options);
  const first = JSON.parse(await child.line(() => true));
  return {
    child, first, file,
    http: first.listening,
    port: Number(new URL(first.listening).port),
    ws: `${first.listening.replace('http', 'ws')}/ws`,
    token: async (sub, ...more) => {
      const t = start(tool, ['token', '--secret', file, '--sub', sub, ...more]);
      return t.line(() => true);
    },
    stop: async () => {
      child.kill('SIGTERM');
      const code = await within(10000, child.exited, 'the server ends');
      rmSync(folder, { recursive: true, force: true });
      return code;
    },
  };
}

// A client of the protocol, for tests.
export class Client {
  constructor(url, { headers, protocols = ['duet.v1'] } = {}) {
    this.queue = [];
    this.waiting = [];
    this.socket = new WebSocket(url, protocols, { headers });
    this.socket.on('message', (data) => {
      this.queue.push(JSON.parse(data));
      this.waiting.shift()?.();
    });
    this.closed = new Promise((resolve) => this.socket.on('close', (code, reason) => { resolve({ code, reason: String(reason) }); this.waiting.forEach((w) => w()); }));
    this.opened = new Promise((resolve, reject) => { this.socket.on('open', resolve); this.socket.on('error', reject); });
    this.opened.catch(() => {});
  }

  static async open(url, options) {
    const client = new Client(url, options);
    await within(5000, client.opened, 'the WebSocket opens');
    return client;
  }

  // … authenticated, and in a room when one is given.
  static async enter(server, sub, room) {
    const client = await Client.open(server.ws);
    client.send({ type: 'authenticate', token: await server.token(sub, '--perm', 'create,join') });
    await client.expect('auth_ok');
    if (!room) return client;
    client.send({ type: 'join_room', roomId: room });
    client.room = await client.expect('room_users');
    client.id = client.room.self;
    return client;
  }

  send(message) {
    this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }

  async next(ms = 5000) {
    if (this.queue.length === 0)
      await within(ms, new Promise((resolve) => this.waiting.push(resolve)), 'a message');
    return this.queue.shift();
  }

  async expect(type) {
    const message = await this.next();
    if (message?.type !== type) throw new Error(`${type} expected, and ${JSON.stringify(message)} came`);
    return message;
  }

  close() {
    this.socket.close(1000);
    return this.closed;
  }
}

export const sdp = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 0.0.0.0', 'a=mid:0', ''].join('\r\n');

export async function launchChromium() {
  const puppeteer = require('puppeteer-core');
  return puppeteer.launch({
    headless: true, pipe: true, executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--allow-loopback-in-peer-connection',
      '--disable-features=WebRtcHideLocalIpsWithMdns'],
  });
}
