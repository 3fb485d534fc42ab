// duet call: with itself through the room server, what it records and plays, with the page, and with duet echo.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { duet, here, sleep, start, startServer, tool, within } from './common.mjs';
import { Page, serveEcho, withBrowsers } from './page.mjs';

// Nothing leaves this machine: in a namespace of our own any interface will do, otherwise loopback only.
const local = process.env.DUET_NETNS ? [] : ['--bind', '127.0.0.1'];
const folder = mkdtempSync(join(tmpdir(), 'duet-call-'));
const file = (name) => join(folder, name);

let server;
before(async () => { server = await startServer(['--dev', '--mesh-limit', '32']); });
after(async () => {
  rmSync(folder, { recursive: true });
  assert.equal(await server.stop(), 0, server.child.text);
});

const json = (child, type) => child.lines.map((line) => JSON.parse(line)).filter((line) => line.type === type);
const result = (child) => json(child, 'result')[0];

async function enter(room, sub, ...args) {
  const child = duet('call', room, '--signaling', server.ws, '--token', await server.token(sub), '--json', ...local, ...args);
  await child.line((line) => line.includes('"ready"'));
  return child;
}

async function ended(child, code = 0) {
  assert.equal(await within(40000, child.exited, 'the call'), code, child.text + child.lines.join('\n'));
  return result(child);
}

// Debian's Python has PyAV. What the file holds, decoded.
const look = (name) => JSON.parse(execFileSync('/usr/bin/python3', [join(here, 'call_check.py'), file(name)], { encoding: 'utf8' }));

const make = (name, ...args) => execFileSync('/usr/bin/python3', [join(here, 'call_make.py'), file(name), ...args.map(String)]);

const near = (value, wanted, by, what) => assert.ok(Math.abs(value - wanted) <= by, `${what}: ${value}, not ${wanted} ± ${by}`);

// The pattern, frame after frame: all counters can be read, and grow (by one, where nothing was dropped).
function patternIsWhole({ frames, counters, size, timesGrow }, { gaps = 2 } = {}) {
  assert.deepEqual(size, [320, 240]);
  assert.equal(timesGrow, true);
  const read = counters.filter((c) => c !== null);
  assert.ok(read.length >= frames - 1, `${read.length} of ${frames} counters`);
  const steps = read.slice(1).map((c, i) => c - read[i]);
  assert.ok(steps.every((s) => s > 0), `backward: ${steps}`);
  assert.ok(steps.filter((s) => s !== 1).length <= gaps, `gaps: ${steps}`);
}

const isTone = ({ loudest, level }) => {
  near(loudest, 440, 3, 'the tone');
  near(level, 0.177, 0.05, 'its level');
};

// One side sends tone and pattern for some seconds, the other one records.
async function record(room, name, seconds, sending = [], receiving = []) {
  const recorder = await enter(room, 'recorder', '--audio', 'none', '--video', 'none', '--record', file(name), '--quiet', ...receiving);
  const sender = await enter(room, 'sender', '--seconds', String(seconds), '--quiet', ...sending);
  await ended(sender);
  return ended(recorder);
}

// ---- recording ----

test('tone and pattern go both ways, with figures each second', async () => {
  const ann = await enter('both', 'ann');
  const ben = await enter('both', 'ben', '--seconds', '4');
  const [mine, theirs] = [await ended(ben), await ended(ann)];
  assert.equal(mine.reason, 'the time is over');
  assert.equal(theirs.reason, 'everybody has left');
  for (const [child, { peers: [peer] }] of [[ann, theirs], [ben, mine]]) {
    assert.ok(peer.framesDecoded > 75 && peer.countersRead > 75, JSON.stringify(peer));
    assert.equal(peer.countersBackward, 0);
    assert.ok(peer.audioReceived > 150 && peer.audioEnergy > 100, JSON.stringify(peer));
    const stats = json(child, 'stats').at(-1);
    assert.deepEqual([stats.videoCodec, stats.audioCodec, stats.width, stats.height], ['VP8', 'opus', 320, 240]);
    near(stats.audioLevelDb, -15, 2, 'level');
    near(stats.fps, 25, 4, 'fps');
    assert.ok(stats.kbitIn > 50 && stats.kbitOut > 50 && stats.rttMs >= 0 && stats.lossIn < 5, JSON.stringify(stats));
  }
});

