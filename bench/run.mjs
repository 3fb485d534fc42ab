// All figures of one build beside libdatachannel's, in one run: a table for people, JSON for the record.
//   node run.mjs BUILD_FOLDER [--seconds S] [--rounds N] [--out FILE]
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mediaBench, mediaTable } from './media.mjs';
import { signalingBench, signalingTable } from './signaling.mjs';
import { turnBench, turnTable } from './turn.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '3' }, out: { type: 'string' } },
});
const build = positionals[0] ?? join(here, '../build/bench');
const tool = join(build, 'bin/duet');
const rounds = Number(values.rounds);

function run(program, args) {
  const text = execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 20, timeout: 180000 });
  return JSON.parse(text.trim().split('\n').at(-1));
}
const duet = (...args) => run(tool, ['perf', '--local', '--json', ...args]);
const ndc = (...args) => run(process.execPath, ['--expose-gc', join(here, 'ndc_perf.mjs'), ...args]);
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const say = (text) => process.stderr.write(`bench: ${text}\n`);

// The tables of docs/nat.md as rows of cells, by heading: round trips until two peers behind these NATs are connected.
function natTables(lines) {
  const tables = {};
  let rows = null;
  for (const line of lines) {
    if (line.startsWith('## ')) tables[line.slice(3)] = rows = [];
    else if (rows && line.startsWith('|') && !line.startsWith('| ---')) rows.push(line.split('|').slice(1, -1).map((cell) => cell.replaceAll('*', '').trim()));
  }
  return tables;
}

// Alternating, so that what else the machine does falls on both.
function alternate(size) {
  const args = ['--size', String(size), '--seconds', values.seconds, '--connections', '1', '--ping-seconds', '0'];
  const ours = [];
  const theirs = [];
  for (let i = 0; i < rounds; i++) {
    say(`${size} bytes, round ${i + 1} of ${rounds}`);
    ours.push(duet(...args));
    theirs.push(ndc(...args));
  }
  const pick = (list, key) => median(list.map((r) => r[key]));
  const figures = (list) => ({
    mbps: pick(list, 'mbps'), msgs_per_s: pick(list, 'msgs_per_s'), cpu_s_per_gb: pick(list, 'cpu_s_per_gb'),
    best: { mbps: Math.max(...list.map((r) => r.mbps)), cpu_s_per_gb: Math.min(...list.map((r) => r.cpu_s_per_gb)) },
  });
  return { duet: figures(ours), libdatachannel: figures(theirs) };
}

const sizes = [65535, 16384, 1200, 100];
const throughput = Object.fromEntries(sizes.map((size) => [size, alternate(size)]));

say('round trips, set-up and memory');
const short = ['--seconds', '0.2'];
const pingArgs = [...short, '--connections', '1', '--ping-seconds', '2'];
const manyArgs = [...short, '--connections', '100', '--ping-seconds', '0'];
const machine = [], duetPing = [], ndcPing = [], duetMany = [], ndcMany = [], duetFresh = [];
for (let i = 0; i < rounds; i++) { // alternating here too, and the state of the machine in each round
  machine.push(run(join(build, 'bench/bench_machine'), []));
  duetPing.push(duet(...pingArgs));
  ndcPing.push(ndc(...pingArgs));
  duetMany.push(duet(...manyArgs));
  ndcMany.push(ndc(...manyArgs));
  duetFresh.push(duet(...manyArgs, '--fresh-certificates'));
}
const duet64 = duet(...short, '--connections', '50', '--ping-seconds', '0', '--streams', '64');
const middle = (list, pick) => median(list.map(pick));
const rtt = (list) => ({ p50: middle(list, (r) => r.rtt_us.p50), p99: middle(list, (r) => r.rtt_us.p99) });
const setup = (list) => ({ median_ms: middle(list, (r) => r.setup_ms), worst_of_100_ms: middle(list, (r) => r.setup_worst_ms) });
const kib = (list) => middle(list, (r) => r.kib_per_connection);

const turn = await turnBench(build, { seconds: Number(values.seconds), rounds, say });
const signaling = await signalingBench(build, { seconds: Number(values.seconds), rounds, say });

const media = mediaBench(build, { seconds: Number(values.seconds), rounds, say });

