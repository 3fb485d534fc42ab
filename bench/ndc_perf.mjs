// What `duet perf --local` measures, of libdatachannel (through node-datachannel): both ends in one process, loopback.
//   node ndc_perf.mjs --size BYTES --seconds S --connections N     prints one line of JSON
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const require = createRequire(new URL('../tests/interop/package.json', import.meta.url));
const { default: ndc } = await import(require.resolve('node-datachannel'));

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '65535' },
    seconds: { type: 'string', default: '5' },
    'ping-seconds': { type: 'string', default: '1' },
    connections: { type: 'string', default: '20' },
  },
});
const size = Number(values.size);
const HIGH_WATER = 4 << 20;
const LOW_WATER = 1 << 20;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

function connect(i) {
  return new Promise((resolve, reject) => {
    const config = { iceServers: [], bindAddress: '127.0.0.1', maxMessageSize: Math.max(size, 262144), disableAutoNegotiation: true };
    const a = new ndc.PeerConnection(`a${i}`, config);
    const b = new ndc.PeerConnection(`b${i}`, config);
    const pair = { a, b, onMessage: null };
    let open = 0;
    const started = process.hrtime.bigint();
    const opened = () => {
      if (++open < 2) return;
      pair.setupMs = Number(process.hrtime.bigint() - started) / 1e6;
      resolve(pair);
    };
    setTimeout(() => reject(new Error('not open after 10 s')), 10000).unref();
    // Its threads may bring a candidate before the description that it belongs to.
    const early = { a: [], b: [] };
    const ready = { a: false, b: false };
    const candidate = (to, pc) => (...c) => { if (ready[to]) pc.addRemoteCandidate(...c); else early[to].push(c); };
    const described = (to, pc, sdp, type) => {
      pc.setRemoteDescription(sdp, type);
      ready[to] = true;
      for (const c of early[to].splice(0)) pc.addRemoteCandidate(...c);
    };
    a.onLocalDescription((sdp, type) => { described('b', b, sdp, type); b.setLocalDescription(); });
    b.onLocalDescription((sdp, type) => described('a', a, sdp, type));
    a.onLocalCandidate(candidate('b', b));
    b.onLocalCandidate(candidate('a', a));
    b.onDataChannel((dc) => {
      pair.far = dc;
      dc.onMessage((data) => pair.onFar?.(data));
      opened();
    });
    pair.near = a.createDataChannel('perf');
    pair.near.onMessage((data) => pair.onNear?.(data));
    pair.near.onOpen(opened);
    a.setLocalDescription();
  });
}

async function measureLatency(pair, seconds) {
  const rtt = [];
  const ping = Buffer.alloc(64);
  let sentAt = 0n;
  let running = true;
  const send = () => { sentAt = process.hrtime.bigint(); pair.near.sendMessageBinary(ping); };
  pair.onFar = (data) => pair.far.sendMessageBinary(Buffer.from(data));
  pair.onNear = () => { rtt.push(Number(process.hrtime.bigint() - sentAt) / 1000); if (running) send(); };
  send();
  await sleep(seconds * 1000);
  running = false;
  await sleep(50);
  rtt.sort((x, y) => x - y);
  return rtt;
}

async function measureThroughput(pair, seconds) {
  const message = Buffer.alloc(size);
  let bytes = 0;
  let messages = 0;
  let running = true;
  pair.onFar = (data) => { bytes += data.byteLength ?? data.length; messages++; };
  const fill = () => {
    for (let n = 0; running && n < 2000 && pair.near.bufferedAmount() < HIGH_WATER; n++) pair.near.sendMessageBinary(message);
  };
  pair.near.setBufferedAmountLowThreshold(LOW_WATER);
  pair.near.onBufferedAmountLow(fill);
  fill();
  await sleep(500);
  bytes = messages = 0;
  const cpu = cpuSeconds();
  const started = process.hrtime.bigint();
  const timer = setInterval(fill, 1); // small messages may drain before the event comes
  await sleep(seconds * 1000);
  clearInterval(timer);
  const took = Number(process.hrtime.bigint() - started) / 1e9;
  const spent = cpuSeconds() - cpu;
  running = false;
  return { mbps: (bytes * 8) / 1e6 / took, msgs_per_s: messages / took, cpu_s_per_gb: bytes ? spent / (bytes / 1e9) : 0 };
}

const count = Number(values.connections);
const pairs = [];
const setups = [];
let before = 0;
for (let i = 0; i < count; i++) {
  if (i === 1) { global.gc?.(); before = process.memoryUsage().rss; }
  pairs.push(await connect(i));
  setups.push(pairs[i].setupMs);
}
await sleep(400);
global.gc?.();
const kib = count > 1 ? (process.memoryUsage().rss - before) / 1024 / (2 * (count - 1)) : 0;
const rtt = await measureLatency(pairs[0], Number(values['ping-seconds']));
const throughput = await measureThroughput(pairs[0], Number(values.seconds));
setups.sort((x, y) => x - y);
const round = (x, digits) => Number(x.toFixed(digits));
console.log(JSON.stringify({
  mbps: round(throughput.mbps, 1), msgs_per_s: round(throughput.msgs_per_s, 1), cpu_s_per_gb: round(throughput.cpu_s_per_gb, 3),
  rtt_us: { p50: round(rtt[Math.floor((rtt.length - 1) * 0.5)] ?? 0, 1), p99: round(rtt[Math.floor((rtt.length - 1) * 0.99)] ?? 0, 1) },
  setup_ms: round(setups[Math.floor(count / 2)], 3), setup_worst_ms: round(setups[count - 1], 3), kib_per_connection: round(kib, 1), size,
}));
process.exit(0);
