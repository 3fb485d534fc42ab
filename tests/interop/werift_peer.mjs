// werift as a peer on JSON lines: it has no codec, and sends back the audio and video that it receives.
//   node werift_peer.mjs offer|answer [--data] [--audio] [--video] [--timeout SECONDS]
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { RTCPeerConnection, RTCRtpCodecParameters, useAbsSendTime, useSdesMid, useTransportWideCC } from 'werift';
import { makeDataTest } from './data_test.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'boolean', default: false },
    audio: { type: 'boolean', default: false },
    video: { type: 'boolean', default: false },
    timeout: { type: 'string', default: '30' },
  },
});
const role = positionals[0];
const kinds = ['audio', 'video'].filter((kind) => options[kind]);
const result = { type: 'result', endpoint: 'werift', role, ok: false, connected: false, framesDecoded: -1 };
const counts = { audioPacketsReceived: 0, videoPacketsReceived: 0, framesReceived: 0 };
let dataTest = null;
let dataPassed = !options.data;
let described = false;
let doneSent = false;
let doneReceived = false;
const early = [];

function write(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

function finish(ok, reason) {
  write({ ...result, ...counts, ...(dataTest?.state ?? {}), ok, reason });
  process.exit(ok ? 0 : 1);
}

const feedback = [{ type: 'nack' }, { type: 'nack', parameter: 'pli' }, { type: 'goog-remb' }, { type: 'transport-cc' }];
const pc = new RTCPeerConnection({
  iceServers: [],
  codecs: {
    audio: [new RTCRtpCodecParameters({ mimeType: 'audio/opus', clockRate: 48000, channels: 2 })],
    video: [
      new RTCRtpCodecParameters({ mimeType: 'video/VP8', clockRate: 90000, rtcpFeedback: feedback }),
      new RTCRtpCodecParameters({ mimeType: 'video/rtx', clockRate: 90000 }),
    ],
  },
  headerExtensions: { audio: [useSdesMid()], video: [useSdesMid(), useAbsSendTime(), useTransportWideCC()] },
});
pc.connectionStateChange.subscribe((state) => { result.connected ||= state === 'connected'; });
pc.onIceCandidate.subscribe((candidate) => {
  if (candidate?.candidate)
    write({ type: 'candidate', candidate: candidate.candidate.replace(/^a=/, ''), sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex });
});

// ---- media ----

function sendBack(transceiver) {
  const { kind } = transceiver;
  transceiver.onTrack.subscribe((track) => {
    transceiver.sender.replaceTrack(track);
    track.onReceiveRtp.subscribe((packet) => {
      counts[`${kind}PacketsReceived`]++;
      if (kind === 'video' && packet.header.marker) counts.framesReceived++;
    });
    if (kind === 'video') transceiver.receiver.sendRtcpPLI(track.ssrc);
  });
}

function mediaPassed() {
  return kinds.every((kind) => counts[`${kind}PacketsReceived`] >= 50) && (!options.video || counts.framesReceived >= 15);
}

// ---- data ----

function useChannel(channel) {
  const opened = () => { result.dcOpen = true; dataTest.opened(); };
  dataTest = makeDataTest({
    role, lossy: false, maxMessageSize: () => 65536,
    sendText: (text) => channel.send(text), sendBinary: (bytes) => channel.send(Buffer.from(bytes)),
    onPassed: () => { dataPassed = true; },
    onFailed: (reason) => finish(false, reason),
  });
  channel.onMessage.subscribe((data) => dataTest.received(typeof data === 'string' ? data : new Uint8Array(data)));
  if (channel.readyState === 'open') opened();
  else channel.stateChanged.subscribe((state) => { if (state === 'open') opened(); });
}
pc.onDataChannel.subscribe(useChannel);

// ---- signaling ----

async function describe(description) {
  await pc.setLocalDescription(description);
  write({ type: pc.localDescription.type, sdp: pc.localDescription.sdp });
}

async function take(line) {
  if (line.type === 'offer') {
    pc.onTransceiverAdded.subscribe(sendBack);
    await pc.setRemoteDescription(line);
    for (const transceiver of pc.getTransceivers()) transceiver.setDirection('sendrecv');
    await describe(await pc.createAnswer());
  } else if (line.type === 'answer') {
    await pc.setRemoteDescription(line);
  } else if (line.type === 'candidate' && line.candidate) {
    early.push(line);
  } else if (line.type === 'done') {
    doneReceived = true;
  }
  described ||= line.type === 'offer' || line.type === 'answer';
  if (described) for (const candidate of early.splice(0)) await pc.addIceCandidate(candidate);
}

let last = Promise.resolve();
const input = createInterface({ input: process.stdin });
input.on('line', (text) => { last = last.then(() => take(JSON.parse(text))).catch((error) => finish(false, String(error))); });
input.on('close', () => finish(doneSent && doneReceived, 'the peer is gone')); // it may be quicker to go than we are

setTimeout(() => finish(false, 'timeout'), Number(options.timeout) * 1000);
const watch = setInterval(() => {
  if (!doneSent && dataPassed && mediaPassed()) {
    doneSent = true;
    write({ type: 'done' });
  }
  if (!doneSent || !doneReceived) return;
  clearInterval(watch);
  setTimeout(() => finish(true), 300);
}, 100);

if (role === 'offer') {
  if (options.data) useChannel(pc.createDataChannel('chat'));
  for (const kind of kinds) sendBack(pc.addTransceiver(kind, { direction: 'sendrecv' }));
  await describe(await pc.createOffer());
}