test('a WebM has sound and pictures together', async () => {
  const { recorded } = await record('webm', 'both.webm', 4);
  assert.equal(recorded.bytes, statSync(file('both.webm')).size);
  const seen = look('both.webm');
  assert.deepEqual(seen.codecs, { video: 'vp8', audio: 'opus' });
  near(seen.duration, 4, 0.5, 'duration');
  near(seen.duration, recorded.seconds, 0.05, 'as told');
  patternIsWhole(seen.video);
  isTone(seen.audio);
  near(seen.audio.seconds, seen.video.last, 0.3, 'as long as each other');
});

test('a WebM plays in a MediaSource, piece by piece', () => withBrowsers(['chromium'], async (chromium) => {
  const page = await chromium.newPage();
  const played = await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), video = document.createElement('video'), source = new MediaSource();
    video.src = URL.createObjectURL(source);
    await new Promise((resolve) => { source.addEventListener('sourceopen', resolve); });
    const buffer = source.addSourceBuffer('video/webm; codecs="vp8,opus"');
    for (let at = 0; at < bytes.length && !video.error; at += 20000) {
      buffer.appendBuffer(bytes.subarray(at, at + 20000));
      await new Promise((resolve) => { buffer.addEventListener('updateend', resolve, { once: true }); });
    }
    return video.error?.message ?? video.buffered.end(video.buffered.length - 1) - video.buffered.start(0);
  }, readFileSync(file('both.webm')).toString('base64'));
  near(played, look('both.webm').duration, 0.3, 'all of it');
}));

test('VP9 is recorded when it is asked for', async () => {
  await record('vp9', 'nine.webm', 3, ['--codec', 'VP9']);
  const seen = look('nine.webm');
  assert.deepEqual(seen.codecs, { video: 'vp9', audio: 'opus' });
  patternIsWhole(seen.video);
});

for (const name of ['sound.opus', 'pictures.ivf', 'sound.wav', 'pictures.y4m']) {
  test(`${name} is recorded`, async () => {
    const { recorded } = await record(name, name, 3);
    const seen = look(name);
    near(recorded.seconds, 3, 0.5, 'duration');
    if (name.startsWith('sound')) {
      isTone(seen.audio);
      near(seen.audio.seconds, recorded.seconds, 0.1, 'duration');
      assert.equal(seen.video, undefined);
      return;
    }
    near(seen.video.frames, 75, 15, 'frames');
    patternIsWhole(seen.video, { gaps: 3 });
    assert.equal(seen.audio, undefined);
  });
}

test('a WebM has what comes: sound alone, or pictures alone', async () => {
  await record('alone', 'soundalone.webm', 2, ['--video', 'none']);
  await record('alone', 'picturesalone.webm', 2, ['--audio', 'none']);
  const [sound, pictures] = [look('soundalone.webm'), look('picturesalone.webm')];
  assert.deepEqual(sound.codecs, { audio: 'opus' });
  isTone(sound.audio);
  assert.deepEqual(pictures.codecs, { video: 'vp8' });
  patternIsWhole(pictures.video);
});

test('G.711 is recorded decoded', async () => {
  await record('g711', 'g711.wav', 3, ['--codec', 'PCMU']);
  const seen = look('g711.wav');
  near(seen.audio.loudest, 440, 3, 'the tone');
});

