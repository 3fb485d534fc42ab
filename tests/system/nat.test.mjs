// duet peer through real NATs: hosts in network namespaces, nftables between them, coturn or duet turn on a third host.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { match } from '../interop/matchmaker.mjs';
import { here, sleep, start, tool, within } from './common.mjs';

const address = '203.0.113.1';
const stun = [{ urls: `stun:${address}` }];
const turn = (transport) => [...stun, { urls: `turn:${address}?transport=${transport}`, username: 'alice', credential: 'secret' }];

// The namespaces for the time of `use`, or a test that is skipped with the reason.
async function withHosts(t, alice, bob, use) {
  const hosts = start(join(here, 'nat_hosts.sh'), [alice, bob], { stdio: ['pipe', 'pipe', 'pipe'] });
  try {
    const first = await Promise.race([hosts.line(() => true, 20000).catch(() => null), hosts.exited]);
    if (first === 77 || first === null) {
      assert.equal(await hosts.exited, 77, hosts.text);
      t.skip(hosts.text.trim());
      return;
    }
    const pids = JSON.parse(first);
    await use((host, ...command) => ['nsenter', `--net=/proc/${pids[host]}/ns/net`, '--', ...command]);
  } finally {
    hosts.stdin.end();
    await within(10000, hosts.exited, 'the namespaces end');
  }
}

const servers = {
  async coturn(on) {
    const folder = mkdtempSync(join(tmpdir(), 'duet-nat-'));
    const [program, ...args] = on('server', 'turnserver', '-n', '--no-cli', '--no-tls', '--no-dtls', '--log-file=stdout', '--simple-log',
      `--pidfile=${join(folder, 'pid')}`, `--userdb=${join(folder, 'db')}`, `--listening-ip=${address}`, `--relay-ip=${address}`,
      '--realm=duet.test', '--lt-cred-mech', '--user=alice:secret');
    const child = start(program, args, { cwd: folder });
    await child.line((line) => line.includes('Total General servers'));
    await sleep(200);
    return { child, end: () => rmSync(folder, { recursive: true, force: true }) };
  },
  async 'duet turn'(on) {
    const [program, ...args] = on('server', tool, 'turn', '--json', '--listen', `${address}:3478`, '--user', 'alice:secret');
    const child = start(program, args);
    await child.line(() => true);
    return { child, end: () => {} };
  },
};

// Two peers with these ICE servers; the result of the offerer.
async function call(on, server, iceServers, timeout = 20) {
  const { child, end } = await servers[server](on);
  try {
    const peer = (host, role) => on(host, tool, 'peer', role, '--data', '--no-loopback', '--timeout', String(timeout),
      '--ice-servers', JSON.stringify(iceServers));
    const result = await match(peer('alice', 'offer'), peer('bob', 'answer'));
    return { ...result.offer, log: () => `${result.log()}\n${child.lines.join('\n')}\n${child.text}` };
  } finally {
    child.kill('SIGTERM');
    await within(10000, child.exited, `${server} ends`);
    end();
  }
}

function assertData(result) {
  assert.ok(result.ok, `${result.reason}\n${result.log()}`);
  assert.equal(result.dcEchoOk, 8);
  assert.equal(result.dcBad, 0);
}

const cases = [
  { alice: 'none', bob: 'symmetric', servers: stun, path: 'direct' },
  { alice: 'restricted', bob: 'restricted', servers: stun, path: 'direct' },
  { alice: 'restricted', bob: 'restricted', servers: turn('udp'), path: 'direct' },
  { alice: 'restricted', bob: 'symmetric', servers: turn('udp'), path: 'relayed' },
  { alice: 'symmetric', bob: 'symmetric', servers: turn('udp'), path: 'relayed' },
  { alice: 'no-udp', bob: 'restricted', servers: turn('tcp'), path: 'relayed' },
  { alice: 'no-udp', bob: 'no-udp', servers: turn('tcp'), path: 'relayed' },
];

for (const server of Object.keys(servers)) {
  for (const { alice, bob, servers: iceServers, path } of cases) {
    const kinds = iceServers.map((s) => s.urls.replace(`:${address}`, '')).join(', ');
    test(`${alice} and ${bob} connect ${path === 'direct' ? 'directly' : 'through the relay'} (${server}: ${kinds})`, async (t) => {
      await withHosts(t, alice, bob, async (on) => {
        const result = await call(on, server, iceServers);
        assertData(result);
        if (path === 'relayed') assert.match(result.pair, /relay/, result.log());
        else assert.doesNotMatch(result.pair, /relay/, result.log());
      });
    });
  }
}

test('restricted and symmetric do not connect with STUN alone', async (t) => {
  await withHosts(t, 'restricted', 'symmetric', async (on) => {
    const result = await call(on, 'duet turn', stun, 6);
    assert.ok(!result.ok, result.log());
  });
});
