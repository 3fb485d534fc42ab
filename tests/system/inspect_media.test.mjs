// duet inspect: RTP and RTCP in the clear, payloads of every codec, and media files.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { model, refusal } from './inspect.mjs';
import { duet, folder, root } from './tool.mjs';
import { bytes, ipv4, pcap, u16, u32, udp } from './wire.mjs';

// ---- RTP

const rtp = bytes('b2e0', u16(1), u32(2), u32(3), u32(10), u32(11), 'bede0001', '10aa2010', Buffer.from('data'), '00000004');

test('an RTP packet tells header, sources, extension elements, payload and padding', () => {
  const m = model('rtp', rtp);
  assert.deepEqual([m.marker, m.payloadType, m.sequenceNumber, m.timestamp, m.ssrc], [true, 96, 1, 2, '0x00000003']);
  assert.deepEqual(m.csrcs, ['0x0000000a', '0x0000000b']);
  assert.equal(m.extension.profile, '0xbede one-byte elements');
  assert.deepEqual(m.extension.elements[0], { id: 1, data: 'aa' });
  assert.deepEqual([m.payload, m.padding], ['64617461', '00000004']);
});

test('a broken RTP packet is refused with the offset', () => {
  assert.match(refusal('rtp', '406000010000000200000003'), /rtp: offset 0: version 1 is not 2 \(RFC 3550, 5\.1\)/);
  assert.match(refusal('rtp', '8060'), /offset 2: an RTP header has at least 12 bytes, this one has 2/);
  assert.match(refusal('rtp', bytes('8160', u16(1), u32(2, 3))), /offset 12: 1 CSRCs need 4 bytes, 0 are left/);
  assert.match(refusal('rtp', bytes('9060', u16(1), u32(2, 3), 'bede0002', u32(0))), /offset 14: the header extension says 8 bytes, 4 are left/);
  assert.match(refusal('rtp', bytes('a060', u16(1), u32(2, 3), '0009')), /offset 13: padding of 9 bytes, 2 are left/);
});

test('RTP of a capture is SRTP: only its header is told', () => {
  const run = duet(['inspect', 'rtp', '--compact'], pcap(101, [ipv4(udp(rtp))]));
  assert.equal(run.code, 0, run.err);
  const packet = JSON.parse(run.out);
  assert.deepEqual([packet.header.sequence, packet.message], [1, undefined]);
});

// Of Chromium: the key frame of VP9 in two temporal layers and its bit rates, then a frame that refers to it.
const withExtension = (number, ...elements) => {
  const list = bytes(...elements.map(([id, value]) => bytes([id, value.length / 2], value)));
  return bytes('9062', u16(number), u32(2, 3), '1000', u16(Math.ceil(list.length / 4)), list, Buffer.alloc(3 - (list.length + 3) % 4), 'aabb');
};
const keyFrame = withExtension(1, [4, '31'], [9, '82000780411ea85141010c04fc03bc'], [16, '01406fac01013f00ef18']);
const later = withExtension(2, [9, '420008']);
const extmap = ['--extmap', '9=dependency-descriptor', '--extmap', '16=http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00'];

test('header extensions tell what they say when their ids have a meaning', () => {
  const [mid, descriptor, layers] = model('rtp', keyFrame, ...extmap).extension.elements;
  assert.deepEqual(mid, { id: 4, data: '31' });
  assert.deepEqual([descriptor.name, descriptor.data], ['dependency-descriptor', undefined]);
  assert.deepEqual([descriptor.value.frameNumber, descriptor.value.startOfFrame, descriptor.value.endOfFrame], [7, true, false]);
  assert.deepEqual(descriptor.value.structure.resolutions, [{ width: 320, height: 240 }]);
  assert.deepEqual(descriptor.value.structure.decodeTargets.map((t) => t.temporalId), [0, 1]);
  assert.deepEqual(layers.value.streams, [[{ spatialId: 0, kilobitsPerSecond: [111, 172], width: 320, height: 240, frameRate: 24 }]]);
  const alone = model('rtp', later, ...extmap).extension.elements[0].value;
  assert.deepEqual([alone.frameNumber, alone.spatialId], [8, undefined]);
  assert.match(alone.warning, /no structure/);
});