test('what a lossy network lets through is recorded: every picture that is there is good', async () => {
  const bad = ['--impair', 'loss=0.03,delay=20ms,jitter=5ms,seed=3'];
  await record('lossy', 'lossy.webm', 5, bad, []);
  const { video, audio } = look('lossy.webm');
  assert.ok(video.frames > 90, `${video.frames} frames`);
  patternIsWhole(video, { gaps: 8 });
  isTone(audio);
  near(audio.seconds, video.last, 0.6, 'together');
});

test('sound and pictures stay together, also when they begin in a network that delays them', async () => {
  make('sync.webm', 'sync', 150);
  const ann = await enter('sync', 'ann', '--quiet', '--audio', 'none', '--video', 'none', '--record', file('synced.webm'));
  const ben = await enter('sync', 'ben', '--quiet', '--audio', file('sync.webm'), '--video', file('sync.webm'),
    '--impair', 'delay=40ms,jitter=30ms,loss=0.02,seed=2');
  await ended(ben);
  await ended(ann);
  const { video: { times, counters }, audio: { onsets } } = look('synced.webm');
  const together = [50, 75, 100, 125].filter((k) => counters.includes(k)).map((k) => times[counters.indexOf(k)])
    .filter((time) => onsets.some((onset) => Math.abs(onset - time) < 0.045)); // a beep may have been lost
  assert.ok(together.length >= 3, JSON.stringify({ together, onsets }));
});

test('a format that does not hold the codec ends the call, and tells what to do', async () => {
  const recorder = await enter('wrong', 'recorder', '--record', file('wrong.opus'));
  const sender = await enter('wrong', 'sender', '--codec', 'PCMA', '--seconds', '5');
  assert.equal((await ended(recorder, 1)).ok, false);
  assert.match(recorder.text, /Ogg does not hold PCMA, which the peer sends: choose another format, or ask for a codec with --codec/);
  sender.kill('SIGINT');
  await ended(sender);
});

// ---- files ----

test('files are played in their rhythm, encoded ones as they are, and the call ends with them', async () => {
  const frames = look('both.webm').video.counters;
  const ann = await enter('play', 'ann', '--audio', 'none', '--video', 'none', '--record', file('again.webm'));
  const ben = await enter('play', 'ben', '--audio', file('both.webm'), '--video', file('both.webm'));
  const mine = await ended(ben);
  assert.equal(mine.reason, 'the files were sent');
  near(mine.seconds, 4.4, 1, 'in the rhythm of the file');
  assert.equal(mine.peers[0].videoSent, frames.length);
  await ended(ann);
  const seen = look('again.webm');
  assert.deepEqual(seen.video.counters, frames); // not coded again: the same pictures, each of them
  patternIsWhole(seen.video);
  isTone(seen.audio);
});

for (const [audio, video] of [['sound.opus', 'pictures.ivf'], ['sound.wav', 'pictures.y4m'], ['tone', 'nine.webm']]) {
  test(`${audio} and ${video} are played`, async () => {
    const source = (name) => (name === 'tone' ? name : file(name));
    const ann = await enter(audio + video, 'ann', '--quiet');
    const ben = await enter(audio + video, 'ben', '--quiet', '--audio', source(audio), '--video', source(video));
    const mine = await ended(ben), theirs = await ended(ann);
    assert.equal(mine.reason, 'the files were sent');
    const [got] = theirs.peers, [sent] = mine.peers;
    assert.equal(got.videoCodec, video === 'nine.webm' ? 'VP9' : 'VP8');
    assert.ok(got.framesDecoded >= sent.videoSent - 3 && got.framesDecoded > 50, JSON.stringify([sent, got]));
    assert.equal(got.countersBackward, 0);
    assert.ok(got.audioEnergy > 50, JSON.stringify(got));
  });
}

