// The TURN server beside coturn's turnserver under the same load, alternating: what a CPU second of each serves.
//   node turn.mjs BUILD_FOLDER [--seconds S] [--rounds N]     prints a table; run.mjs imports turnBench
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const host = '127.0.0.1';
const turnserver = process.env.TURNSERVER ?? '/usr/bin/turnserver';
const loads = {
  bindings: ['bindings', '--flows', '64'],
  relay_200_flows: ['relay', '--flows', '200', '--size', '200'],
  relay_bulk: ['bulk', '--size', '1100'],
  memory: ['memory', '--flows', '4000'],
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, host, resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startDuet(tool) {
  const child = spawn(tool, ['turn', '--listen', `${host}:0`, '--no-tcp', '--user', 'user:pass', '--realm', 'realm',
    '--allow-peer', '127.0.0.0/8', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const text = await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('exit', () => reject(new Error('duet turn ended')));
  });
  return { child, port: Number(JSON.parse(text).listening[0].address.split(':').at(-1)) };
}

async function startCoturn() {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'duet-coturn-'));
  const child = spawn(turnserver, ['-n', '--no-cli', '--no-tls', '--no-dtls', '--no-tcp', '--lt-cred-mech', '-u', 'user:pass',
    '-r', 'realm', '--allow-loopback-peers', '-L', host, '-p', String(port), '--relay-threads', '1', '--min-port', '20000',
    '--max-port', '60000', '--log-file', 'stdout', '--simple-log', '--pidfile', join(folder, 'pid'), '--userdb', join(folder, 'db')],
  { stdio: ['ignore', 'ignore', 'ignore'], cwd: folder });
  await sleep(1500);
  return { child, port, folder };
}

async function stop({ child, folder }) {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  if (folder) rmSync(folder, { recursive: true, force: true });
}

// One load on a server of its own, so that no run inherits another's state.
async function measure(start, program, args) {
  const server = await start();
  try {
    const text = execFileSync(program, [args[0], host, String(server.port), String(server.child.pid), ...args.slice(1)],
      { encoding: 'utf8', timeout: 120000 });
    return JSON.parse(text.trim().split('\n').at(-1));
  } finally {
    await stop(server);
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

export async function turnBench(build, { seconds = 3, rounds = 3, say = () => {} } = {}) {
  if (!existsSync(turnserver)) return null;
  const program = join(build, 'bench/bench_turn_load');
  const results = {};
  for (const [name, args] of Object.entries(loads)) {
    const runs = { duet: [], coturn: [] };
    for (let i = 0; i < (name === 'memory' ? 1 : rounds); i++) {
      say(`TURN, ${name}, round ${i + 1}`);
      const more = name === 'memory' ? [] : ['--seconds', String(seconds)];
      runs.duet.push(await measure(() => startDuet(join(build, 'bin/duet')), program, [...args, ...more]));
      runs.coturn.push(await measure(startCoturn, program, [...args, ...more]));
    }
    const key = name === 'memory' ? 'kib_per_allocation' : 'per_cpu_s';
    const pick = (list, k) => median(list.map((r) => r[k]));
    results[name] = Object.fromEntries(Object.entries(runs).map(([who, list]) => [who, {
      [key]: pick(list, key), ...(name === 'memory' ? {} : { per_s: pick(list, 'per_s') }) }]));
    results[name].ratio = Number((results[name].duet[key] / results[name].coturn[key]).toFixed(2));
  }
  return results;
}

export function turnTable(results, print = console.log) {
  const titles = {
    bindings: 'STUN bindings per CPU second, 64 sockets', relay_200_flows: 'relayed per CPU second, 200 flows of 200 bytes',
    relay_bulk: 'relayed per CPU second, one flow of 1100', memory: 'KiB per allocation (resident)',
  };
  print(`\n${''.padEnd(48)} ${'Duet'.padStart(12)} ${'coturn'.padStart(12)}   ratio`);
  for (const [name, title] of Object.entries(titles)) {
    const key = name === 'memory' ? 'kib_per_allocation' : 'per_cpu_s';
    const { duet, coturn, ratio } = results[name];
    print(`${title.padEnd(48)} ${String(duet[key]).padStart(12)} ${String(coturn[key]).padStart(12)}   ${ratio}x`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({ allowPositionals: true,
    options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '3' } } });
  const here = dirname(fileURLToPath(import.meta.url));
  const results = await turnBench(positionals[0] ?? join(here, '../build/bench'), {
    seconds: Number(values.seconds), rounds: Number(values.rounds), say: (text) => process.stderr.write(`bench: ${text}\n`) });
  if (results) turnTable(results);
  else console.log('coturn is not installed: nothing to compare with');
}