test('later packets of a capture refer to the structure of their stream', () => {
  const other = Buffer.from(later);
  other.writeUInt32BE(4, 8);
  const run = duet(['inspect', 'rtp', '--compact', ...extmap], pcap(101, [keyFrame, later, other].map((p) => ipv4(udp(p)))));
  assert.equal(run.code, 0, run.err);
  const [, second, third] = run.out.trim().split('\n').map((line) => JSON.parse(line).header.extension.elements[0].value);
  assert.equal(second.frameNumber, 8);
  assert.equal(second.decodeTargetIndications.length, 2);
  assert.match(third.warning, /no structure/);
});

test('an extension that does not exist is refused', () => {
  assert.match(refusal('rtp', rtp, '--extmap', '9=magic'), /--extmap 9=magic: give an id and what it means: 9=dependency-descriptor/);
  assert.match(refusal('rtp', rtp, '--extmap', 'mid=4'), /give an id/);
  assert.match(refusal('rtcp', '', '--extmap', '4=mid'), /--extmap and --sdp are for rtp and pcap/);
});

// ---- with the description that the packets were agreed in

const description = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=video 9 UDP/TLS/RTP/SAVPF 96 97 45', 'c=IN IP4 0.0.0.0', 'a=mid:0',
  'a=rtpmap:96 VP8/90000', 'a=rtpmap:97 rtx/90000', 'a=fmtp:97 rtx-time=200;apt=96', 'a=rtpmap:45 AV1/90000', 'a=rtcp-mux',
  'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid', 'a=extmap:14/recvonly urn:example:unknown', ''];
const vp8 = bytes('90e0 8123 e4 a0 1002009d012a8002e001');
const typed = (type, payload) => bytes([0x90, type], u16(1), u32(2, 3), 'bede0001', '4030 0000', payload);

test('a description tells what payload types and extensions mean', (t) => {
  const path = folder(t);
  const file = (name, text) => { writeFileSync(join(path, name), text); return ['--sdp', join(path, name)]; };
  const sdp = description.join('\r\n');
  const lines = [{ type: 'candidate', candidate: '' }, { type: 'offer', sdp }, { type: 'result' }].map((line) => JSON.stringify(line));
  for (const given of [file('crlf', sdp), file('lf', description.join('\n')), file('pretty', JSON.stringify({ type: 'answer', sdp }, null, 2)),
    file('lines', `${lines.join('\n')}\n`)]) {
    const m = model('rtp', typed(96, vp8), ...given);
    assert.deepEqual([m.codec, m.content.keyFrame, m.content.pictureId, m.extension.elements[0].value], ['VP8', true, 0x123, '0']);
  }
  const given = file('sdp', sdp);
  const again = model('rtp', typed(97, bytes(u16(77), vp8)), ...given);
  assert.deepEqual([again.codec, again.originalPayloadType, again.originalSequenceNumber], ['rtx', 96, 77]);
  assert.deepEqual([again.content.codec, again.content.width], ['VP8', 640]);
  assert.equal(model('rtp', typed(97, bytes()), ...given).content, undefined, 'a probe without payload');
  assert.match(model('rtp', typed(96, bytes('90')), ...given).warning, /is none of VP8, or ends too early/);
  assert.deepEqual([model('rtp', typed(100, vp8), ...given).codec], [undefined]);
  const run = duet(['inspect', 'pcap', '--compact', ...given], pcap(101, [ipv4(udp(typed(96, vp8)))]));
  assert.deepEqual([JSON.parse(run.out).header.codec, JSON.parse(run.out).message], ['VP8', undefined], 'of SRTP the header alone');
});

