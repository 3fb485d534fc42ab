// duet inspect: what it decodes, what it says about what it cannot decode, and every way to hand it bytes.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { model, refusal } from './inspect.mjs';
import { duet, folder, root } from './tool.mjs';
import { bytes, chunk, dcepOpen, ipv4, ipv6, pcap, sctpPacket, stunPassword, stunRequest, u16, u32, udp } from './wire.mjs';

const raw = ['--format', 'raw'];

// ---- descriptions and candidates

const descriptions = join(root, 'tests/data/sdp');

for (const name of readdirSync(descriptions).filter((file) => file.endsWith('.sdp'))) {
  test(`the description ${name} is decoded and written again as the same bytes`, () => {
    const text = readFileSync(join(descriptions, name), 'utf8');
    const sdp = model('sdp', text);
    const lines = [sdp, ...sdp.media].flatMap((part) => part.lines);
    assert.equal(lines.length, text.split('\n').length - 1);
    assert.equal(sdp.media.length, text.match(/^m=/gm).length);
    assert.equal(sdp.media.flatMap((m) => m.candidates).length, (text.match(/^a=candidate:/gm) ?? []).length);
  });
}

test('a description tells groups, transports, codecs and channels by section', () => {
  const sdp = model('sdp', readFileSync(join(descriptions, 'chromium-offer-av-data.sdp')));
  assert.equal(sdp.groups[0].semantics, 'BUNDLE');
  assert.deepEqual(sdp.groups[0].mids, sdp.media.map((m) => m.mid));
  const [audio, , data] = sdp.media;
  assert.equal(audio.media, 'audio');
  assert.equal(audio.setup, 'actpass');
  assert.match(audio.fingerprints[0], /^sha-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  assert.ok(audio.codecs.some((c) => c.name === 'opus' && c.clockRate === 48000 && c.channels === 2));
  assert.equal(data.sctpPort, 5000);
  assert.equal(data.maxMessageSize, 262144);
  assert.ok(audio.lines.some((line) => line.kind === 'rtcp-fb'));
  assert.ok(sdp.lines.some((line) => line.type === 'o' && line.kind === 'origin'));
});

test('line ends of a description are kept: bare LF, and none at the end', () => {
  const text = 'v=0\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\nt=0 0\r\na=group:BUNDLE';
  const sdp = model('sdp', text);
  assert.equal(sdp.lines[0].end, '\n');
  assert.equal(sdp.lines[1].end, undefined);
  assert.equal(sdp.lines.at(-1).end, '');
  assert.ok(sdp.warnings.length > 0);
});

test('a bad description is refused with line and column', () => {
  const text = 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=setup:actpas\r\n';
  assert.match(refusal('sdp', text), /^duet: sdp: line 6, column 9: "a=setup:actpas": setup is .*\(RFC 8842, 5\.2\)$/);
});

test('a candidate tells its fields and keeps its extensions in order', () => {
  const text = 'candidate:842163049 1 udp 1677729535 203.0.113.9 46154 typ srflx raddr 10.0.0.1 rport 5000 generation 0 ufrag EsAw network-cost 999';
  const candidate = model('candidate', text);
  assert.equal(candidate.type, 'srflx');
  assert.equal(candidate.priority, 1677729535);
  assert.equal(candidate.transportAddress, '203.0.113.9:46154');
  assert.equal(candidate.relatedAddress, '10.0.0.1:5000');
  assert.equal(candidate.networkCost, 999);
  assert.deepEqual(candidate.attributes.map((a) => a.name), ['raddr', 'rport', 'generation', 'ufrag', 'network-cost']);
  assert.equal(model('candidate', `a=${text}\r\n`).lineEnd, '\r\n');
  assert.equal(model('candidate', 'candidate:1 1 udp 1 a.local 9 typ alien').supported, false);
});

test('a bad candidate is refused with its column', () => {
  assert.equal(refusal('candidate', 'candidate:1 1 udp 4294967295 192.0.2.1 9 typ host'),
    'duet: candidate: line 1, column 19: the priority is a number from 1 to 2147483647');
});

// ---- STUN

test('a STUN request tells every attribute, its fingerprint and its integrity', () => {
  const stun = model('stun', stunRequest, '--password', stunPassword);
  assert.equal(stun.class, 'request');
  assert.equal(stun.method, 'Binding');
  assert.equal(stun.transactionId, 'b7e7a701bc34d686fa87dfae');
  assert.equal(stun.fingerprint, 'valid');
  assert.equal(stun.messageIntegrity, 'valid');
  assert.deepEqual(stun.attributes.map((a) => a.name),
    ['SOFTWARE', 'PRIORITY', 'ICE-CONTROLLED', 'USERNAME', 'MESSAGE-INTEGRITY', 'FINGERPRINT']);
  assert.deepEqual(stun.attributes[1], { offset: 40, type: '0x0024', name: 'PRIORITY', length: 4, hex: '6e0001ff', value: 0x6e0001ff });
  assert.equal(stun.attributes[3].value, 'evtj:h6vY');
  assert.equal(stun.attributes[3].padding, '202020'); // the example pads with blanks
});

test('a wrong password or key is told, with exit code 1', () => {
  for (const args of [['--password', 'wrong'], ['--key', '00:11:22']]) {
    const run = duet(['inspect', 'stun', ...args], stunRequest);
    assert.equal(run.code, 1);
    assert.equal(JSON.parse(run.out).messageIntegrity, 'invalid');
    assert.match(run.err, /^duet: stun: the integrity does not match the (password|key)$/m);
  }
  const key = Buffer.from(stunPassword).toString('hex');
  assert.equal(model('stun', stunRequest, '--key', key).messageIntegrity, 'valid');
});

test('a changed message has an invalid fingerprint', () => {
  const changed = Buffer.from(stunRequest);
  changed[45] ^= 1;
  assert.equal(model('stun', changed).fingerprint, 'invalid');
});

test('a value with reserved bits set is marked as not exact, and kept', () => {
  const message = bytes(u16(0x0101, 12), '2112a442', Buffer.alloc(12), u16(0x0020, 8), 'ff01 a147 e112a643');
  const [address] = model('stun', message).attributes;
  assert.equal(address.value, '192.0.2.1:32853');
  assert.equal(address.exact, false);
});

test('bad STUN is refused with offset and reason', () => {
  const header = (length) => bytes(u16(1, length), '2112a442', Buffer.alloc(12));
  const says = (message) => refusal('stun', message, ...raw);
  assert.equal(says(bytes(header(16), u16(0x0006, 513), Buffer.alloc(12))),
    'duet: stun: offset 20: attribute 0x0006 says 513 bytes, 12 are left (RFC 8489, 14)');
  assert.equal(says(bytes(header(8))), 'duet: stun: offset 2: the length field says 8 bytes, 0 follow the header (RFC 8489, 5)');
  assert.equal(says(stunRequest.subarray(0, 19)), 'duet: stun: offset 19: a STUN header has 20 bytes, 19 are here (RFC 8489, 5)');
  assert.equal(says(Buffer.alloc(20)), 'duet: stun: offset 4: the magic cookie is 0x00000000 instead of 0x2112a442 (RFC 8489, 5)');
  assert.match(says(bytes([0x16], Buffer.alloc(30))), /offset 0: the first byte is 0x16: STUN begins with 0 to 3 \(RFC 7983, 7\)$/);
  assert.match(says(bytes(header(8), u16(0x0024, 3), '00000000')), /offset 24: the 3 bytes of PRIORITY do not have its form/);
});

// ---- SCTP and DCEP

const parameter = (type, value) => bytes(u16(type, value.length + 4), value, Buffer.alloc((4 - value.length % 4) % 4));

test('an INIT tells its parameters, and the checksum is checked', () => {
  const init = chunk(1, 0, bytes(u32(0xaabbccdd, 131072), u16(1024, 2048), u32(7),
    parameter(0x8008, [130, 192]), parameter(0xc000, []), parameter(0x8001, u32(1)), parameter(0x9999, [1, 2, 3])));
  const packet = sctpPacket(init);
  const sctp = model('sctp', packet);
  assert.equal(sctp.checksumState, 'valid');
  assert.equal(sctp.verificationTag, '0x12345678');
  const [decoded] = sctp.chunks;
  assert.equal(decoded.name, 'INIT');
  assert.equal(decoded.initiateTag, '0xaabbccdd');
  assert.equal(decoded.inboundStreams, 2048);
  assert.deepEqual(decoded.parameters.map((p) => p.name ?? p.type),
    ['Supported Extensions', 'Forward-TSN-Supported', 'Zero Checksum Acceptable', '0x9999']);
  assert.deepEqual(decoded.parameters[0].chunkTypes, ['0x82 RE-CONFIG', '0xc0 FORWARD-TSN']);
  packet[20] ^= 1;
  assert.equal(model('sctp', packet).checksumState, 'invalid');
  packet.fill(0, 8, 12);
  assert.equal(model('sctp', packet).checksumState, 'zero');
});

test('a packet of many chunks tells each of them', () => {
  const packet = sctpPacket(
    chunk(3, 0, bytes(u32(10, 65536), u16(1, 2), u16(2, 3), u32(8, 9))),
    chunk(192, 0, bytes(u32(12), u16(1, 5), u16(2, 6))),
    chunk(194, 0, bytes(u32(12), u16(1, 1), u32(5))),
    chunk(130, 0, bytes(parameter(13, bytes(u32(1, 2, 3), u16(4, 5))), parameter(16, u32(1, 6)))),
    chunk(64, 2, bytes(u32(1), u16(3, 0), u32(4, 51), 'abcdef')),
    chunk(6, 0, bytes(u16(12, 8), Buffer.from('late'))),
    chunk(11, 0, []),
    chunk(77, 9, [1, 2, 3, 4, 5]));
  const { chunks } = model('sctp', packet);
  assert.deepEqual(chunks.map((c) => c.name ?? c.type),
    ['SACK', 'FORWARD-TSN', 'I-FORWARD-TSN', 'RE-CONFIG', 'I-DATA', 'ABORT', 'COOKIE ACK', 77]);
  assert.deepEqual(chunks[0].gapBlocks, [{ start: 2, end: 3 }]);
  assert.deepEqual(chunks[0].duplicateTsns, [8, 9]);
  assert.deepEqual(chunks[1].streams[1], { stream: 2, ssn: 6 });
  assert.deepEqual(chunks[3].parameters[0].streams, [4, 5]);
  assert.equal(chunks[3].parameters[1].result, '0x00000006 In progress');
  assert.equal(chunks[4].begin, true);
  assert.equal(chunks[5].causes[0].text, 'late');
  assert.equal(chunks[7].bytes, '0102030405');
});

test('the DCEP OPEN in a DATA chunk is told', () => {
  const data = (message, flags = 3) => sctpPacket(chunk(0, flags, bytes(u32(1), u16(7, 0), u32(50), message)));
  const [open] = model('sctp', data(dcepOpen('chät', 'p', { type: 0x81, reliability: 5 }))).chunks;
  assert.equal(open.ppidName, 'WebRTC DCEP');
  assert.equal(open.dcep.label, 'chät');
  assert.equal(open.dcep.maxRetransmits, 5);
  assert.equal(open.dcep.ordered, false);
  const [fragment] = model('sctp', data(dcepOpen('chat'), 2)).chunks;
  assert.equal(fragment.dcep, undefined);
  assert.match(refusal('sctp', data(dcepOpen('chat').subarray(0, 14))), /offset 36: DCEP: the label says 4 bytes, 2 are left \(RFC 8832, 5\.1\)$/);
});

test('bad SCTP is refused with offset and reason', () => {
  assert.equal(refusal('sctp', sctpPacket(bytes([3, 0], u16(40), u32(1)))),
    'duet: sctp: offset 12: SACK chunk says 40 bytes, 8 are left (RFC 9260, 3.2)');
  assert.equal(refusal('sctp', sctpPacket(chunk(3, 0, u32(1)))),
    'duet: sctp: offset 20: SACK chunk ends before its aRwnd (RFC 9260, 3.3.4)');
  assert.equal(refusal('sctp', sctpPacket(chunk(3, 0, bytes(u32(1, 2), u16(9, 0), u32(1))))),
    'duet: sctp: offset 28: SACK chunk says 9 gapBlocks, 4 bytes are left (RFC 9260, 3.3.4)');
  assert.equal(refusal('sctp', sctpPacket(chunk(4, 0, bytes(u16(1, 2))))),
    'duet: sctp: offset 16: parameter 0x0001 says 2 bytes, 4 are left (RFC 9260, 3.2.1)');
  assert.match(refusal('sctp', sctpPacket(chunk(11, 0, [1]))), /COOKIE ACK chunk has 1 bytes behind its last field/);
  assert.match(refusal('sctp', Buffer.alloc(5), ...raw), /offset 4: common header ends before its verificationTag/);
});

test('what no datagram can hold is not taken for one', () => {
  for (const kind of ['sctp', 'dtls']) assert.match(refusal(kind, Buffer.alloc(65536, 0x14), ...raw), /offset 65535: 65536 bytes are more than a datagram can hold/);
  assert.match(refusal('stun', Buffer.alloc(65600), ...raw), /offset 4: the magic cookie/);
});

test('DCEP messages are told, and bad ones refused', () => {
  assert.deepEqual(model('dcep', '02'), { message: 'DATA_CHANNEL_ACK', messageType: 2, roundtrip: true });
  assert.equal(model('dcep', dcepOpen('a', 'b', { type: 2, reliability: 300 })).maxPacketLifeTime, 300);
  assert.equal(refusal('dcep', '07 00'), 'duet: dcep: offset 0: message type 7 is not DATA_CHANNEL_ACK (2) or DATA_CHANNEL_OPEN (3) (RFC 8832, 8.2.1)');
  assert.match(refusal('dcep', '02 00'), /offset 1: DATA_CHANNEL_ACK has one byte, this one has 2/);
  assert.match(refusal('dcep', bytes(dcepOpen('a'), [0])), /offset 13: 1 bytes follow the protocol/);
});

// ---- DTLS

const record = (type, epoch, content) => bytes([type], 'fefd', u16(epoch), '000000000001', u16(content.length), content);
const handshake = (type, body, { offset = 0, length = body.length } = {}) =>
  bytes([type, length >> 16, length >> 8 & 255, length & 255], u16(0), [offset >> 16, offset >> 8 & 255, offset & 255],
    [body.length >> 16, body.length >> 8 & 255, body.length & 255], body);
const extension = (type, body) => bytes(u16(type, body.length), body);
const block = (...extensions) => { const all = bytes(...extensions); return bytes(u16(all.length), all); };

test('a ClientHello tells versions, ciphers and extensions', () => {
  const hello = bytes('fefd', Buffer.alloc(32, 0xaa), [0], [0], u16(4, 0x1301, 0xc02b), [1, 0], block(
    extension(43, bytes([4], u16(0xfefc, 0xfefd))), extension(51, bytes(u16(36, 29, 32), Buffer.alloc(32, 1))),
    extension(14, bytes(u16(4, 7, 1), [0])), extension(10, u16(4, 4588, 0x0a0a)), extension(10, u16(9)), extension(12345, [9])));
  const { records } = model('dtls', record(22, 0, handshake(1, hello)));
  const [message] = records[0].messages;
  assert.equal(message.name, 'client_hello');
  assert.deepEqual(message.cipherSuites, ['0x1301 TLS_AES_128_GCM_SHA256', '0xc02b TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256']);
  const [versions, shares, srtp, groups, odd, unknown] = message.extensions;
  assert.deepEqual(versions.versions, ['0xfefc DTLS 1.3', '0xfefd DTLS 1.2']);
  assert.equal(shares.shares[0].group, '0x001d x25519');
  assert.deepEqual(srtp.profiles, ['0x0007 SRTP_AEAD_AES_128_GCM', '0x0001 SRTP_AES128_CM_HMAC_SHA1_80']);
  assert.deepEqual(groups.groups, ['0x11ec X25519MLKEM768', '0x0a0a GREASE']);
  assert.equal(odd.bytes, '0009'); // of another form than its type has
  assert.equal(unknown.bytes, '09');
});

test('a ServerHello tells the one version and share that it chose, and a retry its group', () => {
  const hello = (...extensions) => record(22, 0, handshake(2, bytes('fefd', Buffer.alloc(32, 1), [0], u16(0x1301), [0], block(...extensions))));
  const [message] = model('dtls', hello(extension(43, u16(0xfefc)), extension(51, bytes(u16(29, 2), 'abcd')))).records[0].messages;
  assert.equal(message.extensions[0].version, '0xfefc DTLS 1.3');
  assert.deepEqual([message.extensions[1].group, message.extensions[1].key], ['0x001d x25519', 'abcd']);
  const [retry] = model('dtls', hello(extension(51, u16(23)))).records[0].messages;
  assert.equal(retry.extensions[0].group, '0x0017 secp256r1');
});

test('fragments, alerts, encrypted records and the unified header are told', () => {
  const datagram = bytes(
    record(22, 0, handshake(1, Buffer.alloc(10), { offset: 5, length: 100 })), record(21, 0, [2, 40]), record(20, 0, [1]),
    record(23, 1, Buffer.alloc(20)), [0x2e], u16(0x1234, 3), 'aabbcc', [0x21], [0x99], 'ddeeff');
  const { records } = model('dtls', datagram);
  assert.match(records[0].messages[0].note, /^bytes 5 to 15 of 100/);
  assert.deepEqual([records[1].level, records[1].description], ['0x02 fatal', '0x28 handshake_failure']);
  assert.equal(records[2].bytes, '01');
  assert.equal(records[3].encrypted.length, 40);
  assert.deepEqual([records[4].epochBits, records[4].encryptedSequence, records[4].encrypted], [2, '1234', 'aabbcc']);
  assert.deepEqual([records[5].encryptedSequence, records[5].encrypted], ['99', 'ddeeff']);
});

test('bad DTLS is refused with offset and reason', () => {
  const first = record(21, 0, [1, 0]);
  assert.equal(refusal('dtls', bytes(first, record(22, 0, Buffer.alloc(5)))),
    'duet: dtls: offset 32: handshake header ends before its messageSeq (RFC 6347, 4.2.2)');
  assert.equal(refusal('dtls', bytes(first, record(23, 1, Buffer.alloc(9)).subarray(0, 20))),
    'duet: dtls: offset 26: the record says 9 bytes, 7 are left (RFC 6347, 4.1)');
  assert.match(refusal('dtls', record(22, 0, handshake(1, Buffer.alloc(10), { offset: 95, length: 100 }))), /ends at 105 of a message of 100 bytes/);
  assert.match(refusal('dtls', bytes([99])), /content type 99 is not one of DTLS/);
  const hello = bytes('fefd', Buffer.alloc(32), [0], [0], u16(3, 0x1301), [9], [1, 0]);
  assert.match(refusal('dtls', record(22, 0, handshake(1, hello))), /offset 65: client_hello: cipherSuites: an element has 2 bytes, 1 are left/);
});

// ---- input

test('hexadecimal digits in any dress, base64 and raw bytes mean the same', (t) => {
  const hex = stunRequest.toString('hex');
  const pairs = hex.match(/../g);
  const expected = model('stun', stunRequest);
  for (const text of [hex, hex.toUpperCase(), pairs.join(':'), pairs.join(' ') + '\n', `0x${pairs.join(', 0x')}`,
    hex.replace(/.{32}/g, '$&\r\n'), stunRequest.toString('base64'), stunRequest.toString('base64').replace(/.{60}/g, '$&\n')]) {
    assert.deepEqual(model('stun', text), expected, text.slice(0, 40));
  }
  assert.deepEqual(model('stun', hex, '--format', 'hex'), expected);
  const file = join(folder(t), 'request');
  writeFileSync(file, stunRequest);
  assert.deepEqual(model('stun', '', file), expected);
  assert.deepEqual(model('stun', stunRequest, '-', ...raw), expected);
});

// ---- TURN, streams, multicast DNS

const channelData = bytes('40 01 00 05', Buffer.from('hello'));

test('ChannelData tells its channel, its data and what is in it', () => {
  const m = model('channeldata', channelData);
  assert.equal(m.channel, '0x4001');
  assert.equal(m.data, '68656c6c6f');
  assert.equal(model('channeldata', bytes(channelData, '000000')).padding, '000000');
  assert.equal(model('channeldata', bytes('4000 0058', stunRequest.subarray(0, 88))).protocol, 'stun');
  assert.match(refusal('channeldata', '50000000'), /offset 0: channel number 0x5000 is outside 0x4000 to 0x4fff \(RFC 8656, 12\.4\)/);
  assert.match(refusal('channeldata', '40000004 00'), /offset 2: ChannelData: data says 4 bytes, 1 are left/);
});

test('the frames of a stream with a TURN server are found, and the beginning of the next one', () => {
  const m = model('turn-stream', bytes(stunRequest, channelData, '000000', '4001'));
  assert.deepEqual(m.frames.map((f) => f.protocol), ['stun', 'channeldata']);
  assert.equal(m.frames[0].message.method, model('stun', stunRequest).method);
  assert.equal(m.rest, '4001');
  assert.match(refusal('turn-stream', Buffer.from('POST / HTTP/1.1'), ...raw), /turn-stream: offset 0: no frame begins here \(RFC 8656, 12\.5\)/);
});

test('the frames of ICE-TCP are found behind their lengths', () => {
  const m = model('rfc4571', bytes(u16(stunRequest.length), stunRequest, u16(3), '160102', u16(9)));
  assert.deepEqual(m.frames.map((f) => f.protocol), ['stun', 'dtls']);
  assert.equal(m.rest, '0009');
});

test('multicast DNS shows names, addresses and the bits that RFC 6762 adds', () => {
  const label = (text) => bytes([text.length], Buffer.from(text));
  const name = bytes(label('a-b'), label('local'), [0]);
  const m = model('mdns', bytes(u16(0, 0x8400, 1, 1, 0, 0), name, u16(1, 0x8001), 'c00c', u16(1, 0x8001), u32(120), u16(4), [10, 0, 0, 1]));
  assert.equal(m.message, 'response');
  assert.deepEqual([m.questions[0].name, m.questions[0].type, m.questions[0].unicastResponse], ['a-b.local', '0x0001 A', true]);
  const [answer] = m.answers;
  assert.deepEqual([answer.name, answer.address, answer.ttl, answer.cacheFlush], ['a-b.local', '10.0.0.1', 120, true]);
  assert.match(refusal('mdns', bytes(u16(0, 0, 1, 0, 0, 0), 'c00c 0001 0001')), /the question is cut off or its name is not one/);
});

test('text that is not what --format says is refused with its offset', () => {
  assert.equal(refusal('stun', '00 0g', '--format', 'hex'), 'duet: hex: offset 4: the second digit of a byte is missing');
  assert.equal(refusal('stun', 'AAE!', '--format', 'base64'), 'duet: base64: offset 3: this character is not expected in base64 (RFC 4648, 4)');
  assert.match(refusal('stun', stunRequest, '--format', 'pcap'), /^duet: pcap: offset 4: 0x00010058 is the magic number of no capture$/);
});

test('a wrong command line is refused with exit code 2', (t) => {
  assert.match(refusal('rtsp', ''), /"rtsp" is none of sdp, candidate, stun, channeldata, sctp, dcep, dtls, mdns, turn-stream, rfc4571, rtp, rtcp, payload, file and pcap/);
  assert.match(refusal('stun', '', join(folder(t), 'nothing')), /cannot read .*: No such file or directory/);
  assert.match(refusal('stun', '', '--format', 'morse'), /--format morse: give auto/);
  assert.match(refusal('stun', '', '--key', 'xyz'), /--key xyz: give hexadecimal digits/);
  assert.match(duet(['inspect']).err, /^Usage: duet inspect KIND \[FILE\]/);
});

test('--compact gives one line', () => {
  const run = duet(['inspect', 'dcep', '--compact'], '02');
  assert.equal(run.out, '{"message":"DATA_CHANNEL_ACK","messageType":2}\n');
});

// ---- captures

const ether = (type, payload) => bytes(Buffer.alloc(12, 2), type, payload);
const stunDatagram = udp(stunRequest);
const linktypes = {
  Ethernet: [1, ether('0800', ipv4(stunDatagram))],
  'Ethernet with VLAN tags': [1, ether('88a80005 81000006 86dd', ipv6(stunDatagram))],
  'raw IP': [101, ipv6(stunDatagram)],
  'Linux cooked': [113, bytes(Buffer.alloc(14), '0800', ipv4(stunDatagram))],
  'Linux cooked, second version': [276, bytes('0800', Buffer.alloc(18), ipv4(stunDatagram))],
  IPv4: [228, ipv4(stunDatagram)],
  IPv6: [229, ipv6(bytes([17, 0], Buffer.alloc(6), stunDatagram), 0)],
};

for (const [name, [linktype, frame]] of Object.entries(linktypes)) {
  test(`a capture of ${name} is read`, () => {
    for (const how of [{}, { bigEndian: true }, { nano: true }]) {
      const run = duet(['inspect', 'pcap', '--roundtrip'], pcap(linktype, [frame], how));
      assert.equal(run.code, 0, run.err);
      const [packet] = JSON.parse(run.out);
      assert.equal(packet.protocol, 'stun');
      assert.equal(packet.time, 1700000000.5);
      assert.match(packet.from, /^(192\.0\.2\.1|\[2001:db8::1\]):1000$/);
      assert.equal(packet.message.transactionId, 'b7e7a701bc34d686fa87dfae');
      assert.equal(packet.message.roundtrip, true);
    }
  });
}

test('a capture of SCTP is read, over IP and without', () => {
  const packet = sctpPacket(chunk(11, 0, []));
  for (const file of [pcap(248, [packet]), pcap(101, [ipv4(packet, 132)])]) {
    const run = duet(['inspect', 'sctp', '--compact'], file);
    assert.equal(JSON.parse(run.out).message.chunks[0].name, 'COOKIE ACK');
  }
});

test('each datagram of a capture is what its first byte says', () => {
  const payloads = [stunRequest, record(21, 0, [1, 0]), bytes('40000058', stunRequest.subarray(0, 0x58)), bytes('40010008', '8060', Buffer.alloc(6)),
    bytes('8060', Buffer.alloc(12)), bytes('80c8', Buffer.alloc(10)), [0x10, 0], [0xff], []];
  const run = duet(['inspect', 'pcap', '--compact'], pcap(101, [...payloads.map((p) => ipv4(udp(Buffer.from(p)))), ipv4(Buffer.alloc(20), 6)]));
  const packets = run.out.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(packets.map((p) => p.protocol), ['stun', 'dtls', 'stun', 'rtp', 'rtp', 'rtcp', 'zrtp', 'unknown', 'empty']);
  assert.equal(packets[2].channel, '0x4000');
  assert.match(packets[2].error.reason, /the length field says 88 bytes, 68 follow the header/);
  assert.equal(run.code, 2);
  assert.match(run.err, /^duet: frame 3: stun: offset 2: /m);
});

test('a kind picks its messages out of a capture', () => {
  const open = sctpPacket(chunk(0, 3, bytes(u32(1), u16(7, 0), u32(50), dcepOpen('chat'))));
  const file = pcap(101, [ipv4(stunDatagram), ipv4(open, 132), ipv4(sctpPacket(chunk(11, 0, [])), 132)]);
  const frames = (kind) => JSON.parse(duet(['inspect', kind], file).out).map((p) => p.frame);
  assert.deepEqual(frames('stun'), [1]);
  assert.deepEqual(frames('sctp'), [2, 3]);
  assert.deepEqual(frames('dcep'), [2]);
  assert.deepEqual(frames('dtls'), []);
  const [packet] = JSON.parse(duet(['inspect', 'dcep'], file).out);
  assert.deepEqual([packet.messages[0].label, packet.messages[0].stream], ['chat', 7]);
});

test('a file that ends early gives what it has, and says where it ends', () => {
  const file = pcap(101, [ipv4(stunDatagram), ipv4(stunDatagram)]);
  const run = duet(['inspect', 'pcap'], file.subarray(0, file.length - 10));
  assert.equal(run.code, 2);
  assert.equal(JSON.parse(run.out).length, 1);
  assert.equal(run.err, 'duet: pcap: offset 192: the file ends 126 bytes into a part of 136 bytes\n');
});
