// libdatachannel (through node-datachannel) as a peer on JSON lines.
//   node ndc.mjs offer|answer [--data] [--no-trickle] [--chan JSON] [--prefix TEXT]
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import nodeDataChannel from 'node-datachannel';
import { makeDataTest } from './data_test.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'boolean', default: false },
    'no-trickle': { type: 'boolean', default: false },
    chan: { type: 'string', default: '{}' },
    'ice-servers': { type: 'string', default: '[]' },
    timeout: { type: 'string', default: '30' },
    name: { type: 'string', default: 'ndc' },
    prefix: { type: 'string', default: '' }, // of the text that it sends: some echo servers add words
  },
});
const role = positionals[0];
const init = JSON.parse(options.chan);
const started = Date.now();
const result = { type: 'result', endpoint: options.name, role, ok: false, connected: false, dcOpen: false };
let test = null;
let doneSent = false;
let doneReceived = false;
let finished = false;
let localDescription = null;
let remoteSdp = '';
const early = [];

function write(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

function finish(ok, reason) {
  if (finished) return;
  finished = true;
  const pair = pc.getSelectedCandidatePair();
  if (pair) result.pair = `${pair.local.type}/udp->${pair.remote.type}`;
  write({ ...result, ...(test?.state ?? {}), ok, reason, elapsedMs: Date.now() - started });
  pc.close();
  nodeDataChannel.cleanup();
  setTimeout(() => process.exit(ok ? 0 : 1), 50);
}

function maybeClose() {
  if (doneSent && doneReceived) setTimeout(() => finish(true), 300);
}

const servers = JSON.parse(options['ice-servers']).flatMap((s) => s.urls);
const pc = new nodeDataChannel.PeerConnection(options.name, { iceServers: servers, disableAutoNegotiation: true, maxMessageSize: 262144 });

pc.onLocalDescription((sdp, type) => {
  localDescription = { type, sdp };
  if (!options['no-trickle']) write(localDescription);
});
pc.onLocalCandidate((candidate, mid) => {
  if (!options['no-trickle']) write({ type: 'candidate', candidate: candidate.replace(/^a=/, ''), sdpMid: mid });
});
pc.onGatheringStateChange((state) => {
  if (state !== 'complete') return;
  if (options['no-trickle']) write(pc.localDescription());
  else write({ type: 'candidate', candidate: '', sdpMid: '0' });
});
pc.onStateChange((state) => {
  if (state === 'connected' && !result.connected) {
    result.connected = true;
    result.connectMs = Date.now() - started;
  }
  if (state === 'failed') finish(false, 'the connection failed');
});
pc.onDataChannel((dc) => useChannel(dc));

function maxMessageSize() {
  const match = /a=max-message-size:(\d+)/.exec(remoteSdp);
  const size = match ? Number(match[1]) : 65536;
  return Math.min(size === 0 ? 262144 : size, 262144);
}

let channel = null;
function useChannel(dc) {
  channel = dc;
  const lossy = init.ordered === false || init.maxRetransmits !== undefined || init.maxPacketLifeTime !== undefined;
  test = makeDataTest({
    role, lossy, maxMessageSize, sendText: (t) => dc.sendMessage(options.prefix + t), sendBinary: (b) => dc.sendMessageBinary(Buffer.from(b)),
    onPassed: () => { doneSent = true; write({ type: 'done' }); maybeClose(); },
    onFailed: (reason) => finish(false, reason),
  });
  dc.onMessage((data) => test.received(typeof data === 'string' ? data : new Uint8Array(data)));
  dc.onOpen(() => { if (!result.dcOpen) { result.dcOpen = true; test.opened(); } });
}

setTimeout(() => finish(false, 'timeout'), Number(options.timeout) * 1000);

const channelInit = {
  unordered: init.ordered === false, negotiated: init.negotiated, id: init.id, maxRetransmits: init.maxRetransmits,
  maxPacketLifeTime: init.maxPacketLifeTime, protocol: init.protocol,
};
for (const key of Object.keys(channelInit)) if (channelInit[key] === undefined) delete channelInit[key];
if (options.data && (role === 'offer' || init.negotiated)) useChannel(pc.createDataChannel('chat', channelInit));
if (role === 'offer') pc.setLocalDescription();

const input = createInterface({ input: process.stdin });
input.on('line', (text) => {
  const line = JSON.parse(text);
  if (line.type === 'offer' || line.type === 'answer') {
    remoteSdp = line.sdp;
    pc.setRemoteDescription(line.sdp, line.type);
    if (line.type === 'offer') pc.setLocalDescription();
    for (const c of early.splice(0)) pc.addRemoteCandidate(c.candidate, c.sdpMid ?? '0');
  } else if (line.type === 'candidate' && line.candidate) {
    if (remoteSdp) pc.addRemoteCandidate(line.candidate, line.sdpMid ?? '0');
    else early.push(line);
  } else if (line.type === 'done') {
    doneReceived = true;
    maybeClose();
  }
});
input.on('close', () => finish(doneSent, doneSent ? undefined : 'the peer has gone'));
