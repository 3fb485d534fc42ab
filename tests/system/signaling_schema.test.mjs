// What docs/signaling.schema.json and docs/openapi.json say is what the server does: every message of a session with a real one is
// validated, both ways, and every response of the REST interface. What the server sends may have no member that is not there.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Client, root, sdp, secret, startServer, within } from './common.mjs';

const require = createRequire(join(root, 'tests/interop/package.json'));
const Ajv = require('ajv/dist/2020').default;
const schema = JSON.parse(readFileSync(join(root, 'docs/signaling.schema.json')));
const openapi = JSON.parse(readFileSync(join(root, 'docs/openapi.json')));

const ajv = new Ajv({
  allErrors: true,
  strict: true, strictTypes: false, strictRequired: false, // conditions name members of the schema around them
  formats: {
    'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
    uri: (text) => URL.canParse(text),
  },
});
ajv.addSchema(schema);
ajv.addSchema({ $id: 'urn:duet:openapi', components: { schemas: openapi.components.schemas } }, undefined, false, false);
for (const word of ['components', 'x-permission', 'example']) ajv.addKeyword(word);
const messages = (name) => ajv.getSchema(`${schema.$id}#/$defs/${name}`);
const toServer = messages('toServer'), toClient = messages('toClient');
const toServerCompat = messages('toServerCompat'), toClientCompat = messages('toClientCompat');

// ---- a client whose messages are all looked at ----

const said = [], heard = [], wrong = [];

function check(validate, message, list) {
  list.push(message);
  if (!validate(message)) wrong.push(`${JSON.stringify(message).slice(0, 400)}: ${ajv.errorsText(validate.errors)}`);
}

class Checked extends Client {
  constructor(url, options = {}) {
    super(url, options);
    this.compat = options.protocols?.includes('duet.compat') ?? false;
    this.socket.on('message', (data) => check(this.compat ? toClientCompat : toClient, JSON.parse(data), heard));
  }

  send(message) {
    check(this.compat ? toServerCompat : toServer, message, said);
    super.send(message);
  }

  // What no schema allows.
  misbehave(message) {
    assert.ok(typeof message === 'string' || !toServer(message), JSON.stringify(message));
    super.send(message);
  }

  async refused(code) {
    const error = await this.expect('error');
    assert.equal(error.code, code);
    return error;
  }

  static async open(url, options) {
    const client = new Checked(url, options);
    await within(5000, client.opened, 'the WebSocket opens');
    return client;
  }

  static async enter(server, sub, room, ...claims) {
    const client = await Checked.open(server.ws);
    client.send({ type: 'authenticate', token: await server.token(sub, '--perm', 'create,join', ...claims), id: `auth ${sub}` });
    await client.expect('auth_ok');
    if (!room) return client;
    client.send({ type: 'join_room', roomId: room, id: `join ${sub}` });
    client.room = await client.expect('room_users');
    client.id = client.room.self;
    return client;
  }
}

let server, folder;
const turnUrl = 'turn:127.0.0.1:3478?transport=udp';
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'duet-schema-'));
  writeFileSync(join(folder, 'turn'), `${secret}\n`, { mode: 0o600 });
  server = await startServer(['--dev', '--mesh-limit', '2', '--grace', '2', '--skew', '1', '--agent-connections', '3', '--rate', '50,50',
    '--turn-url', turnUrl, '--turn-secret', join(folder, 'turn'), '--ice-servers', '[{"urls":"stun:127.0.0.1:3478"}]']);
});
after(async () => {
  assert.equal(await server.stop(), 0, server.child.text);
  rmSync(folder, { recursive: true });
});

const candidate = { candidate: 'candidate:1 1 udp 2122260223 127.0.0.1 50000 typ host', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'abcd' };
const noMessagesAreWrong = () => assert.deepEqual(wrong, []);

// ---- the WebSocket ----

