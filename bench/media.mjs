// What one core does with media: SRTP, payload formats, RTP sessions, jitter buffers.
//   node media.mjs BUILD_FOLDER
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const run = (program) => JSON.parse(execFileSync(program, [], { encoding: 'utf8', timeout: 120000 }));

// null in a build without media.
export function mediaBench(build, say) {
  if (!existsSync(join(build, 'bench/bench_media_srtp'))) return null;
  say('media');
  return { ...run(join(build, 'bench/bench_media_srtp')), ...run(join(build, 'bench/bench_media_path')) };
}

export function mediaTable(media) {
  const thousands = (n) => `${Math.round(n / 1000)}`.padStart(7);
  const row = (name, a, b) => console.log(`${name.padEnd(52)} ${thousands(a)} ${thousands(b)}`);
  console.log('\nmedia, 1000 packets per second on one core                 out      in');
  for (const s of media.srtp) row(`${s.profile}, ${s.payload} bytes`, s.protect_per_s, s.unprotect_per_s);
  for (const s of media.session) row(`RTP session, ${s.payload} bytes`, s.send_per_s, s.receive_per_s);
  for (const f of media.formats) row(`payloads of ${f.format}`, f.packetize_per_s, f.depacketize_per_s);
  row('jitter buffers: video, audio', media.video_jitter_packets_per_s, media.audio_jitter_packets_per_s);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  mediaTable(mediaBench(process.argv[2], (text) => process.stderr.write(`bench: ${text}\n`)));
