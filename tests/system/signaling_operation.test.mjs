// duet signal in operation: seats that outlive their connections, TLS, settings, reload, figures, and protection from those who
// ask too much.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSign, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client, duet, sdp, secret, sleep, start, startServer, tool, WebSocket, within } from './common.mjs';

const local = process.env.DUET_NETNS ? [] : ['--bind', '127.0.0.1'];

async function withServer(args, run) {
  const server = await startServer(args);
  try {
    await run(server);
  } finally {
    assert.equal(await server.stop(), 0, server.child.text);
  }
}

async function withFolder(run) {
  const folder = mkdtempSync(join(tmpdir(), 'duet-signal-'));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function comeBack(server, sub, resumeToken, lastSeq) {
  const client = await Client.enter(server, sub);
  client.send({ type: 'resume', resumeToken, lastSeq });
  return client;
}

// ---- seats ----

test('a connection that is killed comes back to its seat: nothing is lost, nothing doubled', async () => withServer(['--dev'], async (server) => {
  const alice = await Client.enter(server, 'alice', 'red'), bob = await Client.enter(server, 'bob', 'red');
  await alice.expect('user_joined');
  let lastSeq = 2;
  const heard = [], said = 200;
  let current = alice;
  const listen = async () => {
    while (heard.length < said) {
      const client = current;
      const message = await Promise.race([client.next(), client.closed.then(() => null)]).catch(() => null);
      if (!message) return;
      assert.equal(message.seq, lastSeq + 1);
      lastSeq = message.seq;
      if (message.type === 'candidate') heard.push(message.candidate.sdpMid);
    }
  };
  let listening = listen();
  for (let i = 0; i < said; i++) {
    bob.send({ type: 'candidate', to: alice.id, candidate: { candidate: '', sdpMid: String(i) } });
    if (i % 40 === 20) {
      await sleep(20);
      current.socket._socket.destroy(); // without a word of WebSocket
      await current.closed;
      await listening;
      current = await comeBack(server, 'alice', alice.room.resumeToken, lastSeq);
      listening = listen();
    }
  }
  await within(10000, listening, 'all candidates');
  assert.deepEqual(heard, Array.from({ length: said }, (_, i) => String(i)));
  assert.ok(!bob.queue.some((m) => m.type === 'user_left'));
  await current.close();
  await bob.close();
}));

test('the dialect with the older names goes to everybody', async () => withServer(['--dev'], async (server) => {
  const alice = await Client.enter(server, 'alice', 'red');
  const old = await Client.open(server.ws, { protocols: ['duet.compat'] });
  old.send({ type: 'join', roomId: 'red', token: await server.token('old') });
  await old.expect('auth_ok');
  await old.expect('room_users');
  await alice.expect('user_joined');
  old.send({ type: 'offer', sdp });
  const { from } = await alice.expect('offer');
  alice.send({ type: 'answer', to: from, sdp });
  await old.expect('getAnswer');
  await alice.close();
  await old.expect('user_exit');
  await old.close();
  const query = await Client.open(`${server.ws}?dialect=compat`, { protocols: [] });
  query.send({ type: 'join', roomId: 'red', token: await server.token('query') });
  await query.expect('auth_ok');
  await query.close();
}));

test('an idle connection is kept, longer than an HTTP request may take', async () => withServer(['--dev', '--request-timeout', '1'], async (server) => {
  const alice = await Client.enter(server, 'alice', 'red');
  await sleep(2500);
  const bob = await Client.enter(server, 'bob', 'red');
  await alice.expect('user_joined');
  await Promise.all([alice.close(), bob.close()]);
}));

// ---- keys ----

test('RS256 tokens pass with their public key; the public key is no secret', async () => withFolder(async (folder) => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }), file = join(folder, 'public.pem');
  writeFileSync(file, pem);
  const child = start(tool, ['signal', '--listen', '127.0.0.1:0', '--key', file, '--audience', 'duet', '--rooms-on-join']);
  const { listening } = JSON.parse(await child.line(() => true));
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { sub: 'alice', exp: Math.floor(Date.now() / 1000) + 60, aud: 'duet', perm: ['join'] };
  const rs256 = (payload) => {
    const signed = `${part({ alg: 'RS256' })}.${part(payload)}`;
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(privateKey, 'base64url')}`;
  };
  const { createHmac } = await import('node:crypto');
  const confused = `${part({ alg: 'HS256' })}.${part(claims)}`;
  const tokens = [[rs256(claims), 'auth_ok'], [rs256({ ...claims, aud: 'other' }), 'auth_error'],
    [rs256({ ...claims, exp: undefined }), 'auth_error'], [rs256({ ...claims, room: 'blue' }), 'auth_ok'],
    [`${confused}.${createHmac('sha256', pem).update(confused).digest('base64url')}`, 'auth_error']];
  for (const [token, answer] of tokens) {
    const client = await Client.open(`${listening.replace('http', 'ws')}/ws`);
    client.send({ type: 'authenticate', token });
    await client.expect(answer);
    if (answer === 'auth_ok') {
      client.send({ type: 'join_room', roomId: 'red' });
      if (token === tokens[3][0]) assert.equal((await client.expect('error')).code, 'forbidden');
      else await client.expect('room_users');
    }
    await client.close();
  }
  child.kill('SIGTERM');
  assert.equal(await within(5000, child.exited, 'it ends'), 0, child.text);
}));

// ---- pages of others ----

test('pages of other origins are refused unless they are listed', async () => withServer(['--dev', '--origin', 'https://a.example'], async (server) => {
  const headers = { Authorization: `Bearer ${server.first.dev_token}` };
  await assert.rejects(Client.open(server.ws, { headers: { Origin: 'https://evil.example' } }), /403/);
  for (const Origin of ['https://a.example', server.http]) await (await Client.open(server.ws, { headers: { Origin } })).close();
  const api = (Origin, method = 'GET') => fetch(`${server.http}/api/rooms`, { method, headers: { ...headers, Origin } });
  assert.equal((await api('https://evil.example')).status, 403);
  const listed = await api('https://a.example');
  assert.equal(listed.status, 200);
  assert.equal(listed.headers.get('access-control-allow-origin'), 'https://a.example');
  const preflight = await api('https://a.example', 'OPTIONS');
  assert.equal(preflight.status, 204);
  assert.match(preflight.headers.get('access-control-allow-methods'), /PATCH/);
}));

// ---- settings ----

test('settings come from a file, the environment and the command line, and are checked', async () => withFolder(async (folder) => {
  const file = join(folder, 'signal.conf'), key = join(folder, 'secret');
  writeFileSync(key, secret);
  writeFileSync(file, `[rooms]\nmesh-limit = 2\nparticipants = 3\nlisten = 127.0.0.1:0\nsecret = ${key}\nrooms-on-join = yes\n`);
  const check = (args, env = {}) => {
    try {
      return [0, execFileSync(tool, ['signal', '--check-config', ...args], { env: { ...process.env, ...env }, stdio: 'pipe' }).toString()];
    } catch (error) {
      return [error.status, error.stderr.toString()];
    }
  };
  assert.deepEqual(check(['--config', file]), [0, '{"ok":true,"listen":"127.0.0.1:0"}\n']);
  assert.equal(check([], { DUET_SIGNAL_CONFIG: file, DUET_SIGNAL_LISTEN: '127.0.0.1:1234' })[1], '{"ok":true,"listen":"127.0.0.1:1234"}\n');
  for (const [line, complaint] of [['mesh-limit = many', /mesh-limit many: /], ['colour = red', /no setting "colour"/], ['rate = 0', /rate 0: /],
    ['ice-servers = {}', /ice-servers/], ['tls-key = /nowhere', /belong together/], ['turn-url = turn:x', /turn-secret/]]) {
    writeFileSync(join(folder, 'bad.conf'), `secret = ${key}\n${line}\n`);
    const [code, text] = check(['--config', join(folder, 'bad.conf')]);
    assert.equal(code, 2, line);
    assert.match(text, complaint);
  }
  assert.match(check([])[1], /nothing to check tokens with/);
}));

test('SIGHUP takes new limits and keys; connections stay', async () => withFolder(async (folder) => {
  const file = join(folder, 'signal.conf'), key = join(folder, 'secret');
  const other = 'fedcba9876543210fedcba9876543210';
  writeFileSync(key, secret);
  writeFileSync(file, 'mesh-limit = 1\n');
  const child = start(tool, ['signal', '--listen', '127.0.0.1:0', '--secret', key, '--rooms-on-join', '--config', file]);
  const { listening } = JSON.parse(await child.line(() => true));
  const server = { ws: `${listening.replace('http', 'ws')}/ws`, token: (sub, ...more) => start(tool, ['token', '--secret', key, '--sub', sub, ...more]).line(() => true) };
  const alice = await Client.enter(server, 'alice', 'red');
  const bob = await Client.enter(server, 'bob');
  bob.send({ type: 'join_room', roomId: 'red' });
  assert.equal((await bob.expect('error')).code, 'room_full');
  const before = await server.token('carol');
  writeFileSync(file, 'mesh-limit = 4\n');
  writeFileSync(key, other);
  child.kill('SIGHUP');
  for (let i = 0; i < 100 && !child.text.includes('"reloaded"'); i++) await sleep(20);
  assert.match(child.text, /"event":"reloaded","ok":true/);
  bob.send({ type: 'join_room', roomId: 'red' });
  await bob.expect('room_users');
  await alice.expect('user_joined');
  const carol = await Client.open(server.ws);
  carol.send({ type: 'authenticate', token: before });
  await carol.expect('auth_error');
  await (await Client.enter(server, 'carol')).close();
  writeFileSync(file, 'mesh-limit = none\n'); // a mistake changes nothing
  child.kill('SIGHUP');
  for (let i = 0; i < 100 && !child.text.includes('everything stays'); i++) await sleep(20);
  assert.match(child.text, /everything stays as it was/);
  await Promise.all([alice.close(), bob.close()]);
  child.kill('SIGTERM');
  assert.equal(await within(5000, child.exited, 'it ends'), 0, child.text);
}));

// ---- TLS ----

const certificate = (folder, name) => {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { key, cert };
};

test('browsers and C programs speak TLS to it, and a new certificate needs no restart', async () => withFolder(async (folder) => {
  const { key, cert } = certificate(folder, 'server');
  await withServer(['--dev', '--tls-certificate', cert, '--tls-key', key], async (server) => {
    assert.match(server.http, /^https:/);
    const open = () => new Promise((resolve, reject) => {
      const socket = new WebSocket(server.ws, ['duet.v1'], { rejectUnauthorized: false });
      socket.on('open', () => resolve(socket._socket.getPeerCertificate().fingerprint256) ?? socket.close());
      socket.on('error', reject);
    });
    const first = await open();
    const room = ['--room', 'red', '--signaling', server.ws, '--ca', cert, '--json', ...local];
    const echo = duet('echo', 'serve', ...room, '--token', await server.token('echo'));
    await echo.line((line) => line.includes('"ready"'));
    const call = duet('echo', 'call', ...room, '--token', await server.token('call'), '--count', '2');
    assert.equal(await within(20000, call.exited, 'the call'), 0, call.text);
    const fresh = certificate(folder, 'server');
    assert.equal(fresh.cert, cert);
    server.child.kill('SIGHUP');
    for (let i = 0; i < 100 && await open() === first; i++) await sleep(20);
    assert.notEqual(await open(), first);
    echo.kill('SIGTERM');
    await echo.exited;
    const refused = duet('echo', 'call', '--room', 'red', '--signaling', server.ws, '--token', await server.token('x'), '--json', ...local);
    assert.notEqual(await within(20000, refused.exited, 'an untrusted certificate'), 0);
    assert.match(refused.text + refused.lines.join(), /certificate/);
    const slow = connect(server.port, '127.0.0.1'); // says nothing in the TLS handshake
    slow.on('error', () => {});
    await within(20000, new Promise((resolve) => slow.on('close', resolve)), 'the silent one is dropped');
  });
}));

// ---- figures and lines ----

test('figures for Prometheus, readiness, and log lines without secrets', async () => {
  let text = '';
  await withServer(['--dev', '--log-level', 'info'], async (server) => {
    const alice = await Client.enter(server, 'alice', 'red'), bob = await Client.enter(server, 'bob', 'red');
    alice.send({ type: 'offer', to: bob.id, sdp });
    await bob.expect('offer');
    assert.equal((await fetch(`${server.http}/readyz`)).status, 200);
    const metrics = await (await fetch(`${server.http}/metrics`)).text();
    for (const line of ['duet_signaling_connections 2', 'duet_signaling_relayed_total{type="offer"} 1', 'duet_signaling_joined_total 2',
      'duet_signaling_store_reachable 1']) assert.ok(metrics.includes(`\n${line}\n`), `${line}\n${metrics}`);
    for (const line of metrics.trim().split('\n')) assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? [\d.]+)$/);
    await Promise.all([alice.close(), bob.close()]);
    await sleep(100);
    text = server.child.text;
  });
  const lines = text.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  assert.ok(lines.some((l) => l.event === 'connected' && l.address === '127.0.0.1'));
  assert.ok(lines.some((l) => l.event === 'disconnected' && l.agentId === 'alice' && l.code === 1000));
  assert.doesNotMatch(text.replace(/#token=\S+/, ''), /eyJ|v=0|candidate:/);
});

// ---- those who ask too much ----

test('too many connections of one agent or one address are refused', async () => withServer(['--dev', '--agent-connections', '2', '--address-connections', '4'], async (server) => {
  const alice = [await Client.enter(server, 'alice'), await Client.enter(server, 'alice')];
  const third = await Client.open(server.ws);
  third.send({ type: 'authenticate', token: await server.token('alice') });
  assert.equal((await third.expect('auth_error')).code, 'rate_limited');
  assert.equal((await third.closed).code, 4429);
  const others = [await Client.enter(server, 'bob'), await Client.enter(server, 'carol')];
  await assert.rejects(Client.open(server.ws), /429/);
  await Promise.all([...alice, ...others].map((c) => c.close()));
}));

test('a flood is told to wait; JSON of depth 100,000 is no message', async () => withServer(['--dev', '--rate', '10,10'], async (server) => {
  const alice = await Client.enter(server, 'alice', 'red'), bob = await Client.enter(server, 'bob', 'red');
  await alice.expect('user_joined');
  for (let i = 0; i < 20; i++) alice.send({ type: 'candidate', to: bob.id, candidate: { candidate: '', sdpMid: '0' } });
  const error = await alice.expect('error');
  assert.equal(error.code, 'rate_limited');
  assert.ok(error.retryAfterMs > 0 && error.retryAfterMs <= 1100);
  bob.send('{"a":'.repeat(10000) + '1' + '}'.repeat(10000));
  assert.equal((await within(5000, bob.closed, 'closed')).code, 4400);
  const deep = await Client.enter(server, 'deep');
  deep.send('['.repeat(100000));
  assert.equal((await within(5000, deep.closed, 'closed')).code, 4413); // larger than any message
  await alice.close();
}));

test('a thousand sockets that say nothing do not keep people out', async () => withServer(['--dev', '--request-timeout', '3', '--address-connections', '4000'], async (server) => {
  const idle = Array.from({ length: 1000 }, () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET /ws HTTP/1.1\r\nX: ');
    const drip = setInterval(() => socket.write('x'), 500);
    socket.closed_ = new Promise((resolve) => socket.on('close', () => { clearInterval(drip); resolve(); }));
    return socket;
  });
  const began = Date.now();
  const alice = await Client.enter(server, 'alice', 'red'), bob = await Client.enter(server, 'bob', 'red');
  for (let i = 0; i < 20; i++) {
    alice.send({ type: 'offer', to: bob.id, sdp });
    await bob.expect('offer');
  }
  assert.ok(Date.now() - began < 3000, 'people are served while the sockets are there');
  await within(20000, Promise.all(idle.map((s) => s.closed_)), 'all of them are dropped');
  await Promise.all([alice.close(), bob.close()]);
}));

// ---- privileges ----

test('it becomes another user once it listens', { skip: process.getuid() === 0 ? false : 'only for root' }, async () => withServer(['--dev', '--user', 'nobody'], async (server) => {
  const status = execFileSync('cat', [`/proc/${server.child.pid}/status`], { encoding: 'utf8' });
  const uid = execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).trim();
  assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, 'm'));
  await (await Client.enter(server, 'alice', 'red')).close();
}));
