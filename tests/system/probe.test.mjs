// duet probe: what it finds out about a network, and what it says about servers that do not work. Run inside in_netns.sh.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync, mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { start, tool, within } from './common.mjs';

const folder = mkdtempSync(join(tmpdir(), 'duet-probe-'));
const servers = [];

// A self-signed certificate; it is over already when `days` is negative.
function certificate(name, days, subject) {
  const file = (suffix) => join(folder, `${name}.${suffix}`);
  execFileSync('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=probe',
    '-keyout', file('key'), '-out', file('csr')], { stdio: 'ignore' });
  execFileSync('bash', ['-c', `openssl x509 -req -in ${file('csr')} -signkey ${file('key')} -days ${days} -out ${file('pem')} -extfile <(echo subjectAltName=${subject})`],
    { stdio: 'ignore' });
  return { certificate: file('pem'), key: file('key') };
}

async function turn(...args) {
  const child = start(tool, ['turn', '--listen', '127.0.0.1:0', '--user', 'alice:secret', '--allow-peer', '127.0.0.0/8', '--json', ...args]);
  servers.push(child);
  return JSON.parse(await child.line((line) => line.startsWith('{')));
}

async function probe(...args) {
  const child = start(tool, ['probe', '--json', '--timeout', '4', '--no-ipv6', ...args]);
  const code = await within(20000, child.exited, 'duet probe');
  return { code, report: JSON.parse(child.lines.join('')), text: child.text };
}

let plain, good, expired;
const listening = (status, protocol) => status.listening.find((l) => l.protocol === protocol).address;

before(async () => {
  good = certificate('good', 30, 'IP:127.0.0.1');
  expired = certificate('expired', -1, 'IP:127.0.0.1');
  plain = await turn('--tls', '127.0.0.1:0', '--certificate', good.certificate, '--key', good.key);
});

after(async () => {
  for (const child of servers) child.kill('SIGKILL');
  await Promise.all(servers.map((child) => child.exited));
  rmSync(folder, { recursive: true, force: true });
});

test('servers that work are ok, over UDP, TCP and TLS, with what they see and where they relay', async () => {
  const [udp, tcp, tls] = ['udp', 'tcp', 'tls'].map((protocol) => listening(plain, protocol));
  const urls = [`stun:${udp}`, `turn:${udp}`, `turn:${tcp}?transport=tcp`, `turns:${tls}`];
  const { code, report } = await probe(...urls, '--user', 'alice', '--password', 'secret', '--ca', good.certificate);
  assert.equal(code, 0, JSON.stringify(report));
  assert.deepEqual(report.servers.map((s) => s.url), urls);
  for (const s of report.servers) {
    assert.match(s.mapped, /^127\.0\.0\.1:\d+$/);
    assert.ok(s.elapsedMs < 4000);
    if (s.url.startsWith('turn')) assert.match(s.relayed, /^127\.0\.0\.1:\d+$/);
  }
  assert.equal(report.nat.mapping, 'no NAT');
  assert.ok(report.candidates.some((c) => /^host +udp 127\.0\.0\.1:\d+$/.test(c)));
});

test('a wrong password, a user that there is not, and no user at all', async () => {
  const url = `turn:${listening(plain, 'udp')}`;
  for (const args of [['--user', 'alice', '--password', 'wrong'], ['--user', 'nobody', '--password', 'secret'], []]) {
    const { code, report: { servers: [s] } } = await probe(url, ...args);
    assert.equal(code, 1);
    assert.equal(s.stage, 'allocate');
    assert.equal(s.code, 401);
    assert.match(s.advice, /user name or the password is wrong/);
  }
});

test('a port where nothing listens, and one where something else does', async () => {
  const silent = createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
  await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address();
  const { code, report: { servers: list } } = await probe(`turn:127.0.0.1:${port}`, `stun:127.0.0.1:${port}`, `turn:127.0.0.1:${port}?transport=tcp`,
    'turn:127.0.0.1:1?transport=tcp', '--user', 'a', '--password', 'b');
  assert.equal(code, 1);
  assert.deepEqual(list.map((s) => s.stage), ['answer', 'answer', 'answer', 'connect']);
  assert.match(list[0].advice, /a firewall drops the packets, or nothing listens there/);
  assert.match(list[2].reason, /no STUN or TURN server|closed the connection/);
  assert.equal(list[3].reason, 'Connection refused');
  silent.close();
});

test('certificates: expired, for another name, of an unknown authority', async () => {
  const old = await turn('--tls', '127.0.0.1:0', '--certificate', expired.certificate, '--key', expired.key);
  const url = `turns:${listening(old, 'tls')}`;
  const [byDate] = (await probe(url, '--user', 'alice', '--password', 'secret', '--ca', expired.certificate)).report.servers;
  assert.equal(byDate.stage, 'connect');
  assert.match(byDate.reason, /expired/);
  assert.match(byDate.advice, /renew the certificate/);
  const { address } = { address: listening(plain, 'tls') };
  const [byAuthority] = (await probe(`turns:${address}`, '--user', 'alice', '--password', 'secret')).report.servers;
  assert.match(byAuthority.reason, /self.signed/);
  const [byName] = (await probe(`turns:localhost:${address.split(':')[1]}`, '--user', 'alice', '--password', 'secret', '--ca', good.certificate)).report.servers;
  assert.match(byName.reason, /mismatch|name/i);
  const { code } = await probe(url, '--user', 'alice', '--password', 'secret', '--tls-no-verify');
  assert.equal(code, 0);
});

test('URLs that are none, and TURN over DTLS', async () => {
  const { code, report: { servers: list } } = await probe('http://example', 'turn:', 'turns:127.0.0.1?transport=udp');
  assert.equal(code, 1);
  assert.deepEqual(list.map((s) => s.stage), ['url', 'url', 'url']);
  assert.match(list[2].reason, /TURN over DTLS is not supported/);
});

test('the table says the same to people', async () => {
  const child = start(tool, ['probe', `turn:${listening(plain, 'udp')}`, '--user', 'alice', '--password', 'wrong', '--no-ipv6']);
  assert.equal(await within(20000, child.exited, 'duet probe'), 1);
  const text = child.lines.join('\n');
  assert.match(text, /^Candidates\n {2}host +udp /);
  assert.match(text, /NAT, by turn:127\.0\.0\.1:\d+\n +UDP gets through +yes/);
  assert.match(text, /failed {2}401 /);
});