test('a file that was cut out of the middle of a broadcast is played at once', async () => {
  const bytes = Buffer.from(readFileSync(file('pictures.ivf')));
  const hour = BigInt(bytes.readUInt32LE(16) / bytes.readUInt32LE(20) * 3600);
  for (let at = 32; at < bytes.length; at += 12 + bytes.readUInt32LE(at)) bytes.writeBigUInt64LE(bytes.readBigUInt64LE(at + 4) + hour, at + 4);
  writeFileSync(file('late.ivf'), bytes);
  const ann = await enter('late', 'ann', '--quiet');
  const mine = await ended(await enter('late', 'ben', '--quiet', '--video', file('late.ivf')));
  near(mine.seconds, 3.4, 1, 'as long as its pictures');
  const { peers: [peer] } = await ended(ann);
  assert.ok(peer.framesDecoded >= mine.peers[0].videoSent - 3 && peer.framesDecoded > 50, JSON.stringify(peer));
});

for (const [rate, channels, ...codec] of [[44100, 2], [11025, 1], [22050, 1], [96000, 2], [44100, 2, '--codec', 'PCMU'], [16000, 1, '--codec', 'PCMA']]) {
  test(`a WAV of ${rate} Hz is heard as it is${codec.length ? `, with ${codec[1]}` : ''}`, async () => {
    const name = `${rate}${codec[1] ?? ''}.wav`;
    make(name, rate, channels);
    const { recorded } = await record(name, `heard${name}`, 10, ['--audio', file(name), '--video', 'none', ...codec]);
    near(recorded.seconds, 2.4, 0.3, 'two seconds, and what the call lingers');
    isTone(look(`heard${name}`).audio);
  });
}

for (const [name, codec, kept, wanted] of [['made.h264', 'libx264', 'kept.h264', 'H264'], ['made.h265', 'libx265', 'kept.h265', 'H265'],
  ['made.ivf', 'libaom-av1', 'kept.webm', 'AV1']]) {
  test(`${wanted}, which is not encoded here, goes out from a file and into one`, async () => {
    make(name, codec, 75);
    const ann = await enter(name, 'ann', '--quiet', '--audio', 'none', '--video', 'none', '--record', file(kept));
    const ben = await enter(name, 'ben', '--quiet', '--audio', 'none', '--video', file(name));
    assert.equal((await ended(ben)).peers[0].videoSent, 75);
    const { peers: [peer] } = await ended(ann);
    assert.equal(peer.videoCodec, wanted);
    assert.equal(peer.keyFrames, 3);
    const seen = look(kept);
    assert.equal(seen.video.frames, 75);
    assert.deepEqual(seen.video.counters, Array.from({ length: 75 }, (_, i) => i));
  });
}

test('a file that is cut off is played as far as it goes, also in a loop', async () => {
  const bytes = readFileSync(file('pictures.ivf'));
  writeFileSync(file('cutoff.ivf'), bytes.subarray(0, bytes.length / 2));
  const ann = await enter('cut', 'ann', '--quiet', '--seconds', '5');
  const ben = await enter('cut', 'ben', '--quiet', '--loop', '--video', file('cutoff.ivf'));
  assert.ok((await ended(ann)).peers[0].countersBackward > 0, 'it began again');
  ben.kill('SIGINT');
  await ended(ben);
  assert.equal(ben.text.match(/cutoff\.ivf: offset \d+: the file ends too early: what comes before is sent/g)?.length, 1, ben.text);
});

test('duet echo sends back a codec that neither side decodes', async () => {
  const echo = await serveEcho(server, 'h265');
  const call = await enter('h265', 'caller', '--video', file('made.h265'), '--codec', 'PCMU', '--loop', '--seconds', '3');
  const { peers: [peer] } = await ended(call);
  assert.ok(peer.audioReceived > 50, JSON.stringify(peer));
  assert.equal(peer.audioCodec, 'PCMU');
  assert.ok(peer.videoSent > 50, JSON.stringify(peer));
  assert.equal(await echo.end(), 0, echo.text);
});

