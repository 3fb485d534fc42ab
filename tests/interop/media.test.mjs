// Audio and video between duet and other stacks, both ways and in both roles. Run inside in_netns.sh.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { command, match, tool } from './matchmaker.mjs';

const browsers = ['chromium', 'firefox'];
const all = ['--audio', '--video'];

async function run(offerer, answerer, { both = all, offer = [], answer = [], onLine } = {}) {
  const common = [...both, '--timeout', '40'];
  const result = await match(
    command(offerer, 'offer', [...common, ...offer]), command(answerer, 'answer', [...common, ...answer]),
    onLine && { onLine });
  const explain = result.log();
  assert.ok(result.offer?.ok, `the offerer failed: ${result.offer?.reason}\n${explain}`);
  assert.ok(result.answer?.ok, `the answerer failed: ${result.answer?.reason}\n${explain}`);
  return { ...result, duet: offerer === 'duet' ? result.offer : result.answer,
    other: offerer === 'duet' ? result.answer : result.offer };
}

// In both roles: [offerer, answerer, options with the peers' own arguments in the right places].
function bothRoles(peer, { duet = [], other = [] } = {}) {
  return [
    ['duet', peer, { offer: duet, answer: other }],
    [peer, 'duet', { offer: other, answer: duet }],
  ];
}

function assertPictures({ duet, other }) {
  assert.ok(duet.framesDecoded >= 15, `duet decoded ${duet.framesDecoded}`);
  assert.equal(duet.decodeErrors, 0);
  assert.ok(duet.countersRead >= 10, `duet read ${duet.countersRead} counters`);
  assert.equal(duet.countersBackward, 0);
  assert.ok(other.framesDecoded >= 15, `the other decoded ${other.framesDecoded}`);
  assert.ok(other.countersRead >= 10, `the other read ${other.countersRead} counters`);
  assert.equal(other.countersBackward, 0);
}

const of = (peer, type, kind) => peer.statsDump.find((s) => s.type === type && (!kind || s.kind === kind));

for (const browser of browsers) {
  for (const [offerer, answerer, options] of bothRoles(browser, { other: ['--stats', '--min-seconds', '6'] })) {
    test(`${offerer} calls ${answerer} with audio, video and data in one bundle`, async () => {
      const result = await run(offerer, answerer, { ...options, both: [...all, '--data'] });
      assertPictures(result);
      assert.equal(result.offer.dcEchoOk, 8);
      assert.ok(result.duet.audioEnergy > 1);
      assert.ok(result.other.audioEnergy > 0.001, `the browser heard ${result.other.audioEnergy}`);
      assert.ok(result.other.concealedAfter2s < 0.01, `${result.other.concealedAfter2s} of the sound was concealed`);
      const remote = of(result.other, 'remote-inbound-rtp', 'video');
      assert.ok(remote && remote.roundTripTime < 0.5, "the browser knows its round-trip time from duet's reports");
      assert.ok(of(result.other, 'remote-outbound-rtp', 'audio')?.packetsSent > 50, 'sender reports of duet arrive');
    });
  }
  for (const [offerer, answerer, options] of bothRoles(browser, { duet: ['--codec', 'VP9'], other: ['--codec', 'VP9'] })) {
    test(`${offerer} calls ${answerer} with VP9`, async () => {
      const result = await run(offerer, answerer, options);
      assertPictures(result);
      assert.equal(result.duet.videoCodec, 'VP9');
    });
  }
  const lossy = ['--impair', 'loss=0.05,delay=20ms,seed=5'];
  for (const [offerer, answerer, options] of bothRoles(browser, { duet: lossy, other: ['--stats', '--min-seconds', '10'] })) {
    test(`${offerer} calls ${answerer} through 5 % loss: both ask again, and both repair`, async () => {
      const result = await run(offerer, answerer, options);
      assertPictures(result);
      assert.ok(result.duet.nacksSent > 0 && result.duet.nackRecovered > 0, 'duet asked and was answered');
      assert.ok(result.duet.nacksReceived > 0 && result.duet.retransmittedPacketsSent > 0, 'duet was asked and answered');
      assert.ok(of(result.other, 'inbound-rtp', 'video').nackCount > 0);
    });
  }
}

test("chromium's estimate of the bandwidth follows duet's transport-wide feedback", async () => {
  const { other } = await run('duet', 'chromium', { answer: ['--min-estimate', '400000'] }); // it begins at 300 kbit/s
  assert.ok(other.maxOutgoingBitrate >= 400_000, `${other.maxOutgoingBitrate} bit/s`);
});

