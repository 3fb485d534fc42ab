// duet utcp: executables and an HTTP endpoint as tools, called over WebRTC through a real room server.
import assert from 'node:assert/strict';
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { duet, sleep, start, startServer, tool, within } from './common.mjs';

const local = process.env.DUET_NETNS ? [] : ['--bind', '127.0.0.1'];
const folder = mkdtempSync(join(tmpdir(), 'duet-utcp-'));
let server, http;

before(async () => {
  server = await startServer();
  http = createServer((request, response) => {
    let body = '';
    request.on('data', (data) => { body += data; });
    request.on('end', () => {
      if (request.url === '/broken') { response.writeHead(500); return response.end('no'); }
      if (request.url === '/silent') return undefined;
      response.setHeader('Content-Type', 'application/json');
      return response.end(JSON.stringify({ sum: JSON.parse(body).numbers.reduce((a, b) => a + b, 0), key: request.headers['x-key'] }));
    });
  });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  http.closeAllConnections();
  http.close();
  assert.equal(await server.stop(), 0, server.child.text);
  rmSync(folder, { recursive: true, force: true });
});

function program(name, text) {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), 0o755);
  return [`./${name}`];
}

function provider(name, members) {
  const path = join(folder, `${name}.json`);
  writeFileSync(path, JSON.stringify({ name, provider_type: 'webrtc', signaling_server: server.ws, ...members }));
  return path;
}

let files = 0;
async function serve(peerId, tools, ...args) {
  const path = join(folder, `tools-${++files}.json`);
  writeFileSync(path, JSON.stringify({ tools }));
  const child = duet('utcp', 'serve', '--tools', path, '--peer-id', peerId, '--signal', server.ws, '--secret', server.file, '--json',
    ...local, ...args);
  await child.line((line) => line.includes('"ready"'));
  return child;
}

async function stop(child) {
  child.kill('SIGTERM');
  assert.equal(await within(10000, child.exited, 'it ends'), 0, child.text);
}

function begin(way, ...args) {
  return duet('utcp', way, ...args, '--secret', server.file, ...local);
}

async function call(file, name, inputs, ...args) {
  const child = begin('call', file, name, JSON.stringify(inputs), '--json', ...args);
  const exitCode = await within(60000, child.exited, 'the call');
  const lines = child.lines.map((line) => JSON.parse(line));
  return { exitCode, err: child.text, items: lines.filter((l) => l.type === 'item').map((l) => l.output), ...lines.find((l) => l.type === 'result') };
}

const number = { type: 'integer' };
const object = (properties, required) => ({ type: 'object', properties, required });

// ---- the example of the provider's description ----

const syncChanges = {
  name: 'sync_changes',
  description: 'Synchronize document changes with peers',
  inputs: object({
    document_id: { type: 'string', description: 'ID of the document being edited' },
    changes: {
      type: 'array',
      description: 'List of changes to apply',
      items: {
        type: 'object',
        properties: { op: { type: 'string', enum: ['insert', 'delete', 'replace'] }, path: { type: 'string' }, value: { type: 'string' } },
      },
    },
    revision: { type: 'integer', description: 'Current revision number' },
  }, ['document_id', 'changes', 'revision']),
  outputs: object({
    success: { type: 'boolean', description: 'Whether the changes were applied' },
    new_revision: { type: 'integer', description: 'New revision number' },
    conflicts: { type: 'array', description: 'Conflicts that occurred, if any' },
  }),
};

// Keeps a document in a file: who edits an old revision may only touch what nobody else has touched since.
const documentProgram = `#!/usr/bin/env python3
import fcntl, json, os, sys
inputs = json.load(sys.stdin)
lock = open('document.lock', 'w')
fcntl.flock(lock, fcntl.LOCK_EX)
name = 'document-' + inputs['document_id'] + '.json'
document = json.load(open(name)) if os.path.exists(name) else {'revision': 0, 'lines': {}, 'touched': {}}
def conflict(change):
    path, there = change['path'], change['path'] in document['lines']
    if document['touched'].get(path, 0) > inputs['revision']:
        return 'changed since'
    if change['op'] == 'insert' and there:
        return 'exists'
    return None if there or change['op'] == 'insert' else 'missing'
conflicts = [dict(change, reason=conflict(change)) for change in inputs['changes'] if conflict(change)]
if not conflicts:
    document['revision'] += 1
    for change in inputs['changes']:
        if change['op'] == 'delete':
            del document['lines'][change['path']]
        else:
            document['lines'][change['path']] = change['value']
        document['touched'][change['path']] = document['revision']
    json.dump(document, open(name, 'w'))
json.dump({'success': not conflicts, 'new_revision': document['revision'], 'conflicts': conflicts}, sys.stdout)
`;

