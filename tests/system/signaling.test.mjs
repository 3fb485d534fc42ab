// duet signal over real sockets: the protocol as its clients see it, and clients that misbehave.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { Client, sdp, secret, sleep, startServer, WebSocket, within } from './common.mjs';

let server;
// Many from one address, as fast as they can.
const roomy = ['--dev', '--mesh-limit', '32', '--grace', '1',
  ...['rate', 'agent-rate', 'address-rate', 'room-rate'].flatMap((name) => [`--${name}`, '100000,100000'])];
before(async () => { server = await startServer(roomy); });
after(async () => { assert.equal(await server.stop(), 0, server.child.text); });

const base64url = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

function jwt(header, payload, key = secret) {
  const signed = `${base64url(header)}.${base64url(payload)}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

const soon = () => Math.floor(Date.now() / 1000) + 60;

// ---- start, page, health ----

test('the first line tells where it listens, and gives a token that is good', async () => {
  assert.match(server.first.listening, /^http:\/\/127\.0\.0\.1:\d+$/);
  const client = await Client.open(server.ws);
  client.send({ type: 'authenticate', token: server.first.dev_token, id: 'a' });
  const ok = await client.expect('auth_ok');
  assert.equal(ok.id, 'a');
  assert.equal(ok.agentId, 'dev');
  assert.ok(Date.parse(ok.expiresAt) > Date.now());
  await client.close();
});

test('the page comes with a strict policy, and nothing else is served', async () => {
  const page = await fetch(`${server.http}/`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type'), /^text\/html/);
  const policy = page.headers.get('content-security-policy');
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  const html = await page.text();
  for (const [, file] of html.matchAll(/(?:src|href)="([a-z]+\.(?:js|css))"/g))
    assert.equal((await fetch(`${server.http}/${file}`)).status, 200, file);
  assert.doesNotMatch(html, /https?:\/\/(?!www\.w3\.org)/); // no resources of others
  for (const path of ['/nothing', '/../secret', '/%2e%2e/secret', '/web.h', '/app.js/'])
    assert.equal((await fetch(`${server.http}${path}`)).status, 404, path);
  assert.equal((await fetch(`${server.http}/`, { method: 'POST' })).status, 405);
  assert.deepEqual(await (await fetch(`${server.http}/healthz`)).json(), { status: 'ok' });
  assert.match(await raw('GET /../secret HTTP/1.1\r\nHost: a\r\n\r\n'), /^HTTP\/1\.1 404 Not Found\r\n/);
  const [head, body] = (await raw('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n')).split('\r\n\r\n');
  assert.match(head, new RegExp(`Content-Length: ${Buffer.byteLength(html)}`));
  assert.equal(body, '');
  const odd = await raw('GET / HTTP/1.1\r\nHost: a"; script-src *\r\n\r\n'); // nothing of it reaches the policy
  assert.doesNotMatch(odd, /script-src \*/);
});

// ---- the protocol ----

test('two meet in a room: who is there, who comes, an offer to the one it is for, who goes', async () => {
  const alice = await Client.enter(server, 'alice', 'meet');
  const bob = await Client.enter(server, 'bob', 'meet');
  const carol = await Client.enter(server, 'carol', 'meet');
  assert.deepEqual(bob.room.users.map((u) => u.agentId), ['alice', 'bob']);
  assert.equal(bob.room.users[0].role, 'owner');
  assert.equal(bob.room.topology, 'mesh');
  assert.deepEqual((await alice.expect('user_joined')).user, { id: bob.id, agentId: 'bob', role: 'participant' });
  await alice.expect('user_joined');
  await bob.expect('user_joined');
  alice.send({ type: 'offer', to: bob.id, sdp });
  const offer = await bob.expect('offer');
  assert.deepEqual(offer, { type: 'offer', from: alice.id, sdp, seq: 3 });
  bob.send({ type: 'answer', to: alice.id, sdp });
  const candidate = { candidate: 'candidate:1 1 udp 2122260223 127.0.0.1 50000 typ host', sdpMid: '0', sdpMLineIndex: 0 };
  bob.send({ type: 'candidate', to: alice.id, candidate });
  assert.equal((await alice.expect('answer')).from, bob.id);
  assert.deepEqual((await alice.expect('candidate')).candidate, candidate);
  bob.send({ type: 'leave_room', roomId: 'meet' });
  for (const client of [alice, bob, carol]) {
    const left = await client.expect('user_left');
    assert.equal(left.id, bob.id);
    assert.equal(left.reason, 'left');
  }
  await sleep(100);
  assert.equal(carol.queue.length, 0);
  await Promise.all([alice, bob, carol].map((c) => c.close()));
});

test('each seat counts its messages from 1 without gaps', async () => {
  const alice = await Client.enter(server, 'alice', 'count');
  const bob = await Client.enter(server, 'bob', 'count');
  for (let i = 0; i < 20; i++) bob.send({ type: i % 3 ? 'offer' : 'dance', to: alice.id, sdp });
  const seen = [];
  while (seen.length < 1 + Math.ceil(20 * 2 / 3) - 1) seen.push((await alice.next()).seq);
  assert.equal(alice.room.seq, 1);
  assert.deepEqual(seen, seen.map((_, i) => i + 2));
  await alice.close();
  await bob.close();
});

test('refusals have their codes and repeat the id of the request; the connection stays', async () => {
  const alice = await Client.enter(server, 'alice', 'refuse');
  const stranger = await Client.enter(server, 'mallory', 'elsewhere');
  const cases = [
    [{ type: 'offer', to: stranger.id, sdp }, 'no_such_peer'],
    [{ type: 'offer', to: alice.id, sdp }, 'no_such_peer'],
    [{ type: 'offer', to: 'nobody', sdp }, 'no_such_peer'],
    [{ type: 'offer', sdp }, 'bad_request'],
    [{ type: 'leave_room', roomId: 'elsewhere' }, 'not_in_room'],
    [{ type: 'join_room', roomId: 'a/b' }, 'bad_request'],
    [{ type: 'fly' }, 'unsupported'],
  ];
  for (const [message, code] of cases) {
    alice.send({ ...message, id: code });
    const error = await alice.expect('error');
    assert.equal(error.code, code);
    assert.equal(error.id, code);
  }
  const bob = await Client.enter(server, 'bob', 'refuse');
  await alice.expect('user_joined');
  for (const [message, code] of [
    [{ type: 'offer', to: bob.id, sdp: 'hello' }, 'bad_sdp'],
    [{ type: 'candidate', to: bob.id, candidate: { candidate: 'hello', sdpMid: '0' } }, 'bad_candidate'],
  ]) {
    alice.send(message);
    assert.equal((await alice.expect('error')).code, code);
  }
  assert.equal(bob.queue.length, 0);
  assert.equal(stranger.queue.length, 0);
  await Promise.all([alice, bob, stranger].map((c) => c.close()));
});

test('a room takes ten and then says room_full', async () => {
  const guests = [];
  for (let i = 0; i < 10; i++) guests.push(await Client.enter(server, `guest${i}`, 'full'));
  const late = await Client.enter(server, 'late');
  late.send({ type: 'join_room', roomId: 'full' });
  assert.equal((await late.expect('error')).code, 'room_full');
  await Promise.all([...guests, late].map((c) => c.close()));
});

test('a lost connection gives up the seat after the grace period, with the reason timeout', async () => {
  const alice = await Client.enter(server, 'alice', 'lost');
  const bob = await Client.enter(server, 'bob', 'lost');
  await alice.expect('user_joined');
  bob.socket.terminate();
  assert.equal((await alice.expect('user_left')).reason, 'timeout');
  await alice.close();
});

// ---- tokens ----

test('tokens that are expired, unsigned, tampered or of another key are answered with auth_error and 4401', async () => {
  const hs256 = { alg: 'HS256', typ: 'JWT' };
  const good = jwt(hs256, { sub: 'alice', exp: soon() });
  const tokens = [
    jwt(hs256, { sub: 'alice', exp: soon() - 120 }),
    jwt(hs256, { sub: 'alice' }),
    jwt({ alg: 'none' }, { sub: 'alice', exp: soon() }),
    `${base64url({ alg: 'none' })}.${base64url({ sub: 'alice', exp: soon() })}.`,
    good.replace(/.$/, (c) => (c === 'A' ? 'Q' : 'A')),
    good.replace(/\.[^.]*\./, `.${base64url({ sub: 'root', exp: soon() })}.`),
    jwt(hs256, { sub: 'alice', exp: soon() }, 'another key'),
    'nonsense',
  ];
  for (const token of tokens) {
    const client = await Client.open(server.ws);
    client.send({ type: 'authenticate', token });
    assert.equal((await client.expect('auth_error')).code, 'unauthorized');
    assert.equal((await within(2000, client.closed, 'closed')).code, 4401);
  }
  const client = await Client.open(server.ws);
  client.send({ type: 'authenticate', token: good });
  assert.equal((await client.expect('auth_ok')).agentId, 'alice');
  await client.close();
});

test('a bearer token with the upgrade authenticates; a bad one is refused', async () => {
  const good = await Client.open(server.ws, { headers: { Authorization: `Bearer ${await server.token('alice')}` } });
  await good.expect('auth_ok');
  await good.close();
  const bad = await Client.open(server.ws, { headers: { Authorization: 'Bearer x' } });
  await bad.expect('auth_error');
  assert.equal((await bad.closed).code, 4401);
});

// ---- WebSocket ----

test('the subprotocol is duet.v1 or none', async () => {
  assert.equal((await Client.open(server.ws)).socket.protocol, 'duet.v1');
  assert.equal((await Client.open(server.ws, { protocols: [] })).socket.protocol, '');
  assert.equal((await Client.open(server.ws, { protocols: ['x', 'duet.v1'] })).socket.protocol, 'duet.v1');
  await assert.rejects(Client.open(server.ws, { protocols: ['chat'] }), /400/);
});

test('what is no message ends with 4400, what is too large with 4413', async () => {
  for (const [message, error, code] of [
    ['hello', 'bad_request', 4400],
    [Buffer.from('binary'), 'bad_request', 4400],
    [JSON.stringify({ type: 'offer', to: 'x', sdp: 'x'.repeat(70000) }), 'too_large', 4413],
    [' '.repeat(5 << 20), 'too_large', 4413],
  ]) {
    const client = await Client.enter(server, 'alice');
    client.send(message);
    assert.equal((await client.expect('error')).code, error);
    assert.equal((await within(5000, client.closed, 'closed')).code, code);
  }
});

test('who says nothing is closed after five seconds, with 4408', async () => {
  const client = await Client.open(server.ws);
  const started = Date.now();
  assert.equal((await within(8000, client.closed, 'closed')).code, 4408);
  assert.ok(Math.abs(Date.now() - started - 5000) < 1500);
});

// Bytes as they are. Resolves with what came until the other side closed.
function raw(bytes, { ms = 5000, then = () => {} } = {}) {
  return within(ms, new Promise((resolve) => {
    const chunks = [];
    const socket = connect(server.port, '127.0.0.1', () => { socket.write(bytes); then(socket); });
    socket.on('data', (data) => chunks.push(data));
    socket.on('error', () => {});
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  }), 'the server closes');
}

const upgrade = (headers = {}) => `GET /ws HTTP/1.1\r\n${Object.entries({
  Host: 'localhost', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers,
}).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;

test('an unmasked frame ends with 1002', async () => {
  const answer = await raw(Buffer.concat([Buffer.from(upgrade()), Buffer.from([0x81, 0x01, 0x78])]));
  assert.match(answer, /^HTTP\/1\.1 101 /);
  assert.match(answer, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);
  assert.ok(answer.includes('\x88\x02\x03\xea'));
});

test('upgrades that are no upgrades are refused', async () => {
  assert.match(await raw(upgrade({ 'Sec-WebSocket-Version': '8' })), /^HTTP\/1\.1 426 [\s\S]*Sec-WebSocket-Version: 13/);
  assert.match(await raw(upgrade({ 'Sec-WebSocket-Key': 'short' })), /^HTTP\/1\.1 400 /);
  assert.match(await raw(upgrade({ 'Sec-WebSocket-Key': null })), /^HTTP\/1\.1 426 /);
  assert.match(await raw(upgrade({ Upgrade: 'h2c' })), /^HTTP\/1\.1 426 /);
  assert.match(await raw(upgrade({ Connection: 'close' })), /^HTTP\/1\.1 426 /);
});

test('ambiguous and foreign requests are refused', async () => {
  const post = (headers) => `POST /api/rooms HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
  assert.match(await raw(`${post('Content-Length: 2\r\nContent-Length: 2\r\n')}{}`), /^HTTP\/1\.1 400 /);
  assert.match(await raw(`${post('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n')}0\r\n\r\n`), /^HTTP\/1\.[01] 400 /);
  assert.doesNotMatch(await raw('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), / 200 /);
  assert.doesNotMatch(await raw(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20000)}\r\n\r\n`), / 200 /);
  assert.match(await raw('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'), /^HTTP\/1\.1 200 (?:(?!HTTP\/1\.1)[\s\S])*$/);
});

