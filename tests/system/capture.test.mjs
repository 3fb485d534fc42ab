// --pcap, --keylog and --events of commands that connect, read by tshark and by duet inspect. Run inside in_netns.sh.
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { command, match } from '../interop/matchmaker.mjs';
import { duet, root, run, tool } from './tool.mjs';

const lua = join(root, 'docs/wireshark/sctp_over_dtls.lua');
const label = 'chat'; // of the channel of duet peer
let call;

// The files of both ends of a call that went well.
async function record() {
  const path = mkdtempSync(join(tmpdir(), 'duet-capture-'));
  const files = (end) => ({ pcap: join(path, `${end}.pcapng`), keylog: join(path, `${end}.keys`), events: join(path, `${end}.events`) });
  const ends = { offer: files('offer'), answer: files('answer') };
  const options = (f) => ['--data', '--timeout', '30', '--pcap', f.pcap, '--keylog', f.keylog, '--events', f.events];
  const result = await match(command('duet', 'offer', options(ends.offer)), command('duet', 'answer', options(ends.answer)));
  assert.deepEqual(result.codes, [0, 0], result.log());
  return { path, ...ends };
}

before(async () => { call = await record(); });
after(() => call && rmSync(call.path, { recursive: true, force: true }));

// Rows of fields of the packets that `filter` selects.
async function tshark(file, filter, fields, options = []) {
  const shark = await run('tshark', ['-r', file, '-X', `lua_script:${lua}`, '-o', 'sctp.tsn_analysis:FALSE', ...options, '-Y', filter,
    '-T', 'fields', '-E', 'separator=/t', ...fields.flatMap((field) => ['-e', field])]);
  assert.equal(shark.code, 0, shark.err);
  return shark.out.split('\n').filter(Boolean).map((line) => line.split('\t'));
}

const opens = 'rtcdc.message_type == 3';