test('a file that is no description is refused, and where', (t) => {
  const path = folder(t);
  const message = (text) => {
    writeFileSync(join(path, 'x'), text);
    return refusal('rtp', rtp, '--sdp', join(path, 'x'));
  };
  assert.match(message('v=0\r\nm=video'), /--sdp .*x: line 2, column \d+: /);
  assert.match(message('{"type":"offer"}'), /--sdp .*x: no object has a member "sdp"/);
  assert.match(message('{"type":"offer","sdp":"v=1"}'), /--sdp .*x: line 1/);
  assert.match(message('{"type":'), /--sdp .*x: offset \d/);
  assert.match(message(''), /--sdp .*x: the file is empty/);
  assert.match(refusal('rtp', rtp, '--sdp', join(path, 'missing')), /missing: No such file/);
});

// ---- RTCP

test('a compound tells reports, descriptions and goodbyes', () => {
  const block = bytes(u32(9), '40 ffffff', u32(100), u32(7), u32(5), u32(32768));
  const m = model('rtcp', bytes('81c9', u16(7), u32(1), block, '81ca', u16(3), u32(1), '0104', Buffer.from('name'), '0000', '81cb', u16(1), u32(1)));
  assert.deepEqual(m.packets.map((p) => p.packetType), ['0xc9 RR', '0xca SDES', '0xcb BYE']);
  const [report] = m.packets[0].reports;
  assert.deepEqual([report.ssrc, report.fractionLost, report.packetsLost, report.delaySinceLastSenderReport], ['0x00000009', 0.25, -1, 0.5]);
  assert.deepEqual(m.packets[1].items, [{ ssrc: '0x00000001', item: '0x01 CNAME', text: 'name' }]);
  assert.deepEqual(m.packets[2].ssrcs, ['0x00000001']);
});

test('feedback tells what was lost, what arrived and what is asked for', () => {
  const feedback = (first, type, ...rest) => {
    const body = bytes(u32(1, 2), ...rest);
    return model('rtcp', bytes([0x80 | first, type], u16(body.length / 4), body)).packets[0];
  };
  assert.deepEqual(feedback(1, 205, u16(10, 0x8001)).lost, [10, 11, 26]);
  assert.equal(feedback(1, 206).feedback, 'PLI');
  assert.deepEqual(feedback(4, 206, u32(5), '07000000').requests, [{ ssrc: '0x00000005', sequenceNumber: 7 }]);
  const arrived = feedback(15, 205, u16(100, 3), '000001 00', '2003', '040810 000000');
  assert.deepEqual([arrived.feedback, arrived.statusCount], ['transport-cc', 3]);
  assert.deepEqual(arrived.received.map((p) => p.microseconds), [65000, 67000, 71000]);
  const remb = model('rtcp', bytes('8fce0005', u32(1, 0), Buffer.from('REMB'), '0103ffff', u32(2))).packets[0];
  assert.deepEqual([remb.feedback, remb.bitsPerSecond, remb.ssrcs], ['REMB', 262143, ['0x00000002']]);
  const xr = model('rtcp', bytes('80cf0004', u32(1), '04000002e1a2b3c4d5e6f708')).packets[0];
  assert.equal(xr.blocks[0].ntpTimestamp, '0xe1a2b3c4d5e6f708');
});

test('broken RTCP is refused with the offset', () => {
  assert.match(refusal('rtcp', '80c90002 00000001'), /rtcp: offset 2: the packet says 8 bytes behind its header, 4 are left/);
  assert.match(refusal('rtcp', '80c90001 00000001 00'), /offset 8: an RTCP packet has at least 4 bytes, 1 are left/);
  assert.match(refusal('rtcp', '81c90001 00000001'), /offset 0: the RR packet of 8 bytes does not hold what it says \(RFC 3550, 6\.4\.2\)/);
  assert.match(refusal('rtcp', 'a0c90001 00000001 80c90001 00000001'), /offset 7: padding before the last packet/);
});

// ---- payloads

