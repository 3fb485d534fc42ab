// duet turn as a program: coturn's own client through it over UDP, TCP and TLS; metrics, workers, how it ends. Run inside
// in_netns.sh.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { ip } from '../interop/coturn.mjs';
import { startTurn, user } from '../interop/duet_turn.mjs';
import { sleep, tool, within } from './common.mjs';
import { run } from './tool.mjs';

const client = '/usr/bin/turnutils_uclient';
const skip = existsSync(client) ? false : 'coturn is not installed';
const peerPort = 3480;
const allow = ['--allow-peer', `${ip}/32`];

const login = ['-u', user.username, '-w', user.credential];
const tries = 60; // of channel numbers: turnutils_uclient takes one from 0x4000 to 0x7FFF, RFC 8656 leaves a quarter of these

async function withPeer(work) {
  const peer = spawn('turnutils_peer', ['-L', ip, '-p', String(peerPort)], { stdio: 'ignore' });
  const exited = new Promise((resolve) => peer.on('close', resolve));
  try {
    await sleep(200);
    return await work();
  } finally {
    peer.kill('SIGKILL');
    await exited;
  }
}

const uclient = (server, transport, ...more) => run(client, [...(transport === 'udp' ? [] : transport === 'tcp' ? ['-t'] : ['-t', '-S']),
  ...login, '-e', ip, '-r', String(peerPort), '-c', '-p', String(server.port(transport)), ...more, ip]);

for (const transport of ['udp', 'tcp', 'tls']) {
  test(`turnutils_uclient sends through it over ${transport}, by indications`, { skip, timeout: 60000 }, async () => {
    const server = await startTurn(allow);
    try {
      const { out, err } = await withPeer(() => uclient(server, transport, '-s', '-n', '20', '-m', '2', '-l', '300'));
      assert.match(out + err, /tot_send_msgs=40, tot_recv_msgs=40/);
      assert.match(out + err, /Total lost packets 0 /);
    } finally {
      await server.stop();
    }
  });

  test(`turnutils_uclient sends through it over ${transport}, by a channel`, { skip, timeout: 120000 }, async () => {
    const server = await startTurn(allow);
    try {
      await withPeer(async () => {
        for (let i = 0; i < tries; i++) {
          const { out, err } = await uclient(server, transport, '-n', '10', '-m', '1', '-l', '170');
          if (/channel bind: error 400/.test(out + err)) continue; // a number that RFC 8656 section 12 forbids
          assert.match(out + err, /tot_send_msgs=10, tot_recv_msgs=10/);
          return;
        }
        assert.fail(`no channel number was in the range in ${tries} attempts`);
      });
    } finally {
      await server.stop();
    }
  });
}

test('without a rule it relays to nobody on its own host', { skip, timeout: 60000 }, async () => {
  const server = await startTurn();
  try {
    const { out, err } = await uclient(server, 'udp', '-s', '-n', '1', '-m', '1');
    assert.match(out + err, /403|Forbidden/);
  } finally {
    await server.stop();
  }
});

test('four workers share the ports, and the metrics are of all of them', { skip, timeout: 60000 }, async () => {
  const server = await startTurn([...allow, '--workers', '4', '--metrics', '127.0.0.1:0']);
  try {
    const { out, err } = await withPeer(() => uclient(server, 'udp', '-s', '-n', '10', '-m', '16', '-l', '100'));
    assert.match(out + err, /tot_send_msgs=160, tot_recv_msgs=160/);
    const metrics = await server.metrics();
    assert.ok(metrics.allocations_total >= 16);
    assert.equal(metrics.relayed_to_peers_total, 160);
    assert.equal(metrics.relayed_to_clients_total, 160);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

test('it ends at once when asked, and with --drain when the allocations have ended or at a second signal', { timeout: 60000 }, async () => {
  const plain = await startTurn();
  assert.equal(await plain.stop('SIGINT'), 0);
  const empty = await startTurn(['--drain', '60']);
  assert.equal(await empty.stop(), 0);
  if (skip) return;
  const busy = await startTurn([...allow, '--drain', '60']);
  await withPeer(async () => {
    const child = spawn(client, ['-s', ...login, '-e', ip, '-r', String(peerPort), '-c', '-n', '1000000', '-m', '1', '-p', String(busy.port('udp')), ip],
      { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('close', resolve));
    await sleep(2500);
    busy.child.kill('SIGTERM');
    await sleep(500);
    assert.equal(busy.child.exitCode, null, 'it waits for the allocation');
    busy.child.kill('SIGTERM');
    assert.equal(await within(5000, busy.child.exited, 'the second signal ends it'), 0);
    child.kill('SIGKILL');
    await ended;
  });
  await busy.stop();
});

test('bad command lines are told in words', () => {
  for (const [args, words] of [[[], /--listen/], [['--listen', 'nowhere'], /IP address and a port/], [['--listen', `${ip}:0`, '--user', 'x'], /NAME:PASSWORD/],
    [['--tls', `${ip}:0`, '--user', 'a:b'], /--certificate/], [['--listen', `${ip}:0`, '--user', 'a:b', '--ports', '9-1'], /range/]]) {
    const { status, stderr } = spawnSync(tool, ['turn', ...args], { encoding: 'utf8', timeout: 5000 });
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, words);
  }
});