for (const end of ['offer', 'answer']) {
  test(`tshark decodes the DCEP OPEN on the plain SCTP interface, ${end}`, async () => {
    const rows = await tshark(call[end].pcap, `${opens} && frame.interface_id == 1`, ['rtcdc.label', 'frame.protocols']);
    assert.deepEqual(rows, [[label, 'sctp:rtcdc']]);
  });

  test(`tshark decrypts DTLS with the keys inside the capture and decodes the DCEP OPEN, ${end}`, async () => {
    const rows = await tshark(call[end].pcap, `${opens} && frame.interface_id == 0`, ['rtcdc.label', 'frame.protocols']);
    assert.equal(rows.length, 1, 'both directions decrypt, or one of the two ends sees nothing');
    assert.equal(rows[0][0], label);
    assert.match(rows[0][1], /:udp:dtls:sctp:rtcdc$/);
  });

  test(`tshark decrypts every record of the capture, ${end}`, async () => {
    const records = await tshark(call[end].pcap, 'dtls.record.content_type == 23', ['frame.number']);
    const decrypted = await tshark(call[end].pcap, 'dtls.record.content_type == 23 && sctp', ['frame.number']);
    assert.ok(records.length > 100);
    assert.equal(decrypted.length, records.length);
  });

  test(`tshark finds nothing malformed in the capture, and every checksum good, ${end}`, async () => {
    const checks = ['-o', 'sctp.checksum:CRC 32c', '-o', 'udp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE'];
    const errors = await tshark(call[end].pcap, '_ws.malformed || _ws.expert.severity == error', ['frame.number', '_ws.expert.message'], checks);
    assert.deepEqual(errors, []);
    const states = await tshark(call[end].pcap, 'frame', ['udp.checksum.status', 'sctp.checksum.status', 'stun.att.crc32.status'], checks);
    assert.ok(states.length > 100);
    for (const state of states) assert.match(state.join(''), /^1+$/, 'good');
  });

  test(`the key log names the random of the ClientHello, ${end}`, async () => {
    const lines = readFileSync(call[end].keylog, 'utf8').trim().split('\n');
    const [[random]] = await tshark(call[end].pcap, 'dtls.handshake.type == 1', ['dtls.handshake.random']);
    assert.equal(lines.length, 1);
    assert.match(lines[0], new RegExp(`^CLIENT_RANDOM ${random.replaceAll(':', '')} [0-9a-f]{96}$`, 'i'));
  });

  test(`every state of the call is in the event log with its cause, ${end}`, () => {
    const events = readFileSync(call[end].events, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
    const states = events.filter((e) => e.event === 'state');
    for (const e of states) {
      assert.ok(e.cause, JSON.stringify(e));
      assert.notEqual(e.from, e.to, JSON.stringify(e));
    }
    const path = (module, subject) => states.filter((e) => e.module === module && e.subject === subject).map((e) => [e.from, e.to]);
    const chained = (...names) => names.slice(1).map((to, i) => [names[i], to]);
    assert.deepEqual(path('peer', 'signaling'), chained('stable', end === 'offer' ? 'have-local-offer' : 'have-remote-offer', 'stable'));
    assert.deepEqual(path('peer', 'gathering'), chained('new', 'gathering', 'complete'));
    assert.deepEqual(path('peer', 'connection'), chained('new', 'connecting', 'connected', 'closed'));
    assert.deepEqual(path('dtls', 'transport'), chained('new', 'connecting', 'connected', 'closed'));
    assert.deepEqual(path('sctp', 'association'), chained('new', 'connecting', 'connected', 'closed'));
    assert.deepEqual(path('ice', 'agent').slice(0, 2), chained('new', 'checking', 'connected'));
    // Whatever moves, it moves on from where it was.
    const last = new Map();
    for (const e of states) {
      const key = `${e.module} ${e.subject}`;
      if (last.has(key)) assert.equal(e.from, last.get(key), JSON.stringify(e));
      last.set(key, e.to);
    }
    const times = events.map((e) => e.time);
    assert.deepEqual(times, [...times].sort((a, b) => a - b));
    assert.ok(Math.abs(times[0] - Date.now() / 1000) < 120, 'wall-clock seconds, as in the capture');
  });

  test(`duet inspect reads the capture to the last byte, ${end}`, () => {
    const all = duet(['inspect', 'pcap', '--roundtrip', '--compact', call[end].pcap]);
    assert.equal(all.code, 0, all.err);
    const packets = all.out.trim().split('\n').map((line) => JSON.parse(line));
    const protocols = new Set(packets.map((p) => p.protocol));
    assert.deepEqual([...protocols].sort(), ['dtls', 'sctp', 'stun']);
    for (const p of packets) assert.equal(p.message.roundtrip, true, JSON.stringify(p).slice(0, 1000));
    assert.ok(packets.filter((p) => p.protocol === 'sctp').every((p) => p.message.checksumState === 'valid'));
    assert.ok(packets.filter((p) => p.protocol === 'stun').every((p) => p.message.fingerprint === 'valid'));
    const [open] = JSON.parse(duet(['inspect', 'dcep', call[end].pcap]).out);
    assert.equal(open.messages[0].message, 'DATA_CHANNEL_OPEN');
    assert.equal(open.messages[0].label, label);
    assert.equal(open.outgoing, end === 'offer');
  });
}

test('duet inspect agrees with tshark on the number of datagrams of each kind', async () => {
  const file = call.offer.pcap;
  const packets = duet(['inspect', 'pcap', '--compact', file]).out.trim().split('\n').map((line) => JSON.parse(line));
  for (const [kind, filter] of [['stun', 'stun'], ['dtls', 'dtls'], ['sctp', 'sctp && frame.interface_id == 1']]) {
    const rows = await tshark(file, filter, ['frame.number']);
    assert.deepEqual(rows.map(([n]) => Number(n)), packets.filter((p) => p.protocol === kind).map((p) => p.frame), kind);
  }
});

test('duet inspect agrees with tshark on every chunk and every STUN attribute', async () => {
  const file = call.answer.pcap;
  const records = (kind) => JSON.parse(duet(['inspect', kind, file]).out);
  const chunks = await tshark(file, 'sctp && frame.interface_id == 1', ['frame.number', 'sctp.chunk_type', 'sctp.data_tsn_raw']);
  assert.deepEqual(chunks.map(([frame, types]) => `${frame} ${types}`),
    records('sctp').map((p) => `${p.frame} ${p.message.chunks.map((c) => c.type).join(',')}`));
  const tsns = records('sctp').flatMap((p) => p.message.chunks.filter((c) => c.name === 'DATA').map((c) => c.tsn));
  assert.deepEqual(chunks.flatMap(([, , list]) => (list ? list.split(',').map(Number) : [])), tsns);
  const attributes = await tshark(file, 'stun', ['frame.number', 'stun.att.type']);
  assert.deepEqual(attributes.map(([frame, types]) => `${frame} ${types}`),
    records('stun').map((p) => `${p.frame} ${p.message.attributes.map((a) => a.type).join(',')}`));
});

test('plain RTP and RTCP of a call are decoded to the codec, also what was sent again', async () => {
  const sdp = join(call.path, 'media.lines'), file = join(call.path, 'media.pcapng');
  const options = ['--audio', '--video', '--timeout', '30', '--impair', 'loss=0.1,seed=5'];
  const onLine = (from, line) => { if (line.sdp) appendFileSync(sdp, `${JSON.stringify(line)}\n`); return line; };
  const { codes, log } = await match(command('duet', 'offer', [...options, '--pcap', file]), command('duet', 'answer', options), { onLine });
  assert.deepEqual(codes, [0, 0], log());
  const run = duet(['inspect', 'pcap', '--compact', '--roundtrip', '--sdp', sdp, file]);
  assert.equal(run.code, 0, run.err);
  const packets = run.out.trim().split('\n').map((line) => JSON.parse(line)).filter((p) => ['rtp', 'rtcp'].includes(p.protocol));
  const plain = packets.filter((p) => p.message).map((p) => p.message), hidden = packets.filter((p) => !p.message);
  assert.ok(plain.every((m) => m.roundtrip && !m.warning));
  const of = (codec) => plain.filter((m) => m.codec === codec);
  assert.ok(of('opus').length > 50 && of('opus').every((m) => m.content.duration === 0.02));
  assert.ok(of('VP8').length > 20 && of('VP8').some((m) => m.content.keyFrame));
  assert.ok(of('rtx').length > 0 && of('rtx').every((m) => m.originalPayloadType === of('VP8')[0].payloadType && m.content.codec === 'VP8'));
  assert.ok(plain.some((m) => m.packets), 'RTCP');
  assert.deepEqual([...new Set(hidden.filter((p) => p.protocol === 'rtp').map((p) => p.header.codec))].sort(), ['VP8', 'opus', 'rtx']);
});

test('duet perf --local writes the same three files', async () => {
  const f = { pcap: join(call.path, 'perf.pcapng'), keylog: join(call.path, 'perf.keys'), events: join(call.path, 'perf.events') };
  const perf = await run(tool, ['perf', '--local', '--connections', '2', '--size', '1000', '--seconds', '0.1', '--ping-seconds', '0', '--json',
    '--pcap', f.pcap, '--keylog', f.keylog, '--events', f.events]);
  assert.equal(perf.code, 0, perf.err);
  const rows = await tshark(f.pcap, `${opens} && frame.interface_id == 0`, ['rtcdc.label'], ['-c', '200']);
  assert.deepEqual(rows, [['perf']]);
  assert.match(readFileSync(f.keylog, 'utf8'), /^CLIENT_RANDOM /);
  assert.match(readFileSync(f.events, 'utf8'), /"to":"connected"/);
});