test('two editors share a document: changes, revisions, conflicts', async () => {
  const editing = await serve('doc-server-456', [{ ...syncChanges, command: program('document', documentProgram) }], '--channel', 'document');
  const file = provider('document_collaboration', { peer_id: 'doc-server-456', data_channel_name: 'document' });
  const sync = (revision, ...changes) => call(file, 'sync_changes', { document_id: 'plan', changes, revision });
  const insert = { op: 'insert', path: '/1', value: 'Grüße' };

  assert.deepEqual((await sync(0, insert)).output, { success: true, new_revision: 1, conflicts: [] });
  assert.deepEqual((await sync(1, { op: 'replace', path: '/1', value: 'Gruß' })).output, { success: true, new_revision: 2, conflicts: [] });
  const late = await sync(1, { op: 'delete', path: '/1' });
  assert.deepEqual(late.output, { success: false, new_revision: 2, conflicts: [{ op: 'delete', path: '/1', reason: 'changed since' }] });
  assert.deepEqual((await sync(2, { op: 'delete', path: '/1' }, { op: 'insert', path: '/2', value: '' })).output.new_revision, 3);
  assert.deepEqual(JSON.parse(readFileSync(join(folder, 'document-plan.json'))).lines, { '/2': '' });

  const wrong = await sync(3, { op: 'move', path: '/2' });
  assert.equal(wrong.exitCode, 1);
  assert.equal(wrong.code, 'invalid_inputs');
  assert.match(wrong.message, /^\/changes\/0\/op: enum/);
  assert.match((await call(file, 'sync_changes', { document_id: 'plan' })).message, /required: there is no "changes"/);
  await stop(editing);
});

// ---- executables ----

const tools = () => [
  { name: 'echo', description: 'The inputs', command: ['cat'] },
  { name: 'environment', command: program('environment', '#!/bin/sh\nenv | sed "s/.*/\\"&\\"/" | paste -sd, | sed "s/.*/[&]/"\n') },
  { name: 'count', stream: true, inputs: object({ to: number }, ['to']), outputs: number,
    command: program('count', '#!/usr/bin/env python3\nimport json, sys, time\nfor i in range(json.load(sys.stdin)["to"]):\n    print(i + 1, flush=True)\n    time.sleep(0.02)\n') },
  { name: 'fail', command: program('fail', '#!/bin/sh\nexit 3\n') },
  { name: 'die', command: program('die', '#!/bin/sh\nkill -9 $$\n') },
  { name: 'nonsense', command: ['echo', 'no JSON'] },
  { name: 'quiet', command: ['true'] },
  { name: 'missing', command: ['./is-not-here'] },
  { name: 'sleep', timeout: 1, command: program('sleeper', '#!/bin/sh\necho $$ > pid\nsleep 600 &\nsleep 600\n') },
  { name: 'linger', command: program('linger', '#!/bin/sh\nsleep 600 &\necho $! > lingering\necho 7\n') },
  { name: 'flood', command: ['sh', '-c', 'yes 1234567890'] },
  { name: 'sum', inputs: object({ numbers: { type: 'array', items: { type: 'number' } } }, ['numbers']),
    http: { url: `http://127.0.0.1:${http.address().port}/sum`, headers: { 'X-Key': '${UTCP_TEST_KEY}' } } },
  { name: 'broken', http: { url: `http://127.0.0.1:${http.address().port}/broken` } },
  { name: 'silent', timeout: 1, http: { url: `http://127.0.0.1:${http.address().port}/silent` } },
];