test('people meet, speak, and are told why not when they may not', async () => {
  const alice = await Checked.enter(server, 'alice', 'red'), bob = await Checked.enter(server, 'bob', 'red');
  await alice.expect('user_joined');
  let seq = 0;
  for (const [message, type] of [
    [{ type: 'offer', sdp }, 'offer'], [{ type: 'candidate', candidate }, 'candidate'],
    [{ type: 'candidate', candidate: { candidate: '' } }, 'candidate'], [{ type: 'discover' }, 'discover']]) {
    alice.send({ ...message, to: bob.id, seq: ++seq });
    await bob.expect(type);
  }
  bob.send({ type: 'answer', to: alice.id, sdp, id: 'answer 1' });
  bob.send({ type: 'manual', to: alice.id, manual: { tools: [] } });
  await alice.expect('answer');
  await alice.expect('manual');

  for (const [message, code] of [
    [{ type: 'offer', to: 'nobody', sdp, id: 'x' }, 'no_such_peer'],
    [{ type: 'offer', to: bob.id, sdp: 'hello', id: 'x' }, 'bad_sdp'],
    [{ type: 'candidate', to: bob.id, candidate: { candidate: 'hello', sdpMid: '0' } }, 'bad_candidate'],
    [{ type: 'leave', roomId: 'blue' }, 'not_in_room'],
    [{ type: 'join', roomId: 'red' }, 'bad_request']]) {
    alice.send(message);
    assert.equal((await alice.refused(code)).id, message.id);
  }
  for (const [message, code] of [[{ type: 'offer', sdp }, 'bad_request'], [{ type: 'candidate', to: bob.id }, 'bad_candidate'],
    [{ type: 'fly' }, 'unsupported'], [{ type: 'leave_room', roomId: 'a/b' }, 'bad_request'], [{ type: 'manual', to: bob.id }, 'bad_request']]) {
    alice.misbehave(message);
    await alice.refused(code);
  }
  alice.send({ type: 'authenticate', token: await server.token('alice'), id: 'again' });
  assert.ok((await alice.expect('auth_ok')).seq > 1);
  for (let i = 0; i < 60; i++) alice.send({ type: 'candidate', to: bob.id, candidate: { candidate: '' } });
  assert.ok((await alice.refused('rate_limited')).retryAfterMs > 0);
  bob.send({ type: 'leave_room', roomId: 'red' });
  while ((await bob.next()).type !== 'user_left') continue; // candidates before it
  bob.send({ type: 'offer', to: alice.id, sdp });
  assert.equal((await bob.refused('not_in_room')).seq, undefined);
  await Promise.all([alice.close(), bob.close()]);
  noMessagesAreWrong();
});

test('who may not come in is told why', async () => {
  const guest = await Checked.enter(server, 'guest');
  for (const [message, code] of [
    [{ type: 'join_room', roomId: 'red', token: 'nonsense', id: 'j' }, 'unauthorized'],
    [{ type: 'join_room', roomId: 'red', token: await server.token('other', '--room', 'red') }, 'forbidden'],
    [{ type: 'join_room', roomId: 'red', token: await server.token('guest', '--room', 'blue') }, 'forbidden'],
    [{ type: 'resume', resumeToken: 'nonsense', lastSeq: 3, id: 'r' }, 'not_found']]) {
    guest.send(message);
    assert.equal((await guest.refused(code)).id, message.id);
  }
  guest.misbehave({ type: 'resume', lastSeq: -1 });
  await guest.refused('bad_request');
  await guest.close();
  const bad = await Checked.open(server.ws);
  bad.send({ type: 'authenticate', token: 'nonsense', id: 'bad' });
  assert.equal((await bad.expect('auth_error')).id, 'bad');
  assert.equal((await bad.closed).code, 4401);
  const large = await Checked.enter(server, 'large');
  large.misbehave(JSON.stringify({ type: 'offer', to: 'x', sdp: 'x'.repeat(70000) }));
  await large.refused('too_large');
  assert.equal((await large.closed).code, 4413);
  const strange = await Checked.enter(server, 'strange');
  strange.misbehave('hello');
  await strange.refused('bad_request');
  assert.equal((await strange.closed).code, 4400);
  const many = [await Checked.enter(server, 'many'), await Checked.enter(server, 'many'), await Checked.enter(server, 'many')];
  const late = await Checked.open(server.ws);
  late.send({ type: 'authenticate', token: await server.token('many') });
  assert.equal((await late.expect('auth_error')).code, 'rate_limited');
  assert.equal((await late.closed).code, 4429);
  await Promise.all(many.map((c) => c.close()));
  noMessagesAreWrong();
});