say('parsers and allocations');
const parse = run(join(build, 'bench/bench_parse'), [join(here, '../tests/data/sdp/chromium-offer-av-data.sdp')]);
const iceScale = run(join(build, 'bench/bench_ice_scale'), []);
const nat = execFileSync(join(build, 'bench/bench_nat'), ['--markdown'], { encoding: 'utf8' }).split('\n');
const allocations = [1200, 65535].map((size) => run(join(build, 'bench/bench_allocations'), [String(size)]));
const size = (path) => { try { return statSync(path).size; } catch { return null; } };

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', cwd: here }).trim();
const results = {
  date: new Date().toISOString(), commit,
  machine: { cpu: cpus()[0].model, cores: cpus().length, kernel: release() },
  libdatachannel: JSON.parse(readFileSync(join(here, '../tests/interop/node_modules/node-datachannel/package.json'))).version,
  seconds: Number(values.seconds), rounds, throughput,
  machine_state: {
    stalls_per_s: middle(machine, (m) => m.stalls_per_s), stalled_percent: middle(machine, (m) => m.stalled_percent),
    worst_stall_ms: Math.max(...machine.map((m) => m.worst_stall_ms)), udp_rtt_us: rtt(machine.map((m) => ({ rtt_us: m.udp_rtt_us }))),
  },
  latency: { duet: rtt(duetPing), libdatachannel: rtt(ndcPing) },
  setup: { duet: setup(duetMany), duet_fresh_certificates: setup(duetFresh), libdatachannel: setup(ndcMany) },
  memory: { duet_64_streams_kib: duet64.kib_per_connection, duet_1024_streams_kib: kib(duetMany), libdatachannel_kib: kib(ndcMany) },
  parse, allocations, turn, signaling, media, ice_scale: iceScale, nat: natTables(nat),
  sizes: { tool: size(tool), tool_stripped: size(`${tool}.stripped`), library_static: size(join(build, 'lib/libduet.a')) },
};

const out = values.out ?? join(here, 'results', `${results.date.slice(0, 10)}-${commit}.json`);
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, JSON.stringify(results, null, 2) + '\n');

const pad = (text, width) => String(text).padStart(width);
const ratio = (a, b) => `${(a / b).toFixed(1)}x`;
console.log(`\n${results.machine.cpu}, ${results.machine.cores} cores, Linux ${results.machine.kernel}, ${results.date.slice(0, 10)}, ${commit}`);
console.log(`median of ${rounds} alternating rounds of ${values.seconds} s; libdatachannel by node-datachannel ${results.libdatachannel}\n`);
console.log('throughput        Duet Mbit/s   libdatachannel   ratio    Duet CPU s/GB   libdatachannel');
for (const s of sizes) {
  const { duet: d, libdatachannel: l } = throughput[s];
  console.log(`${pad(s, 6)} bytes   ${pad(d.mbps.toFixed(0), 14)} ${pad(l.mbps.toFixed(0), 16)} ${pad(ratio(d.mbps, l.mbps), 7)} ${pad(d.cpu_s_per_gb.toFixed(2), 16)} ${pad(l.cpu_s_per_gb.toFixed(2), 16)}`);
}
const line = (name, ours, theirs) => console.log(`${name.padEnd(36)} ${pad(ours, 18)} ${pad(theirs, 22)}`);
console.log('');
line('', 'Duet', 'libdatachannel');
const pair = (r) => `${r.p50} / ${r.p99}`;
const times = (r) => `${r.median_ms} / ${r.worst_of_100_ms}`;
const { latency, memory, machine_state: state } = results;
line('64-byte ping-pong p50 / p99, us', pair(latency.duet), pair(latency.libdatachannel));
line('set-up median / worst of 100, ms', times(results.setup.duet), times(results.setup.libdatachannel));
line('… with fresh certificates', times(results.setup.duet_fresh_certificates), '');
line('KiB per idle connection', `${memory.duet_64_streams_kib} (64 streams)`, memory.libdatachannel_kib);
line('', `${memory.duet_1024_streams_kib} (1024)`, '');
line('bare datagrams here p50 / p99, us', pair(state.udp_rtt_us), '');
line('the machine stood still', `${state.stalls_per_s} times/s, ${state.stalled_percent} %`, `once ${state.worst_stall_ms} ms`);
line('STUN parse / with integrity, per s', `${parse.stun_parse_per_s} / ${parse.stun_verify_per_s}`, '');
line('SDP parse, per s (MB/s)', `${parse.sdp_parse_per_s} (${parse.sdp_mb_per_s})`, '');
for (const i of iceScale)
  line(`${i.pairs} candidate pairs, the last one works`, `${i.cpu_us_per_packet} us/packet`, `${i.packets} packets, ${i.round_trips} round trips`);
const turnTableName = 'With a STUN and TURN server';
const cells = results.nat[turnTableName].slice(1).flatMap((row) => row.slice(1));
const trips = (wanted) => cells.filter((c) => c.startsWith('relay') === wanted && c !== '–').map((c) => Number(c.replace('relay ', '')));
for (const [name, list] of [['direct', trips(false)], ['relayed', trips(true)]])
  line(`${list.length} of ${cells.length} pairs of NAT classes: ${name}`, `${Math.min(...list)} to ${Math.max(...list)}`, 'round trips (docs/nat.md)');
for (const a of allocations)
  line(`allocations, ${a.messages} messages of ${a.size}`, `${a.duet_allocations} own`, `${a.dependency_mallocs_per_packet} mallocs/packet of others`);
line('tool / static library, KiB', `${Math.round(results.sizes.tool_stripped / 1024)} / ${Math.round(results.sizes.library_static / 1024)}`, '');
if (turn) turnTable(turn);
signalingTable(signaling);
if (media) mediaTable(media);
console.log(`\nwritten to ${out}`);