test('with --loop files begin again, and it stays for the next one', async () => {
  const station = await enter('loop', 'station', '--loop', '--audio', file('both.webm'), '--video', file('both.webm'));
  for (const name of ['ann', 'ben']) {
    const guest = await ended(await enter('loop', name, '--audio', 'none', '--video', 'none', '--seconds', '7', '--quiet'));
    const [peer] = guest.peers;
    assert.ok(peer.countersBackward >= 1, JSON.stringify(peer)); // it began again
    assert.ok(peer.framesDecoded > 100 && peer.audioReceived > 250, JSON.stringify(peer));
  }
  station.kill('SIGINT');
  assert.equal((await ended(station)).peers.length, 2);
});

// ---- others ----

test('three are in one call', async () => {
  const children = [];
  for (const name of ['ann', 'ben', 'cy']) children.push(await enter('three', name, '--quiet'));
  await Promise.all(children.map((child) => child.line(() => json(child, 'connected').length === 2)));
  await sleep(3000);
  children.forEach((child) => child.kill('SIGINT'));
  for (const child of children) {
    const { peers } = await ended(child);
    assert.equal(peers.length, 2);
    for (const peer of peers) assert.ok(peer.countersRead > 20 && peer.countersBackward === 0, JSON.stringify(peer));
  }
});

test('two who come at the same moment connect, whichever offer is taken', async () => {
  for (let i = 0; i < 3; i++) {
    const pair = await Promise.all(['ann', 'ben'].map((name) => enter(`glare${i}`, name, '--quiet')));
    await Promise.all(pair.map((child) => child.line((line) => line.includes('"connected"'))));
    await sleep(1500);
    pair.forEach((child) => child.kill('SIGINT'));
    for (const child of pair) assert.ok((await ended(child)).peers[0].framesDecoded > 10, child.lines.join('\n'));
  }
});

test('duet echo sends back what is called into it', async () => {
  const echo = await serveEcho(server, 'echo');
  const call = await ended(await enter('echo', 'caller', '--seconds', '4', '--record', file('echo.webm')));
  assert.ok(call.peers[0].countersRead > 50, JSON.stringify(call));
  assert.equal(await echo.end(), 0, echo.text);
  const seen = look('echo.webm');
  patternIsWhole(seen.video, { gaps: 3 });
  isTone(seen.audio);
});

for (const name of ['chromium', 'firefox']) test(`the page in ${name} sees and hears the call, and is recorded`, () => withBrowsers([name], async (browser) => {
  const ann = await Page.open(browser, server.http, { room: name, token: await server.token('ann') });
  await ann.shown('#room-view');
  const call = await enter(name, 'station', '--record', file(`${name}.webm`));
  await call.line((line) => line.includes('"connected"'), 30000);
  await ann.sees('station');
  await ann.decodes();
  await ann.until(async () => {
    const reports = await Promise.all(window.connections.map((pc) => pc.getStats()));
    return reports.flatMap((r) => [...r.values()]).some((s) => s.type === 'inbound-rtp' && s.kind === 'audio' && s.totalAudioEnergy > 0.01);
  });
  await ann.click('#join-video');
  await call.line((line) => line.includes('"stats"') && line.includes('"width"'), 30000);
  await sleep(4000);
  call.kill('SIGINT');
  const done = await ended(call);
  assert.ok(done.peers[0].framesDecoded > 20, JSON.stringify(done));
  const seen = look(`${name}.webm`);
  assert.deepEqual(seen.codecs, { video: 'vp8', audio: 'opus' });
  assert.ok(seen.video.frames > 20 && seen.video.timesGrow && seen.audio.seconds > 1, JSON.stringify(seen));
  assert.deepEqual(ann.problems, []);
}));

// The camera of a page that is recorded, and what is done with its sender in between.
async function recordPage(name, change) {
  const call = await enter(name, 'station', '--quiet', '--record', file(name));
  await withBrowsers(['chromium'], (chromium) => beRecorded(chromium, name, call, change));
  const { recorded } = await ended(call);
  return { call, recorded, seen: look(name) };
}