test('a room grows beyond a mesh when an SFU serves it, and shrinks again', async () => {
  const alice = await Checked.enter(server, 'alice', 'wide'), bob = await Checked.enter(server, 'bob', 'wide');
  await alice.expect('user_joined');
  const carol = await Checked.enter(server, 'carol');
  carol.send({ type: 'join_room', roomId: 'wide' });
  await carol.refused('room_full');
  const sfu = await Checked.enter(server, 'sfu', 'wide', '--room', 'wide', '--role', 'sfu');
  for (const client of [alice, bob]) await client.expect('user_joined');
  assert.equal(sfu.room.topology, 'mesh');
  carol.send({ type: 'join_room', roomId: 'wide' });
  const wide = await carol.expect('room_users');
  assert.deepEqual([wide.topology, wide.sfu], ['sfu', sfu.id]);
  for (const client of [alice, bob, sfu]) {
    await client.expect('user_joined');
    const topology = await client.expect('topology');
    assert.deepEqual([topology.topology, topology.sfu], ['sfu', sfu.id]);
  }
  carol.send({ type: 'leave_room' });
  for (const client of [alice, bob, sfu]) {
    await client.expect('user_left');
    assert.equal((await client.expect('topology')).topology, 'mesh');
  }
  await Promise.all([alice, bob, carol, sfu].map((c) => c.close()));
  noMessagesAreWrong();
});

test('a seat is taken again after its connection broke, and is given up for the five reasons', async () => {
  const alice = await Checked.enter(server, 'alice', 'back'), bob = await Checked.enter(server, 'bob', 'back');
  await alice.expect('user_joined');
  bob.send({ type: 'answer', to: alice.id, sdp, seq: 7 });
  await alice.expect('answer');
  bob.socket.terminate();
  await bob.closed;
  alice.send({ type: 'offer', to: bob.id, sdp });
  const again = await Checked.enter(server, 'bob');
  again.send({ type: 'resume', resumeToken: bob.room.resumeToken, lastSeq: 1, id: 'back' });
  assert.equal((await again.expect('offer')).seq, 2);
  const resumed = await again.expect('resumed');
  assert.deepEqual([resumed.id, resumed.self, resumed.received, resumed.seq], ['back', bob.id, 7, 3]);
  const twice = await Checked.enter(server, 'bob');
  twice.send({ type: 'resume', resumeToken: bob.room.resumeToken, lastSeq: 3 });
  await twice.expect('resumed');
  assert.equal((await again.closed).code, 4409);
  twice.socket.terminate();
  assert.equal((await alice.expect('user_left')).reason, 'timeout');

  const brief = await Checked.enter(server, 'brief', 'back', '--ttl', '2');
  await alice.expect('user_joined');
  const expired = await brief.expect('auth_error');
  assert.deepEqual([expired.code, expired.seq], ['unauthorized', undefined]); // a last word has no number
  assert.equal((await brief.closed).code, 4401);
  assert.equal((await alice.expect('user_left')).reason, 'expired');

  const headers = { Authorization: `Bearer ${await server.token('mod', '--perm', 'moderate')}` };
  const kicked = await Checked.enter(server, 'kicked', 'back');
  await alice.expect('user_joined');
  assert.equal((await fetch(`${server.http}/api/rooms/back/participants/${kicked.id}`, { method: 'DELETE', headers })).status, 204);
  assert.equal((await kicked.expect('user_left')).reason, 'kicked');
  assert.equal((await kicked.closed).code, 4403);
  await alice.expect('user_left');
  assert.equal((await fetch(`${server.http}/api/rooms/back`, { method: 'DELETE', headers })).status, 204);
  assert.equal((await alice.expect('user_left')).reason, 'closed');
  assert.equal((await alice.closed).code, 4403);
  noMessagesAreWrong();
});