// Without NACK only a key frame repairs what is lost.
function withoutNack(from, line) {
  if (line.sdp) line.sdp = line.sdp.replace(/a=rtcp-fb:\d+ nack\r\n/g, '');
  return line;
}

for (const browser of browsers) {
  test(`without NACK, ${browser} and duet ask each other for key frames, and get them`, async () => {
    const result = await run('duet', browser, {
      both: ['--video'], offer: ['--impair', 'loss=0.03,seed=9'], answer: ['--stats', '--min-seconds', '8'],
      onLine: withoutNack,
    });
    assert.equal(result.duet.nacksSent, 0);
    assert.ok(result.duet.plisReceived > 0, 'the browser sent a PLI');
    assert.ok(result.duet.keyFramesSent > 1 && result.other.keyFrames > 1, 'and got a key frame');
    assert.ok(result.duet.plisSent > 0 && result.duet.keyFrames > 1, 'duet sent a PLI, and got a key frame');
    assertPictures(result);
  });
}

test('duet restarts ICE with chromium under audio, video and data, and all go on', async () => {
  const result = await run('duet', 'chromium', { both: [...all, '--data'], offer: ['--restart'] });
  assertPictures(result);
  assert.ok(result.duet.audioPacketsReceived >= 100);
});

// Firefox, after such a change, now and then neither sends nor shows anything more, with Chromium as with duet.
test('chromium calls duet and stops the first of its tracks, and pictures go on both ways', async () => {
  const { duet, other } = await run('chromium', 'duet', { offer: ['--stop-first', '--min-seconds', '4'] });
  assert.ok(other.framesAfterStop >= 20, `${other.framesAfterStop} pictures afterwards`);
  assert.equal(duet.countersBackward, 0);
  assert.ok(duet.framesDecoded >= 80, `duet decoded ${duet.framesDecoded}`);
});

// What Chromium says in header extensions about its layers, out of a capture: the ids are those of duet's offer.
function layersIn(file) {
  const extmap = ['--extmap', '9=dependency-descriptor', '--extmap', '12=video-layers-allocation'];
  const out = execFileSync(tool, ['inspect', 'rtp', '--compact', ...extmap, file], { encoding: 'utf8', maxBuffer: 1 << 27 });
  const packets = out.trim().split('\n').map((line) => JSON.parse(line)).filter((p) => p.from.startsWith('192.0.2.2:'));
  const values = (name) => packets.flatMap((p) => p.header.extension?.elements ?? []).filter((e) => e.name === name).map((e) => e.value);
  return { descriptors: values('dependency-descriptor'), allocations: values('video-layers-allocation') };
}