test('an HTTP client that sends nothing, or a byte now and then, is dropped', async () => {
  const drip = (socket) => {
    const timer = setInterval(() => socket.write('x'), 1000);
    socket.on('close', () => clearInterval(timer));
  };
  await Promise.all([
    raw('', { ms: 15000 }),
    raw('GET / HTTP/1.1\r\nHost: a\r\nX: ', { ms: 15000, then: drip }),
  ]);
});

test('who does not read is cut off, and the others go on', async () => {
  const alice = await Client.enter(server, 'alice', 'slow');
  const sleeper = await Client.enter(server, 'sleeper', 'slow');
  await alice.expect('user_joined');
  sleeper.socket._socket.pause();
  const big = sdp + `a=x-filler:${'x'.repeat(15000)}\r\n`.repeat(3);
  let left = null;
  for (let i = 0; i < 3000 && !left; i++) {
    alice.send({ type: 'offer', to: sleeper.id, sdp: big });
    if (i % 20 === 0) await sleep(5);
    left = alice.queue.find((m) => m.type === 'user_left');
  }
  for (let i = 0; i < 500 && !left; i++) {
    await sleep(20); // the grace period
    left = alice.queue.find((m) => m.type === 'user_left');
  }
  assert.equal(left?.reason, 'timeout');
  assert.equal(alice.socket.readyState, WebSocket.OPEN);
  sleeper.socket.terminate();
  await alice.close();
});

