// duet perf: in one process, and in two that a script joins. Run inside in_netns.sh.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { match } from '../interop/matchmaker.mjs';
import { duet, run, tool } from './tool.mjs';

const here = process.env.DUET_NETNS ? [] : ['--bind', '127.0.0.1'];
const members = ['mbps', 'msgs_per_s', 'cpu_s_per_gb', 'rtt_us', 'setup_ms', 'setup_worst_ms', 'kib_per_connection', 'size', 'connections',
  'streams', 'datagrams_per_message', 'datagrams_per_send_call'];

// The figures of a run that moved something.
function assertFigures(figures, { size }) {
  for (const name of members) assert.notEqual(figures[name], undefined, `${name} is missing: ${JSON.stringify(figures)}`);
  assert.equal(figures.size, size);
  for (const name of ['mbps', 'msgs_per_s', 'cpu_s_per_gb', 'setup_ms', 'datagrams_per_message']) assert.ok(figures[name] > 0, name);
  assert.ok(figures.setup_worst_ms >= figures.setup_ms);
  assert.ok(figures.rtt_us.p50 > 0 && figures.rtt_us.p99 >= figures.rtt_us.p50);
  assert.ok(Math.abs(figures.mbps / (figures.msgs_per_s * size * 8 / 1e6) - 1) < 0.05, 'bytes are messages times size');
}

test('--local ends with one line of JSON', async () => {
  const perf = await run(tool, ['perf', '--local', '--size', '65535', '--seconds', '0.5', '--ping-seconds', '0.2', '--connections', '3', '--json']);
  assert.equal(perf.code, 0, perf.err);
  const lines = perf.out.trim().split('\n');
  assert.equal(lines.length, 1);
  const figures = JSON.parse(lines[0]);
  assertFigures(figures, { size: 65535 });
  assert.equal(figures.connections, 6);
});

test('--local without --json is for people', async () => {
  const perf = await run(tool, ['perf', '--local', '--seconds', '0.2', '--ping-seconds', '0.1', '--connections', '2']);
  assert.equal(perf.code, 0, perf.err);
  for (const word of ['throughput', 'round trip', 'set-up', 'memory']) assert.match(perf.out, new RegExp(`^${word} `, 'm'));
});

test('--local takes the connection options: delay is in the round-trip time', async () => {
  const perf = await run(tool, ['perf', '--local', '--seconds', '0.2', '--ping-seconds', '0.5', '--connections', '1', '--json', '--impair', 'delay=10ms']);
  assert.equal(perf.code, 0, perf.err);
  assert.ok(JSON.parse(perf.out).rtt_us.p50 >= 20000, perf.out);
});

for (const size of [1000, 65535, 1000000]) {
  test(`two processes measure messages of ${size} bytes`, async () => {
    const perf = await match([tool, 'perf', 'offer', '--size', String(size), '--seconds', '0.5', '--ping-seconds', '0.2', ...here],
      [tool, 'perf', 'answer', '--size', String(size), ...here]);
    assert.deepEqual(perf.codes, [0, 0], perf.log());
    assertFigures(perf.offer, { size });
    assert.equal(perf.offer.ok, true);
    assert.equal(perf.offer.role, 'offer');
    assert.ok(perf.offer.offerer_cpu_s_per_gb > 0 && perf.offer.answerer_cpu_s_per_gb > 0);
    assert.equal(perf.answer.ok, true);
    assert.equal(perf.answer.mbps, perf.offer.mbps);
  });
}

test('the answer of a peer that is not perf is no measurement', async () => {
  const perf = await match([tool, 'perf', 'offer', '--seconds', '0.2', '--ping-seconds', '0.1', ...here],
    [tool, 'peer', 'answer', '--data', '--timeout', '3', ...here]);
  assert.equal(perf.codes[0], 1, perf.log());
  assert.equal(perf.offer.ok, false);
  assert.ok(perf.offer.reason);
});

test('the end of standard input ends either role', () => {
  for (const role of ['offer', 'answer']) {
    const perf = duet(['perf', role, ...here], '');
    assert.equal(perf.code, 1);
    const result = JSON.parse(perf.out.trim().split('\n').at(-1));
    assert.equal(result.reason, 'standard input ended before the measurement was done');
  }
});

test('a wrong command line is refused with exit code 2', () => {
  for (const args of [[], ['--local', 'offer'], ['offer', 'answer'], ['--size', '0', '--local'], ['--nothing']]) {
    assert.equal(duet(['perf', ...args]).code, 2, args.join(' '));
  }
});