test('a payload tells what its descriptor says', () => {
  const vp8 = model('payload', '90e0 8123 e4 a0 1002009d012a8002e001', '--codec', 'vp8');
  assert.deepEqual([vp8.codec, vp8.pictureId, vp8.tl0PictureIndex, vp8.temporalId], ['VP8', 0x123, 0xe4, 2]);
  assert.deepEqual([vp8.keyFrame, vp8.width, vp8.height, vp8.descriptor], [true, 640, 480, '90e08123e4a0']);
  const opus = model('payload', '78 01 02', '--codec', 'opus');
  assert.deepEqual([opus.startsFrame, opus.duration, opus.descriptor], [true, 0.02, '']);
  assert.equal(model('payload', '7c85 616263', '--codec', 'H264').keyFrame, true);
});

test('a payload without its codec, or of another, is refused', () => {
  assert.equal(refusal('payload', '78'), 'duet: inspect: give the codec of the payload: --codec VP8');
  assert.match(refusal('payload', '78', '--codec', 'MPEG'), /--codec MPEG: give opus, PCMU, PCMA, VP8, VP9, H264, H265 or AV1/);
  assert.match(refusal('payload', '90', '--codec', 'VP8'), /offset 1: the payload of 1 bytes is none of VP8, or ends too early \(RFC 7741, 4\.2\)/);
  assert.match(refusal('rtp', rtp, '--codec', 'VP8'), /--codec is for payload/);
  assert.match(refusal('payload/VP8', '90'), /none of sdp/);
});

// ---- files

const seed = (name) => readFileSync(join(root, 'fuzz/corpus/media_files', name)).subarray(1);

function file(input, ...args) {
  const run = duet(['inspect', 'file', ...args], input);
  assert.equal(run.code, 0, run.err);
  return JSON.parse(run.out);
}

test('files tell their tracks, and every sample with its time, size and whether it is a key frame', () => {
  const webm = file(seed('a_webm'));
  assert.equal(webm.format, 'WebM');
  assert.deepEqual(webm.tracks.map((t) => [t.kind, t.codec]), [['video', 'VP8'], ['audio', 'opus']]);
  assert.deepEqual([webm.tracks[0].width, webm.tracks[0].height], [16, 16]);
  assert.equal(webm.sampleCount, webm.samples.length);
  assert.equal(webm.samples.find((s) => s.track === 0).keyFrame, true);
  const ogg = file(seed('a_ogg'));
  assert.deepEqual([ogg.format, ogg.tracks[0].preSkip, ogg.duration], ['Ogg', 312, 0.2065]);
  assert.deepEqual(['a_ivf', 'a_wav', 'a_h264', 'a_h265', 'a_y4m'].map((name) => file(seed(name)).format),
    ['IVF', 'WAV', 'H.264', 'H.265', 'YUV4MPEG2']);
});

test('of a file that is cut off, what there is is told', () => {
  const whole = seed('a_ivf'), all = JSON.parse(duet(['inspect', 'file'], whole).out);
  const run = duet(['inspect', 'file'], whole.subarray(0, whole.length - 1)), cut = JSON.parse(run.out);
  assert.equal(run.code, 2);
  assert.equal(run.err, `duet: file: offset ${whole.length - 1}: the file ends too early\n`);
  assert.deepEqual(cut.error, { offset: whole.length - 1, reason: 'the file ends too early' });
  assert.deepEqual([cut.format, cut.tracks, cut.samples], [all.format, all.tracks, all.samples.slice(0, -1)]);
  assert.equal(cut.sampleCount, all.sampleCount - 1);
});

test('a broken file is refused with the offset', () => {
  assert.equal(refusal('file', seed('a_ivf').subarray(0, 50)), 'duet: file: offset 50: the file ends too early');
  assert.match(refusal('file', 'hello'), /^duet: file: offset 0: this is none of Ogg, IVF, WebM/);
  assert.match(refusal('file', pcap(101, [])), /none of Ogg/);
  assert.match(refusal('file', '', '--roundtrip'), /a file is not written again: --roundtrip is for the other kinds/);
});