// ---- REST ----

test('rooms over REST: created, joined with their token, closed for everybody', async () => {
  const token = await server.token('alice', '--perm', 'create,join');
  const api = (method, path, body) => fetch(server.http + path, {
    method, headers: { Authorization: `Bearer ${token}` }, body: body && JSON.stringify(body) });
  const created = await api('POST', '/api/rooms', { name: 'Planning', maxParticipants: 2 });
  assert.equal(created.status, 201);
  const room = await created.json();
  assert.equal(created.headers.get('location'), `/api/rooms/${room.roomId}`);
  const ticket = await (await api('POST', `/api/rooms/${room.roomId}/join`)).json();
  assert.equal(ticket.url, server.ws);
  const client = await Client.open(ticket.url);
  client.send({ type: 'authenticate', token: ticket.token });
  await client.expect('auth_ok');
  client.send({ type: 'join_room', roomId: room.roomId });
  assert.equal((await client.expect('room_users')).users[0].role, 'owner');
  const { participants } = await (await api('GET', `/api/rooms/${room.roomId}/participants`)).json();
  assert.deepEqual(participants.map((p) => p.agentId), ['alice']);
  assert.equal((await api('DELETE', `/api/rooms/${room.roomId}`)).status, 204);
  assert.equal((await client.expect('user_left')).reason, 'closed');
  assert.equal((await client.closed).code, 4403);
  const missing = await api('GET', `/api/rooms/${room.roomId}`);
  assert.equal(missing.status, 404);
  assert.equal(missing.headers.get('content-type'), 'application/problem+json');
  assert.equal((await missing.json()).status, 404);
  const nobody = await fetch(`${server.http}/api/rooms`);
  assert.equal(nobody.status, 401);
  assert.equal(nobody.headers.get('www-authenticate'), 'Bearer');
});

// ---- other servers ----

test('without --dev there is no token in the output, and rooms must be made first', async () => {
  const strict = await startServer([]);
  assert.equal(strict.first.dev_token, undefined);
  const client = await Client.enter(strict, 'alice');
  client.send({ type: 'join_room', roomId: 'red' });
  assert.equal((await client.expect('error')).code, 'not_found');
  await client.close();
  assert.equal(await strict.stop(), 0);
});

test('SIGTERM says 1001 to everybody and exits 0', async () => {
  const other = await startServer();
  const client = await Client.enter(other, 'alice', 'red');
  const [code] = await Promise.all([other.stop(), client.closed]);
  assert.equal(code, 0);
  assert.equal((await client.closed).code, 1001);
});

test('room_users tells the ICE servers that the server was given', async () => {
  const servers = [{ urls: ['turn:192.0.2.1:3478'], username: 'u', credential: 'p' }];
  const other = await startServer(['--dev', '--ice-servers', JSON.stringify(servers)]);
  const client = await Client.enter(other, 'alice', 'red');
  assert.deepEqual(client.room.iceServers, servers);
  await client.close();
  await other.stop();
});
