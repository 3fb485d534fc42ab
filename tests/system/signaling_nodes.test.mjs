// Several servers on one Redis behave as one, and rooms in PostgreSQL outlive them: real processes, which are killed.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Client, sdp, sleep, startServer, within } from './common.mjs';

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function until(what, look, ms = 15000) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(20)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`${what}: not within ${ms} ms`);
}

// ---- redis-server: kept in memory only, so that a kill forgets everything ----

class Redis {
  static async start() {
    const redis = new Redis();
    redis.folder = mkdtempSync(join(tmpdir(), 'duet-redis-'));
    redis.port = await freePort();
    redis.url = `redis://127.0.0.1:${redis.port}`;
    await redis.run();
    return redis;
  }

  async run() {
    this.child = spawn('redis-server', ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.folder], { stdio: 'ignore' });
    this.ended = new Promise((resolve) => this.child.on('exit', resolve));
    await until('Redis answers', () => {
      try {
        return execFileSync('redis-cli', ['-p', String(this.port), 'ping'], { stdio: 'pipe' }).toString().includes('PONG');
      } catch {
        return false;
      }
    });
  }

  async kill(signal = 'SIGKILL') {
    this.child.kill(signal);
    await this.ended;
  }

  async stop() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

let redis, nodes = [];
const startNode = async (...more) => startServer(['--dev', '--redis', redis.url, '--grace', '4', '--log-level', 'info', ...more]);
const ready = (node) => until('the node is ready', async () => (await fetch(`${node.http}/readyz`)).status === 200);

before(async () => {
  redis = await Redis.start();
  nodes = await Promise.all([startNode(), startNode(), startNode()]);
  await Promise.all(nodes.map(ready));
});
after(async () => {
  for (const node of nodes) if (node.child.exitCode === null) assert.equal(await node.stop(), 0, node.child.text);
  await redis.stop();
});