const isAlive = (pid) => { try { process.kill(pid, 0); return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '); } catch { return false; } };
const gone = async (file) => {
  const pid = Number(readFileSync(join(folder, file), 'utf8'));
  for (let i = 0; i < 100 && isAlive(pid); i++) await sleep(50);
  assert.ok(!isAlive(pid), file);
};

test('executables and an HTTP endpoint answer, and fail in every way', async (t) => {
  process.env.UTCP_TEST_KEY = 'a-key';
  const serving = await serve('tools-1', tools());
  const file = provider('tools', { peer_id: 'tools-1' });

  await t.test('inputs come back, also large ones', async () => {
    assert.deepEqual((await call(file, 'echo', { a: [1, 'ä', null] })).output, { a: [1, 'ä', null] });
    const path = join(folder, 'large.json'), text = JSON.stringify({ text: '"\\ä'.repeat(1200000) });
    writeFileSync(path, text);
    const input = openSync(path, 'r');
    const child = start(tool, ['utcp', 'call', file, 'echo', '-', '--secret', server.file, ...local], { stdio: [input, 'pipe', 'pipe'] });
    assert.equal(await within(60000, child.exited, 'the call'), 0, child.text);
    closeSync(input);
    assert.ok(child.lines[0] === text, `${child.lines[0].length} of ${text.length} characters`);
  });
  await t.test('the environment holds no secrets', async () => {
    const { output } = await call(file, 'environment', {});
    assert.ok(output.includes('UTCP_TOOL=environment'));
    assert.ok(!output.some((line) => line.includes('a-key') || line.startsWith('DUET')));
  });
  await t.test('a stream comes item by item, or in one piece', async () => {
    assert.deepEqual((await call(file, 'count', { to: 5 }, '--stream')).items, [1, 2, 3, 4, 5]);
    assert.deepEqual((await call(file, 'count', { to: 3 })).output, [1, 2, 3]);
  });
  await t.test('what goes wrong is told', async () => {
    for (const [name, code, message] of [['fail', 'failed', /exit code 3/], ['die', 'failed', /signal 9/], ['nonsense', 'invalid_output', /JSON/],
      ['quiet', 'invalid_output', /no output/], ['missing', 'failed', /No such file/], ['nobody', 'not_found', /no such tool/],
      ['flood', 'too_large', /too large/], ['broken', 'failed', /status 500/]]) {
      const result = await call(file, name, {});
      assert.equal(result.code, code, `${name}: ${result.err}`);
      assert.match(result.message, message);
    }
  });
  await t.test('a tool that takes too long is killed with its children', async () => {
    const started = Date.now();
    assert.equal((await call(file, 'sleep', {})).code, 'timeout');
    assert.ok(Date.now() - started < 10000);
    await gone('pid');
    assert.equal((await call(file, 'silent', {})).code, 'timeout');
  });
  await t.test('what a tool leaves behind is killed', async () => {
    assert.equal((await call(file, 'linger', {})).output, 7);
    await gone('lingering');
  });
  await t.test('a caller that goes takes its tool along', async () => {
    const slow = join(folder, 'pid');
    rmSync(slow, { force: true });
    const child = begin('call', file, 'sleep', '{}');
    for (let i = 0; i < 200; i++) { try { if (readFileSync(slow, 'utf8').trim()) break; } catch { await sleep(20); } }
    child.kill('SIGTERM');
    await child.exited;
    await gone('pid');
  });
  await t.test('an HTTP endpoint gets the inputs and its headers', async () => {
    assert.deepEqual((await call(file, 'sum', { numbers: [1, 2, 3.5] })).output, { sum: 6.5, key: 'a-key' });
  });
  await t.test('many callers at once', async () => {
    const results = await Promise.all(Array.from({ length: 6 }, (_, i) => call(file, 'echo', { i })));
    assert.deepEqual(results.map((r) => r.output?.i), [0, 1, 2, 3, 4, 5], results.map((r) => r.err).join());
  });
  await t.test('the manual tells the tools', async () => {
    const list = begin('list', file);
    assert.equal(await within(30000, list.exited, 'the list'), 0, list.text);
    assert.equal(list.lines[0], 'echo\tThe inputs');
    const all = begin('list', file, '--json');
    assert.equal(await within(30000, all.exited, 'the list'), 0, all.text);
    const manual = JSON.parse(all.lines[0]);
    assert.equal(manual.utcp_version, '0.1');
    assert.equal(manual.tools.length, tools().length);
    assert.equal(manual.tools[0].tool_provider.peer_id, 'tools-1');
    assert.equal(manual.tools[0].tool_call_template.call_template_type, 'webrtc');
    assert.ok(!all.lines[0].includes('a-key') && !all.lines[0].includes('command'));
  });
  await t.test('the manual comes through signaling, without a connection', async () => {
    const connected = serving.lines.filter((line) => line.includes('"connected"')).length;
    const list = begin('list', file, '--via', 'signaling', '--json');
    assert.equal(await within(30000, list.exited, 'the list'), 0, list.text);
    assert.equal(JSON.parse(list.lines[0]).tools.length, tools().length);
    assert.equal(serving.lines.filter((line) => line.includes('"connected"')).length, connected);
  });
  await stop(serving);
});

// ---- connections ----

test('a call waits for a server that comes late, and for one that comes back', async () => {
  const file = provider('late', { peer_id: 'late-1' });
  const early = call(file, 'echo', { early: true });
  await sleep(300);
  let serving = await serve('late-1', [{ name: 'echo', command: ['cat'] }, { name: 'slow', command: ['sh', '-c', 'sleep 2; echo 1'] }]);
  assert.deepEqual((await early).output, { early: true });

  const broken = call(file, 'slow', {});
  const again = call(file, 'slow', {}, '--idempotent');
  await serving.line((line) => line.includes('"gone"'));
  await sleep(700);
  await stop(serving);
  serving = await serve('late-1', [{ name: 'slow', command: ['sh', '-c', 'echo 2'] }]);
  const failed = await broken;
  assert.equal(failed.code, 'connection_lost', JSON.stringify(failed));
  assert.equal((await again).output, 2);
  await stop(serving);
});

test('a server that was killed is replaced', async () => {
  const file = provider('killed', { peer_id: 'killed-1' });
  const first = await serve('killed-1', [{ name: 'slow', command: ['sleep', '20'] }]);
  const waiting = call(file, 'slow', {}, '--idempotent', '--timeout', '50');
  await first.line((line) => line.includes('"connected"'));
  await sleep(500);
  first.kill('SIGKILL'); // its tool goes on, and holds its standard error
  const second = await serve('killed-1', [{ name: 'slow', command: ['echo', '"second"'] }]);
  const result = await waiting;
  assert.equal(result.output, 'second', JSON.stringify(result));
  await stop(second);
});

// ---- the C API ----

test('the example offers a tool written in C', async (t) => {
  const example = join(dirname(tool), 'example_utcp_tool');
  if (!existsSync(example)) return t.skip('the examples are not built');
  const offering = start(example, [server.ws, await server.token('calculator', '--perm', 'create,join')]);
  await offering.line((line) => line === 'ready');
  const file = provider('calculator', { peer_id: 'calculator' });
  assert.deepEqual((await call(file, 'add', { a: 2, b: 3.5 })).output, { sum: 5.5 });
  assert.equal((await call(file, 'add', { a: 2, b: '3' })).code, 'invalid_inputs');
  offering.kill('SIGTERM');
  await offering.exited;
  return undefined;
});

// ---- files and the command line ----

test('providers take variables and tokens, and say what is missing', async () => {
  const serving = await serve('v1', [{ name: 'echo', command: ['cat'] }]);
  const path = join(folder, 'v1.json');
  writeFileSync(path, JSON.stringify({ name: 'v1', call_template_type: 'webrtc', signaling_server: '${UTCP_TEST_URL}', peer_id: 'v1',
    auth: { auth_type: 'api_key', api_key: '${UTCP_TEST_TOKEN}' } }));
  process.env.UTCP_TEST_URL = server.ws;
  const missing = duet('utcp', 'call', path, 'echo', '{}');
  assert.equal(await missing.exited, 2);
  assert.match(missing.text, /v1\.json: \/auth\/api_key: the variable UTCP_TEST_TOKEN is not set/);
  process.env.UTCP_TEST_TOKEN = await server.token('somebody', '--perm', 'create,join');
  const child = duet('utcp', 'call', path, 'echo', '{"a":1}', ...local);
  assert.equal(await within(30000, child.exited, 'the call'), 0, child.text);
  assert.deepEqual(child.lines, ['{"a":1}']);
  process.env.UTCP_TEST_TOKEN = 'not-a-token';
  const refused = duet('utcp', 'call', path, 'echo', '{}', ...local);
  assert.equal(await within(30000, refused.exited, 'the call'), 1);
  await stop(serving);
});

test('files that are wrong are refused with their place', async () => {
  for (const [entry, where] of [
    [{ name: 'a', command: [] }, '/tools/0/command'],
    [{ name: 'a' }, '/tools/0/command'],
    [{ name: 'a', command: ['x'], http: {} }, '/tools/0/command'],
    [{ name: 'a', http: { url: 'file:///etc/passwd' } }, '/tools/0/http'],
    [{ name: 'a', command: ['cat'], inputs: { pattern: 'x' } }, 'tool "a": /inputs/pattern'],
    [{ name: 'a', command: ['cat'], timeout: 'x' }, '/tools/0/timeout'],
  ]) {
    const path = join(folder, 'wrong.json');
    writeFileSync(path, JSON.stringify({ tools: [entry] }));
    const child = duet('utcp', 'serve', '--tools', path, '--peer-id', 'p', '--signal', server.ws, '--secret', server.file);
    assert.equal(await within(10000, child.exited, 'it ends'), 2, child.text);
    assert.ok(child.text.includes(where), child.text);
  }
  for (const args of [[], ['serve'], ['call', 'x'], ['list'], ['dance']]) {
    const child = duet('utcp', ...args);
    assert.equal(await child.exited, 2);
  }
});

test('a token of another subject is refused at once', async () => {
  const path = join(folder, 'subject.json');
  writeFileSync(path, JSON.stringify({ tools: [{ name: 'echo', command: ['cat'] }] }));
  const child = duet('utcp', 'serve', '--tools', path, '--peer-id', 'right', '--signal', server.ws, '--token',
    await server.token('wrong', '--perm', 'create,join'));
  assert.equal(await within(10000, child.exited, 'it ends'), 1);
  assert.match(child.text, /subject is not the peer id/);
});