test('the compatibility dialect has its own names', async () => {
  const old = await Checked.open(server.ws, { protocols: ['duet.compat'] });
  old.send({ type: 'join', roomId: 'old', token: await server.token('old') });
  await old.expect('auth_ok');
  const { self } = await old.expect('room_users');
  const alice = await Checked.enter(server, 'alice', 'old');
  await old.expect('joined');
  for (const [message, type] of [[{ type: 'offer', sdp }, 'offer'], [{ type: 'answer', sdp }, 'answer'], [{ type: 'candidate', candidate }, 'candidate']]) {
    old.send(message);
    assert.equal((await alice.expect(type)).from, self);
    alice.send({ ...message, to: self });
    await old.expect(`get${type[0].toUpperCase()}${type.slice(1)}`);
  }
  await alice.close();
  await old.expect('user_exit');
  await old.close();
  noMessagesAreWrong();
});

// ---- REST ----

const responses = new Set();

// One call; its response must be one that the document has for this operation.
async function call(method, template, { token, body, headers = {}, raw, at = server, ...ids } = {}) {
  const path = template.replace(/\{(\w+)\}/g, (_, name) => ids[name]);
  const response = await fetch(at.http + path, {
    method, body: raw ?? (body && JSON.stringify(body)), headers: { ...(token && { Authorization: `Bearer ${token}` }), ...headers } });
  const operation = openapi.paths[template][method.toLowerCase()];
  const found = operation ? operation.responses[response.status] : response.status === 405 && { $ref: '#/components/responses/MethodNotAllowed' };
  assert.ok(found, `${method} ${template} has no ${response.status}`);
  const documented = found.$ref ? openapi.components.responses[found.$ref.split('/').pop()] : found;
  for (const [name, header] of Object.entries(documented.headers ?? {}))
    if (response.status !== 429 || name !== 'Retry-After') assert.ok(response.headers.get(name), `${name}: ${header.description}`);
  responses.add(response.status);
  const text = await response.text();
  const type = response.headers.get('content-type')?.split(';')[0];
  if (!documented.content) return { response, text };
  assert.ok(documented.content[type], `${method} ${template} ${response.status}: ${type}`);
  if (!type.endsWith('json')) return { response, text };
  const name = documented.content[type].schema.$ref.split('/').pop();
  const value = JSON.parse(text), validate = ajv.getSchema(`urn:duet:openapi#/components/schemas/${name}`);
  assert.ok(validate(value), `${method} ${template}: ${text}: ${ajv.errorsText(validate.errors)}`);
  assert.ok(!validate({ ...value, more: 1 }), `${name} allows any member`);
  return { response, value };
}

test('the REST interface answers as its document says', async () => {
  const token = await server.token('alice', '--perm', 'create,join'), other = await server.token('bob', '--perm', 'join');
  const rooms = '/api/rooms', room = '/api/rooms/{roomId}';
  const settings = { muteOnEntry: true, allowRecording: true, maxDuration: 60 };
  const { value: made, response } = await call('POST', rooms, { token, body: { name: 'Planning', type: 'video', maxParticipants: 4, settings } });
  const { roomId } = made;
  assert.equal(response.headers.get('location'), `/api/rooms/${roomId}`);
  assert.deepEqual([made.settings, made.type, made.createdBy], [settings, 'video', 'alice']);
  await call('POST', rooms, { token });
  const alice = await Checked.enter(server, 'alice', roomId);
  assert.ok((await call('GET', rooms, { token })).value.rooms.some((r) => r.roomId === roomId && r.participantCount === 1));
  assert.equal((await call('GET', room, { token, roomId })).value.participants[0].id, alice.id);
  assert.equal((await call('PATCH', room, { token, roomId, body: { name: 'Done', settings: { maxDuration: 0 } } })).value.name, 'Done');
  assert.equal((await call('GET', `${room}/participants`, { token, roomId })).value.participants[0].role, 'owner');
  const { value: ticket } = await call('POST', `${room}/join`, { token: other, roomId });
  assert.equal(ticket.url, server.ws);
  const { value: turn } = await call('POST', '/api/turn-credentials', { token });
  assert.deepEqual(turn.urls, [turnUrl]);
  assert.deepEqual(alice.room.iceServers.map((s) => s.urls), turn.iceServers.map((s) => s.urls));

  assert.equal((await call('POST', rooms, { token, body: { type: 'smell' } })).response.status, 400);
  assert.equal((await call('POST', rooms, { token, raw: 'hello' })).response.status, 400);
  assert.equal((await call('GET', rooms)).response.status, 401);
  assert.equal((await call('POST', rooms, { token: other })).response.status, 403);
  assert.equal((await call('PATCH', room, { token: other, roomId, body: {} })).response.status, 403);
  assert.equal((await call('GET', rooms, { token: ticket.token })).response.status, 403);
  assert.equal((await call('GET', rooms, { token, headers: { Origin: 'https://evil.example' } })).response.status, 403);
  for (const [method, path] of [['GET', room], ['PATCH', room], ['DELETE', room], ['GET', `${room}/participants`], ['POST', `${room}/join`]])
    assert.equal((await call(method, path, { token, roomId: 'nowhere', ...(method === 'PATCH' && { body: {} }) })).response.status, 404);
  const participantId = 'x'.repeat(22);
  assert.equal((await call('DELETE', `${room}/participants/{participantId}`, { token, roomId, participantId })).response.status, 404);
  assert.equal((await call('DELETE', rooms, { token })).response.status, 405);
  assert.equal((await call('POST', rooms, { token, raw: ' '.repeat(20000) })).response.status, 413);

  assert.equal((await call('DELETE', `${room}/participants/{participantId}`, { token, roomId, participantId: alice.id })).response.status, 204);
  assert.equal((await call('DELETE', room, { token, roomId })).response.status, 204);
  await alice.closed;
  await call('GET', '/healthz');
  await call('GET', '/readyz');
  assert.match((await call('GET', '/metrics')).text, /^duet_signaling_connections /m);
  assert.equal((await call('GET', '/ws')).response.status, 426);
  noMessagesAreWrong();
});