async function beRecorded(chromium, name, call, change) {
  const ann = await Page.open(chromium, server.http, { room: name, token: await server.token('ann') });
  await ann.shown('#room-view');
  await call.line((line) => line.includes('"connected"'), 30000);
  await ann.click('#join-video');
  await call.line((line) => line.includes('"recording"'), 30000);
  await sleep(2000);
  await change(ann.page);
  await sleep(2500);
  call.kill('SIGINT');
  await call.exited;
}

test('a peer that changes its codec leaves the recording whole', async () => {
  const choose = (page, codec) => page.evaluate(async (type) => {
    const sender = window.connections.at(-1).getSenders().find((s) => s.track?.kind === 'video'), parameters = sender.getParameters();
    [parameters.encodings[0].codec] = RTCRtpSender.getCapabilities('video').codecs.filter((c) => c.mimeType === type);
    await sender.setParameters(parameters);
  }, codec);
  const { call, seen: { codecs, video } } = await recordPage('codecs.webm', async (page) => {
    await choose(page, 'video/VP9');
    await sleep(2000);
    await choose(page, 'video/VP8');
  });
  assert.equal(codecs.video, 'vp8');
  assert.match(call.text, /codecs\.webm: the peer sends VP9 now, and the file holds VP8: its pictures are left out/);
  assert.ok(video.timesGrow && video.times.filter((t) => t < 2).length > 15 && video.times.filter((t) => t > 4.2).length > 15, JSON.stringify(video.times));
});

test('a recording of constant rate lasts as long as the call, also when the peer sends pictures anew', async () => {
  const { recorded, seen: { video } } = await recordPage('anew.y4m', (page) => page.evaluate(async () => {
    const pc = window.connections.at(-1), old = pc.getTransceivers().find((t) => t.sender.track?.kind === 'video'), track = old.sender.track.clone();
    old.stop();
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    pc.addTrack(track, new MediaStream([track]));
  }));
  near(recorded.seconds, 5, 1.5, 'its length');
  near(video.last, recorded.seconds, 0.2, 'as told');
});

// ---- the end, and errors ----

test('the page sees H.264 from a file; of H.265, which it does not take, it is told', () => withBrowsers(['chromium'], async (chromium) => {
  const ann = await Page.open(chromium, server.http, { room: 'h264', token: await server.token('ann') });
  await ann.shown('#room-view');
  const call = await enter('h264', 'station', '--quiet', '--loop', '--audio', file('sound.opus'), '--video', file('made.h264'));
  await ann.sees('station');
  await ann.decodes();
  call.kill('SIGINT');
  assert.ok((await ended(call)).peers[0].videoSent > 10);
  const other = await enter('h264', 'other', '--quiet', '--seconds', '3', '--loop', '--audio', 'tone', '--video', file('made.h265'));
  const { peers: [peer] } = await ended(other);
  assert.equal(peer.videoSent, 0);
  assert.ok(peer.audioSent > 50, JSON.stringify(peer));
  assert.match(other.text, /it does not take H265, which is in .*made\.h265: that is not sent/);
}));

test('an interrupt completes the recording and says goodbye', async () => {
  const ann = await enter('bye', 'ann', '--record', file('bye.webm'));
  const ben = await enter('bye', 'ben');
  await ann.line((line) => line.includes('"stats"'));
  await sleep(1500);
  const at = Date.now();
  ann.kill('SIGINT');
  assert.equal((await ended(ann)).reason, 'interrupted');
  assert.equal((await ended(ben)).reason, 'everybody has left');
  assert.ok(Date.now() - at < 3000, 'at once');
  patternIsWhole(look('bye.webm').video);
});