const api = async (node, method, path, body) => fetch(node.http + path, {
  method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${await node.token('admin', '--perm', 'create,join,moderate')}` } });
const participants = async (node, room) => (await (await api(node, 'GET', `/api/rooms/${room}/participants`)).json()).participants;
const names = async (node, room) => ((await participants(node, room)) ?? []).map((p) => p.agentId).sort();

async function comeBack(node, sub, seat, lastSeq) {
  const client = await Client.enter(node, sub);
  client.send({ type: 'resume', resumeToken: seat.room.resumeToken, lastSeq });
  return client;
}

// One at each node. Each has heard of those who came after it.
async function three(room) {
  const people = [];
  for (const [i, name] of ['alice', 'bob', 'carol'].entries()) {
    people.push(await Client.enter(nodes[i], name, room));
    for (const earlier of people.slice(0, i)) assert.equal((await earlier.expect('user_joined')).user.agentId, name);
  }
  return people;
}

const candidate = (n) => ({ candidate: '', sdpMid: String(n) });

test('three nodes are one server: who is there, messages to everybody, one seat more than there is', async () => {
  const people = await three('one');
  for (const node of nodes) assert.deepEqual(await names(node, 'one'), ['alice', 'bob', 'carol']);
  for (const from of people) {
    for (const to of people) {
      if (from === to) continue;
      from.send({ type: 'offer', to: to.id, sdp });
      assert.equal((await to.expect('offer')).from, from.id);
    }
  }
  const room = await (await api(nodes[0], 'POST', '/api/rooms', { maxParticipants: 2 })).json();
  const racers = await Promise.all(nodes.flatMap((node) => [0, 1].map((i) => Client.enter(node, `racer${i}`))));
  for (const racer of racers) racer.send({ type: 'join_room', roomId: room.roomId });
  const answers = await Promise.all(racers.map((racer) => racer.next()));
  assert.equal(answers.filter((a) => a.type === 'room_users').length, 2);
  assert.equal(answers.filter((a) => a.code === 'room_full').length, 4);
  assert.equal((await api(nodes[1], 'DELETE', `/api/rooms/${room.roomId}`)).status, 204);
  await Promise.all(racers.filter((_, i) => answers[i].type === 'room_users').map((r) => r.closed));
  const kicked = people[2];
  assert.equal((await api(nodes[0], 'DELETE', `/api/rooms/one/participants/${kicked.id}`)).status, 204);
  assert.equal((await kicked.expect('user_left')).reason, 'kicked');
  assert.equal((await within(5000, kicked.closed, 'closed')).code, 4403);
  for (const other of people.slice(0, 2)) assert.equal((await other.expect('user_left')).id, kicked.id);
  await Promise.all([...people.slice(0, 2), ...racers].map((c) => c.close()));
});

test('a seat is taken again at another node, with what was missed', async () => {
  const [alice, bob, carol] = await three('move');
  alice.socket.terminate();
  for (let n = 0; n < 5; n++) bob.send({ type: 'candidate', to: alice.id, candidate: candidate(n) });
  const again = await comeBack(nodes[2], 'alice', alice, 3);
  for (let n = 0; n < 5; n++) assert.equal((await again.expect('candidate')).candidate.sdpMid, String(n));
  assert.equal((await again.expect('resumed')).self, alice.id);
  carol.send({ type: 'offer', to: alice.id, sdp });
  await again.expect('offer');
  assert.ok(![...bob.queue, ...carol.queue].some((m) => m.type.startsWith('user_')));
  await Promise.all([again, bob, carol].map((c) => c.close()));
});

test('a node is killed: its people come back elsewhere, or leave once after the grace period', async () => {
  const victim = await startNode();
  await ready(victim);
  const alice = await Client.enter(nodes[0], 'alice', 'killed');
  const [bob, dave] = [await Client.enter(victim, 'bob', 'killed'), await Client.enter(victim, 'dave', 'killed')];
  await alice.expect('user_joined');
  await alice.expect('user_joined');
  victim.child.kill('SIGKILL');
  await victim.child.exited;
  alice.send({ type: 'candidate', to: bob.id, candidate: candidate(7) });
  const again = await comeBack(nodes[1], 'bob', bob, 2);
  assert.equal((await again.expect('candidate')).candidate.sdpMid, '7');
  await again.expect('resumed');
  const left = await alice.next(25000); // the others notice that the node has died, then the grace period
  assert.deepEqual([left.type, left.id, left.reason], ['user_left', dave.id, 'timeout']);
  assert.equal((await again.next()).id, dave.id);
  assert.deepEqual(await names(nodes[2], 'killed'), ['alice', 'bob']);
  await sleep(1000);
  assert.deepEqual(alice.queue, []);
  await Promise.all([alice.close(), again.close()]);
});

test('Redis is killed and comes back empty: nobody is lost, nobody comes twice', async () => {
  const people = await three('reborn');
  await redis.kill();
  await until('a node is not ready', async () => (await fetch(`${nodes[0].http}/readyz`)).status === 503);
  people[0].send({ type: 'candidate', to: people[1].id, candidate: candidate(1) }); // waits for Redis
  await redis.run();
  await Promise.all(nodes.map(ready));
  assert.equal((await people[1].next(15000)).candidate.sdpMid, '1');
  await until('all are back', async () => (await names(nodes[2], 'reborn')).length === 3);
  for (const node of nodes) assert.deepEqual(await names(node, 'reborn'), ['alice', 'bob', 'carol']);
  for (const [i, from] of people.entries()) {
    const to = people[(i + 1) % 3];
    from.send({ type: 'offer', to: to.id, sdp });
    const offer = await to.next(10000);
    assert.deepEqual([offer.type, offer.from], ['offer', from.id]);
  }
  await sleep(500);
  for (const person of people) assert.deepEqual(person.queue, []); // no user_joined, no user_left
  const carol = await comeBack(nodes[0], 'carol', people[2], 2); // and their seats are theirs
  assert.equal((await carol.expect('resumed')).self, people[2].id);
  assert.equal((await people[2].closed).code, 4409);
  await Promise.all([people[0], people[1], carol].map((c) => c.close()));
});

test('SIGTERM drains a node: its people go on at another one', async () => {
  const leaving = await startNode();
  await ready(leaving);
  const alice = await Client.enter(nodes[0], 'alice', 'drain'), bob = await Client.enter(leaving, 'bob', 'drain');
  await alice.expect('user_joined');
  assert.equal(await leaving.stop(), 0);
  assert.equal((await bob.closed).code, 1001);
  const again = await comeBack(nodes[1], 'bob', bob, 1);
  await again.expect('resumed');
  alice.send({ type: 'offer', to: bob.id, sdp });
  await again.expect('offer');
  assert.deepEqual(alice.queue, []);
  await Promise.all([alice.close(), again.close()]);
});

// ---- PostgreSQL ----

const binaries = () => join('/usr/lib/postgresql', readdirSync('/usr/lib/postgresql').sort().at(-1), 'bin');

class Postgres {
  static async start() {
    const p = new Postgres();
    p.folder = mkdtempSync(join(tmpdir(), 'duet-postgres-'));
    p.data = join(p.folder, 'data');
    mkdirSync(p.data);
    chmodSync(p.folder, 0o755);
    // It does not run as root.
    p.as = process.getuid() === 0 ? ['runuser', '-u', 'postgres', '--'] : [];
    if (p.as.length) execFileSync('chown', ['-R', 'postgres', p.folder]);
    p.command('initdb', ['-D', p.data, '-A', 'trust', '-U', 'duet', '--no-sync', '-E', 'UTF8', '--locale=C']);
    p.run();
    p.url = `postgresql:///postgres?host=${p.folder}&user=duet`;
    await until('PostgreSQL answers', () => { try { return p.query('select 1') === '1'; } catch { return false; } });
    return p;
  }

  command(name, args) {
    const [program, ...rest] = [...this.as, join(binaries(), name), ...args];
    return execFileSync(program, rest, { stdio: 'pipe', cwd: '/' }).toString();
  }

  run() {
    const [program, ...rest] = [...this.as, join(binaries(), 'postgres'), '-D', this.data, '-k', this.folder, '-c', 'listen_addresses=', '-F'];
    this.child = spawn(program, rest, { stdio: 'ignore', cwd: '/' });
    this.ended = new Promise((resolve) => this.child.on('exit', resolve));
  }

  query(sql) {
    return this.command('psql', ['-X', '-A', '-t', '-q', this.url, '-c', sql]).trim();
  }

  async stop() {
    this.command('pg_ctl', ['-D', this.data, '-m', 'immediate', 'stop']);
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

test('rooms in PostgreSQL outlive servers and Redis, and what happened in them is on record', async () => {
  const postgres = await Postgres.start();
  const own = await Redis.start();
  const started = [];
  const start = async () => {
    started.push(await startServer(['--redis', own.url, '--postgres', postgres.url]));
    await ready(started.at(-1));
    return started.at(-1);
  };
  try {
    const first = [await start(), await start()];
    const room = await (await api(first[0], 'POST', '/api/rooms', { name: 'Planning', type: 'video', settings: { muteOnEntry: true } })).json();
    assert.equal((await api(first[1], 'PATCH', `/api/rooms/${room.roomId}`, { maxParticipants: 3 })).status, 200);
    const gone = await (await api(first[0], 'POST', '/api/rooms', {})).json();
    await api(first[0], 'DELETE', `/api/rooms/${gone.roomId}`);
    const alice = await Client.enter(first[1], 'alice', room.roomId);
    await alice.close();
    await until('it is on record', () => postgres.query(`select count(*) from duet_audit where room = '${room.roomId}'`) >= 4);
    for (const server of first) assert.equal(await server.stop(), 0, server.child.text);
    await own.kill();
    await own.run(); // empty
    const second = await start();
    const kept = await until('the room is there', async () => {
      const answer = await api(second, 'GET', `/api/rooms/${room.roomId}`);
      return answer.status === 200 && answer.json();
    });
    assert.deepEqual([kept.name, kept.type, kept.maxParticipants, kept.settings.muteOnEntry, kept.createdAt, kept.createdBy],
      ['Planning', 'video', 3, true, room.createdAt, 'admin']);
    assert.equal((await api(second, 'GET', `/api/rooms/${gone.roomId}`)).status, 404);
    assert.doesNotMatch(postgres.query('select * from duet_audit'), /v=0|candidate:|eyJ/);
    assert.equal(await second.stop(), 0, second.child.text);
  } finally {
    for (const server of started) server.child.kill('SIGKILL');
    await own.stop();
    await postgres.stop();
  }
});
