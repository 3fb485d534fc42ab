// The room server beside a bare relay on `ws` (npm) under the same load, alternating: what a CPU second of each passes on.
//   node signaling.mjs BUILD_FOLDER [--seconds S] [--rounds N] [--out FILE]     prints a table; run.mjs imports signalingBench
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const offer = join(here, '../tests/data/sdp/chromium-answer-to-chromium-offer-av-data.sdp');
const loads = {
  candidates: ['--load', 'candidates', '--pairs', '200', '--window', '2'],
  candidates_8000_idle: ['--load', 'candidates', '--pairs', '200', '--window', '2', '--idle', '8000'],
  mix: ['--load', 'mix', '--pairs', '200', '--window', '2'],
};
// Every check is on; the rates are there and are not reached.
const generous = ['connections', 'agent-connections', 'address-connections', 'rooms'].flatMap((name) => [`--${name}`, '100000'])
  .concat(['rate', 'agent-rate', 'address-rate', 'room-rate'].flatMap((name) => [`--${name}`, '100000000,100000000']));

function start(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => resolve({ child, first: JSON.parse(line) }));
    child.once('exit', () => reject(new Error(`${program} ended`)));
  });
}

async function startDuet(tool, args = []) {
  const { child, first } = await start(tool, ['signal', '--dev', '--listen', '127.0.0.1:0', ...generous, ...args]);
  return { child, port: new URL(first.listening).port, token: first.dev_token };
}

async function startRelay() {
  const { child, first } = await start(process.execPath, [join(here, 'ws_relay.mjs')]);
  return { child, port: first.port, token: 'x' };
}

async function measure(begin, program, args) {
  const { child, port, token } = await begin();
  try {
    return JSON.parse(execFileSync(program, ['--port', String(port), '--pid', String(child.pid), '--token', token, '--offer', offer, ...args],
      { encoding: 'utf8', timeout: 120000 }));
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const middle = (runs) => Object.fromEntries(['perCpuSecond', 'perSecond', 'p50Ms', 'p99Ms'].map((k) => [k, median(runs.map((r) => r[k]))]));

async function idle(program, tool) {
  const folder = mkdtempSync(join(tmpdir(), 'duet-bench-'));
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  try {
    const plain = await measure(() => startDuet(tool), program, ['--load', 'idle', '--idle', '4000']);
    const tls = await measure(() => startDuet(tool, ['--tls-certificate', certificate, '--tls-key', key]), program, ['--load', 'idle', '--idle', '1000', '--tls']);
    const ws = await measure(startRelay, program, ['--load', 'idle', '--idle', '4000']);
    return { duet: plain.kibEach, duetTls: tls.kibEach, ws: ws.kibEach };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function signalingBench(build, { seconds = 3, rounds = 3, say = () => {} } = {}) {
  const program = join(build, 'bench/bench_signaling_load'), tool = join(build, 'bin/duet');
  const results = {};
  for (const [name, args] of Object.entries(loads)) {
    const runs = { duet: [], ws: [] };
    for (let i = 0; i < rounds; i++) {
      say(`signaling, ${name}, round ${i + 1}`);
      runs.duet.push(await measure(() => startDuet(tool), program, [...args, '--seconds', String(seconds)]));
      runs.ws.push(await measure(startRelay, program, [...args, '--seconds', String(seconds)]));
    }
    results[name] = { duet: middle(runs.duet), ws: middle(runs.ws) };
    results[name].ratio = Number((results[name].duet.perCpuSecond / results[name].ws.perCpuSecond).toFixed(2));
  }
  say('signaling, idle connections');
  results.kibPerIdleConnection = await idle(program, tool);
  return results;
}

export function signalingTable(results, print = console.log) {
  const titles = { candidates: 'candidates per CPU second, 200 rooms', candidates_8000_idle: '… beside 8,000 idle connections',
    mix: 'messages per CPU second, 1 offer, 1 answer, 20 candidates' };
  print(`\n${''.padEnd(58)} ${'Duet'.padStart(10)} ${'ws'.padStart(10)}   ratio   p99 of Duet, ws`);
  for (const [name, title] of Object.entries(titles)) {
    const { duet, ws, ratio } = results[name];
    print(`${title.padEnd(58)} ${String(duet.perCpuSecond).padStart(10)} ${String(ws.perCpuSecond).padStart(10)}   ${ratio}x   ${duet.p99Ms} ms, ${ws.p99Ms} ms`);
  }
  const { duet, duetTls, ws } = results.kibPerIdleConnection;
  print(`${'KiB per idle connection'.padEnd(58)} ${String(duet).padStart(10)} ${String(ws).padStart(10)}   with TLS ${duetTls}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({ allowPositionals: true,
    options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '3' }, out: { type: 'string' } } });
  const results = await signalingBench(positionals[0] ?? join(here, '../build/bench'), {
    seconds: Number(values.seconds), rounds: Number(values.rounds), say: (text) => process.stderr.write(`bench: ${text}\n`) });
  signalingTable(results);
  const machine = `${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}`;
  if (values.out) writeFileSync(values.out, `${JSON.stringify({ date: new Date().toISOString(), machine, signaling: results }, null, 2)}\n`);
}