test('that a peer falls silent is told, and that it is back', async () => {
  const ann = await enter('silent', 'ann', '--quiet');
  const ben = await enter('silent', 'ben', '--quiet');
  await Promise.all([ann, ben].map((child) => child.line((line) => line.includes('"connected"'))));
  await sleep(500);
  ben.kill('SIGSTOP');
  await ann.line((line) => line.includes('"disconnected"'), 10000);
  ben.kill('SIGCONT');
  await ann.line((line) => line.includes('"reconnected"'), 10000);
  ben.kill('SIGINT');
  assert.equal((await ended(ann)).reason, 'everybody has left');
});

test('a call outlives the room server', async () => {
  const own = await startServer();
  const run = async (sub) => duet('call', 'r', '--signaling', own.ws, '--token', await own.token(sub), '--json', ...local, '--seconds', '4', '--quiet');
  const calls = [await run('ann'), await run('ben')];
  await Promise.all(calls.map((child) => child.line((line) => line.includes('"connected"'))));
  await own.stop();
  for (const child of calls) {
    const { seconds, peers: [peer] } = await ended(child);
    near(seconds, 4, 1, 'it went on');
    assert.ok(peer.countersRead > 60, JSON.stringify(peer));
  }
});

test('the recording goes on when the peer comes back to another seat', async () => {
  const ann = await enter('back', 'ann', '--quiet', '--loop', '--audio', file('sound.opus'), '--record', file('back.webm'));
  await ended(await enter('back', 'ben', '--quiet', '--seconds', '2'));
  await ended(await enter('back', 'cy', '--quiet', '--seconds', '2'));
  await ended(await enter('back', 'ben', '--quiet', '--seconds', '3'));
  ann.kill('SIGINT');
  const { recorded } = await ended(ann);
  const { video } = look('back.webm');
  near(video.last, recorded.seconds, 0.2, 'as told');
  assert.ok(video.timesGrow && recorded.seconds > 6 && video.times.filter((t) => t > 5).length > 20, JSON.stringify(video.times));
  assert.ok(!video.times.some((t) => t > 2.5 && t < 4), 'nothing of the other one');
});

test('a disk that is full ends the call, and is told once', async () => {
  symlinkSync('/dev/full', file('full.webm'));
  const ann = await enter('full', 'ann', '--record', file('full.webm'));
  await ended(await enter('full', 'ben', '--seconds', '3'));
  await ended(ann, 1);
  assert.equal(ann.text.match(/full\.webm: No space left on device/g)?.length, 1, ann.text);
});