test('who asks too often is told when to ask again', async () => {
  const strict = await startServer(['--dev', '--agent-rate', '1,2']);
  try {
    const token = await strict.token('alice');
    for (let i = 0; i < 2; i++) await call('GET', '/api/rooms', { token, at: strict });
    const { response } = await call('GET', '/api/rooms', { token, at: strict });
    assert.equal(response.status, 429);
    assert.ok(Number(response.headers.get('retry-after')) >= 1);
    assert.equal((await call('POST', '/api/turn-credentials', { token: await strict.token('bob'), at: strict })).response.status, 404);
  } finally {
    assert.equal(await strict.stop(), 0);
  }
});

// ---- what has been seen ----

const types = (definition) => schema.$defs[definition].oneOf.flatMap(({ $ref }) => {
  const { type } = schema.$defs[$ref.split('/').pop()].properties;
  return type.enum ?? [type.const];
});
const seen = (list, member) => new Set(list.map((m) => m[member]));

test('every message of the schema has been said and heard, with every code and reason', () => {
  assert.deepEqual([...types('toServer')].filter((t) => !seen(said, 'type').has(t)), []);
  assert.deepEqual([...types('toClient'), ...types('toClientCompat')].filter((t) => !seen(heard, 'type').has(t)), []);
  const codes = schema.$defs.errorCode.enum.filter((code) => code !== 'room_closed'); // kept for clients of other servers
  assert.deepEqual(codes.filter((c) => !seen(heard, 'code').has(c)), []);
  assert.deepEqual(schema.$defs.leaveReason.enum.filter((r) => !seen(heard, 'reason').has(r)), []);
  for (const status of [200, 201, 204, 400, 401, 403, 404, 405, 413, 426, 429]) assert.ok(responses.has(status), `${status}`);
});

test('a member that is not documented, one that is missing, or a name of the other dialect would be noticed', () => {
  for (const message of heard) {
    const validate = toClient(message) ? toClient : toClientCompat;
    assert.ok(validate(message));
    assert.ok(!validate({ ...message, more: 1 }), JSON.stringify(message));
    for (const name of ['type', ...(message.type === 'room_users' ? ['self', 'users', 'resumeToken', 'seq'] : [])]) {
      const { [name]: _, ...rest } = message;
      assert.ok(!validate(rest), `${message.type} without ${name}`);
    }
  }
  const joined = heard.find((m) => m.type === 'user_joined');
  assert.ok(!toClient({ ...joined, user: { ...joined.user, more: 1 } }));
  assert.ok(!toClient({ ...joined, type: 'joined' }) && toClientCompat({ ...joined, type: 'joined' }));
  assert.ok(!toServer({ type: 'offer', sdp }) && toServerCompat({ type: 'offer', sdp }));
});