for (const codec of ['VP8', 'VP9']) {
  test(`chromium tells the layers of its ${codec} with every packet`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'duet-layers-'));
    const file = join(folder, 'call.pcapng');
    try {
      await run('duet', 'chromium', { both: ['--video', '--codec', codec], offer: ['--pcap', file] });
      const { descriptors, allocations } = layersIn(file);
      const read = descriptors.filter((d) => !d.warning); // retransmissions are a stream of their own
      assert.ok(read.length >= 15, `${read.length} of ${descriptors.length} descriptors`);
      assert.ok(read.some((d) => d.structure?.resolutions[0].width === 320));
      assert.ok(read.every((d) => d.spatialId === 0 && d.frameNumber > 0));
      assert.ok(allocations.length > 0 && allocations.every((a) => a.streams[0][0].kilobitsPerSecond[0] > 0));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

// Whoever has red in front of Opus sends each packet twice (RFC 2198): both do, as both follow the offer.
for (const [offerer, answerer, options] of bothRoles('chromium', {
  duet: ['--impair', 'loss=0.05,delay=10ms,seed=6'], other: ['--stats', '--min-seconds', '8'],
})) {
  test(`${offerer} calls ${answerer} with redundant audio, and loss is not heard`, async () => {
    const { duet, other } = await run(offerer, answerer, { ...options, both: ['--audio', '--codec', 'red'] });
    const sound = of(other, 'inbound-rtp', 'audio');
    assert.ok(duet.audioRedundancySent > 200 && duet.audioFecReceived > 200);
    assert.ok(duet.audioFecDiscarded < duet.audioFecReceived - 5, 'some of it was needed');
    assert.ok(duet.audioSamplesConcealed < 0.035 * duet.audioSamples, `${duet.audioSamplesConcealed} samples concealed`);
    assert.ok(duet.audioEnergy > 1 && sound.totalAudioEnergy > 0.001);
    // This version of Chromium counts what it did not need as packets that it discarded.
    assert.ok(Math.max(sound.fecPacketsReceived, sound.packetsDiscarded) > 200, 'the browser unwraps redundancy');
    assert.ok(sound.packetsLost > 3);
    assert.ok(other.concealedAfter2s < 0.03, `${other.concealedAfter2s} of the sound was concealed`);
  });
}

// Chromium's microphone beeps, and between the beeps it sends comfort noise.
test('chromium and duet speak G.711, and pauses are comfort noise', async () => {
  const { duet, other } = await run('chromium', 'duet', {
    both: ['--audio', '--codec', 'PCMU'], offer: ['--min-seconds', '5'], onLine: (from, line) => {
      if (line.sdp) assert.match(line.sdp, /a=rtpmap:13 CN\/8000\r\n/);
      return line;
    },
  });
  assert.equal(duet.audioCodec, 'PCMU');
  assert.ok(duet.audioEnergy > 1 && other.audioEnergy > 0.001);
  assert.ok(duet.audioPacketsReceived < 0.9 * other.audioPacketsReceived, 'it paused');
  assert.ok(duet.audioSamplesConcealed < 0.1 * duet.audioSamples, `${duet.audioSamplesConcealed} samples concealed`);
});

for (const codec of ['H264', 'AV1']) {
  test(`chromium's ${codec} goes through duet and back, encoded as it came`, async () => {
    const options = { both: ['--video'], offer: ['--codec', codec], answer: ['--codec', codec, '--echo'] };
    const { duet, other } = await run('chromium', 'duet', options);
    assert.equal(duet.videoCodec, codec);
    assert.equal(duet.framesDecoded, -1);
    assert.ok(duet.framesReceived >= 15 && duet.keyFrames >= 1);
    assert.ok(other.countersRead >= 10, 'the browser sees its own pattern again');
    assert.equal(other.countersBackward, 0);
  });
}

// aiortc gives one id to two extensions of a bundle, and fails on its own packets then: duet does not answer them.
for (const [offerer, answerer] of bothRoles('aiortc')) {
  test(`${offerer} calls ${answerer} with audio and video`, async () => {
    const { duet, other } = await run(offerer, answerer);
    assert.ok(duet.audioEnergy > 1 && other.audioEnergy > 1);
    assert.ok(duet.framesDecoded >= 15 && other.framesDecoded >= 15);
  });
}

// werift sends back what it receives.
for (const [offerer, answerer] of bothRoles('werift')) {
  test(`${offerer} calls ${answerer} with audio, video and data`, async () => {
    const { duet, offer } = await run(offerer, answerer, { both: [...all, '--data'] });
    assert.equal(offer.dcEchoOk, 8);
    assert.ok(duet.audioEnergy > 1);
    assert.ok(duet.framesDecoded >= 15 && duet.countersRead >= 10);
    assert.equal(duet.countersBackward, 0);
  });
}

// GStreamer's webrtcbin shows a ball, which has no counter.
for (const [offerer, answerer] of bothRoles('gst')) {
  for (const codec of ['VP8', 'VP9']) {
    test(`${offerer} calls ${answerer} with audio, ${codec} and data`, async () => {
      const { duet, other } = await run(offerer, answerer, { both: [...all, '--data', '--codec', codec] });
      assert.equal(duet.videoCodec, codec);
      assert.ok(duet.audioEnergy > 1 && other.audioSamples > 48000);
      assert.ok(duet.framesDecoded >= 15 && other.framesDecoded >= 15);
      assert.equal(duet.decodeErrors, 0);
    });
  }
}

test("webrtcbin's H264 goes through duet and back, encoded as it came", async () => {
  const { duet, other } = await run('gst', 'duet', { both: ['--video', '--codec', 'H264'], answer: ['--echo'] });
  assert.equal(duet.framesDecoded, -1);
  assert.ok(duet.framesReceived >= 15 && duet.keyFrames >= 1);
  assert.ok(other.framesDecoded >= 15);
});

test('duet calls duet through loss, jitter and reordering', async () => {
  const impaired = ['--impair', 'loss=0.02,delay=10ms,jitter=5ms,reorder=0.02,duplicate=0.02,seed=4'];
  for (const codec of ['VP8', 'VP9']) {
    const result = await run('duet', 'duet', { both: [...all, '--codec', codec], offer: impaired });
    assertPictures({ duet: result.offer, other: result.answer });
  }
});
