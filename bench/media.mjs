// What one core does with media: SRTP, payload formats, RTP sessions, jitter buffers, all of it over UDP; and what a 720p30 call costs, with
// GStreamer's webrtcbin beside it (where it is installed, and in a network namespace).
//   node media.mjs BUILD_FOLDER [--seconds S] [--rounds N]
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const run = (program, ...args) => JSON.parse(execFileSync(program, args, { encoding: 'utf8', timeout: 120000 }));
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

// Encoded frames that pass through tell what the stack costs, raw ones what a whole call does.
const callKinds = [{ media: 'frames', calls: 8 }, { media: 'raw', calls: 1 }];

// The two stacks in turn, so that what else the machine does falls on both.
function calls(build, { seconds, rounds, say }) {
  const stacks = { duet: join(build, 'bench/bench_media_call'), webrtcbin: join(build, 'bench/bench_webrtcbin_call') };
  if (!existsSync(stacks.webrtcbin) || !process.env.DUET_NETNS) delete stacks.webrtcbin;
  return callKinds.map(({ media, calls }) => {
    const runs = Object.fromEntries(Object.keys(stacks).map((name) => [name, []]));
    for (let i = 0; i < rounds; i++) {
      say(`720p30 calls, ${media}, round ${i + 1} of ${rounds}`);
      for (const name in stacks) runs[name].push(run(stacks[name], media, String(calls), String(seconds)));
    }
    const keys = ['cpu_percent_per_call', 'memory_kib_per_call', 'process_kib', 'video_fps_per_end', 'audio_pps_per_end'];
    const figures = (list) => Object.fromEntries(keys.map((key) => [key, median(list.map((r) => r[key]))]));
    return { media, calls, ...Object.fromEntries(Object.keys(runs).map((name) => [name, figures(runs[name])])) };
  });
}

// null in a build without media.
export function mediaBench(build, { seconds = 5, rounds = 3, say }) {
  if (!existsSync(join(build, 'bench/bench_media_srtp'))) return null;
  say('media');
  const parts = ['srtp', 'path', 'wire'].map((part) => run(join(build, `bench/bench_media_${part}`)));
  return { ...Object.assign({}, ...parts), calls: calls(build, { seconds, rounds, say }) };
}

function callTable(list) {
  const cell = (value, unit, digits) => `${value.toFixed(digits)} ${unit}`.padStart(14);
  console.log('\na 720p30 call, audio and video both ways, both ends           Duet     webrtcbin   ratio');
  for (const { media, calls, duet, webrtcbin } of list) {
    const row = (name, key, scale, unit, digits) => console.log(
      `${`${name}, ${media === 'raw' ? 'with codecs' : 'encoded frames'}, ${calls} at once`.padEnd(52)}${cell(duet[key] / scale, unit, digits)}`
      + (webrtcbin ? `${cell(webrtcbin[key] / scale, unit, digits)}  ${(webrtcbin[key] / duet[key]).toFixed(1)}x` : ''));
    row('CPU of a core', 'cpu_percent_per_call', 1, '%', 2);
    row('memory of a call', 'memory_kib_per_call', 1024, 'MiB', 1);
  }
}

export function mediaTable(media) {
  const thousands = (n) => `${Math.round(n / 1000)}`.padStart(7);
  const row = (name, a, b) => console.log(`${name.padEnd(52)} ${thousands(a)} ${thousands(b)}`);
  console.log('\nmedia, 1000 packets per second on one core                 out      in');
  for (const s of media.srtp) row(`${s.profile}, ${s.payload} bytes`, s.protect_per_s, s.unprotect_per_s);
  for (const s of media.session) row(`RTP session, ${s.payload} bytes`, s.send_per_s, s.receive_per_s);
  for (const w of media.wire) row(`session, SRTP and UDP, ${w.profile}, ${w.payload} bytes`, w.send_per_s, w.receive_per_s);
  for (const f of media.formats) row(`payloads of ${f.format}`, f.packetize_per_s, f.depacketize_per_s);
  row('jitter buffers: video, audio', media.video_jitter_packets_per_s, media.audio_jitter_packets_per_s);
  callTable(media.calls);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { seconds: { type: 'string' }, rounds: { type: 'string' } } });
  const say = (text) => process.stderr.write(`bench: ${text}\n`);
  mediaTable(mediaBench(positionals[0], { seconds: Number(values.seconds ?? 5), rounds: Number(values.rounds ?? 3), say }));
}