test('without --json there are lines for people', async () => {
  const ann = await enter('people', 'ann');
  const ben = duet('call', 'people', '--signaling', server.ws, '--token', await server.token('ben'), ...local, '--seconds', '2.5');
  assert.equal(await within(20000, ben.exited, 'the call'), 0, ben.text);
  await ended(ann);
  assert.match(ben.lines.find((line) => line.includes('fps')), /\[#+\.+\] VP8 320x240 \d+ fps, \d+ in \d+ out kbit\/s, loss/);
  assert.match(ben.lines.at(-1), /^the time is over after 2\.5 s$/);
});

test('on a terminal the meter is one line, which is drawn again', async () => {
  const ann = await enter('terminal', 'ann', '--quiet');
  const command = ['call', 'terminal', '--signaling', server.ws, '--token', await server.token('ben'), ...local, '--seconds', '3.5'];
  const ben = start('script', ['-qec', [tool, ...command].join(' '), '/dev/null'], { stdio: ['ignore', 'pipe', 'pipe'] });
  assert.equal(await within(20000, ben.exited, 'the call'), 0, ben.text);
  await ended(ann);
  const meter = ben.lines.filter((line) => line.includes('fps'));
  assert.equal(meter.length, 3, ben.lines.join('\n')); // what a carriage return ends is a line here, too
  for (const line of meter) assert.match(line, /^\x1b\[K\S+ \[[#.]{10}\] VP8 320x240/);
});

for (const columns of [80, 40]) test(`the meter is not wider than a terminal of ${columns} columns`, async () => {
  const others = [await enter(`narrow${columns}`, 'ann', '--quiet'), await enter(`narrow${columns}`, 'cy', '--quiet')];
  const command = [tool, 'call', `narrow${columns}`, '--signaling', server.ws, '--token', await server.token('ben'), ...local, '--seconds', '3.5'].join(' ');
  const ben = start('script', ['-qec', `stty cols ${columns}; ${command}`, '/dev/null'], { stdio: ['ignore', 'pipe', 'pipe'] });
  assert.equal(await within(20000, ben.exited, 'the call'), 0, ben.text);
  others.forEach((other) => other.kill('SIGINT'));
  await Promise.all(others.map((other) => ended(other)));
  const meter = ben.lines.filter((line) => line.includes('VP8')).map((line) => line.replace('\x1b[K', ''));
  assert.ok(meter.length >= 3 && meter.every((line) => line.length < columns && /^\S+ \[[#.]{10}\] VP8 .*\(\+1\)$/.test(line)), JSON.stringify(meter));
  if (columns === 80) assert.match(meter.at(-1), /kbit\/s loss \d/);
});

test('what cannot be done is told before anything happens, and what to do instead', async () => {
  writeFileSync(file('noise.webm'), Buffer.from('this is no WebM, whatever its name says'));
  make('five.wav', 48000, 5);
  make('avc.mkv', 'libx264', 5);
  writeFileSync(file('cut.webm'), readFileSync(file('both.webm')).subarray(0, 60));
  const there = ['--signaling', server.ws, '--token', await server.token('x')];
  const cases = [
    [['r', ...there, '--audio', file('missing.opus')], /missing\.opus: No such file/],
    [['r', ...there, '--audio', file('noise.webm')], /noise\.webm: /],
    [['r', ...there, '--video', file('cut.webm')], /cut\.webm/],
    [['r', ...there, '--video', file('sound.opus')], /sound\.opus has no pictures: give it to --audio/],
    [['r', ...there, '--audio', file('pictures.ivf')], /pictures\.ivf has no sound: give it to --video/],
    [['r', ...there, '--audio', file('five.wav')], /has 5 channels: convert it to at most 2, with 'ffmpeg -i/],
    [['r', ...there, '--video', file('avc.mkv')], /the codec of its pictures is V_MPEG4\/ISO\/AVC, which cannot be sent: .* in Annex B form/],
    [['r', ...there, '--codec', 'VP99'], /there is no such codec: give VP8/],
    [['r', ...there, '--codec', 'H264'], /cannot encode it: give --video a file/],
    [['r', ...there, '--codec', 'VP9', '--video', file('both.webm')], /holds VP8, which goes out as it is: leave --codec away/],
    [['r', ...there, '--record', file('x.mp4')], /the name tells the format/],
    [['r', ...there, '--record', '/nowhere/x.webm'], /\/nowhere\/x\.webm: No such file/],
    [['r', ...there, '--loop'], /--loop is for files/],
    [['r', '--signaling', 'tcp://127.0.0.1:1'], /a call needs a room server/],
    [there, /say which room/],
    [['r', '--signaling', server.ws, '--token', ''], /wants a token: give --token/],
    [['r', '--signaling', server.ws], /wants a token: give --token, or DUET_TOKEN/],
    [['two words', ...there], /room two words: give ws:.*a room of letters, digits and/],
  ];
  for (const [args, message] of cases) {
    const run = duet('call', ...args);
    assert.equal(await within(10000, run.exited, args.join(' ')), 2, `${args.join(' ')}: ${run.text}`);
    assert.match(run.text, message);
  }
});

test('a call that nobody answers ends with its reason', async () => {
  const call = await enter('nobody', 'ann', '--timeout', '1', '--record', file('nobody.webm'));
  const { ok, reason } = await ended(call, 1);
  assert.deepEqual([ok, reason.slice(0, 8)], [false, 'time-out']); // not only for people
  assert.match(call.text, /time-out: nobody to call came into room nobody/);
  assert.match(call.text, /the file is empty/);
});
