// What runs inside the page. It is sent there as text, so it must not use anything from outside itself; the data and the
// media test are put in front of it.
import { makeDataTest } from './data_test.mjs';
import { makeMediaTest } from './media_test.mjs';

async function peerMain(options) {
  const emit = (line) => window.emitLine(JSON.stringify(line));
  const started = performance.now();
  const pc = new RTCPeerConnection({
    iceServers: options.iceServers, iceTransportPolicy: options.relay ? 'relay' : 'all',
  });
  const result = { type: 'result', endpoint: options.name, role: options.role, ok: false, connected: false, dcOpen: false };
  let test = null;
  let channel = null;
  let doneSent = false;
  let doneReceived = false;
  let finished = false;
  let restarting = false;
  let described = false;
  const early = [];
  let dataPassed = !options.data;
  const media = makeMediaTest({
    pc, audio: options.audio, video: options.video, optional: options.mediaOptional, minSeconds: options.minSeconds,
    minEstimate: options.minEstimate, onPassed: passed,
  });

  async function finish(ok, reason) {
    if (finished) return;
    finished = true;
    await media.count();
    const stats = [...(await pc.getStats()).values()];
    const transport = stats.find((s) => s.type === 'transport');
    if (transport) {
      result.dtls = transport.tlsVersion;
      result.dtlsCipher = transport.dtlsCipher;
      result.srtpCipher = transport.srtpCipher;
      result.dtlsRole = transport.dtlsRole;
    }
    const pair = stats.find((s) => s.id === transport?.selectedCandidatePairId) ??
      stats.find((s) => s.type === 'candidate-pair' && s.selected);
    const local = stats.find((s) => s.id === pair?.localCandidateId);
    const remote = stats.find((s) => s.id === pair?.remoteCandidateId);
    if (local && remote) result.pair = `${local.candidateType}/${local.protocol}->${remote.candidateType}`;
    if (options.stats) result.statsDump = stats;
    pc.close();
    emit({ ...result, ...(test?.state ?? {}), ...media.state, ok, reason, elapsedMs: performance.now() - started });
  }

  function maybeClose() {
    if (doneSent && doneReceived) setTimeout(() => finish(true), 300);
  }

  function sendDone() {
    if (doneSent) return;
    doneSent = true;
    emit({ type: 'done' });
    maybeClose();
  }

  async function restart() {
    restarting = true;
    described = false;
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
    if (options.trickle) describe();
  }

  // The first m-section of a bundle stands for its transport.
  async function stopFirst() {
    restarting = true;
    described = false;
    pc.getTransceivers()[0].stop();
    await pc.setLocalDescription();
    describe();
  }

  // Once the new transport has taken over, pictures must go on: what the old one brought came in the first seconds.
  async function watchPictures() {
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await media.count();
    const before = media.state.framesDecoded;
    for (let i = 0; i < 50 && (result.framesAfterStop ?? 0) < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await media.count();
      result.framesAfterStop = media.state.framesDecoded - before;
    }
    sendDone();
  }

  function passed() {
    if (!dataPassed || !media.hasPassed()) return;
    if (options.stopFirst && !restarting) stopFirst();
    else if (options.restart && !restarting) restart();
    else if (!options.restart && !options.stopFirst) sendDone();
  }

  function describe() {
    if (described) return;
    described = true;
    emit({ type: pc.localDescription.type, sdp: pc.localDescription.sdp });
  }

  function maxMessageSize() {
    const remote = pc.remoteDescription?.sdp ?? '';
    const own = pc.localDescription?.sdp ?? '';
    const read = (sdp) => {
      const match = /a=max-message-size:(\d+)/.exec(sdp);
      const size = match ? Number(match[1]) : 65536;
      return size === 0 ? Infinity : size;
    };
    return Math.min(read(remote), read(own), pc.sctp?.maxMessageSize ?? Infinity);
  }

  function useChannel(dc) {
    channel = dc;
    dc.binaryType = 'arraybuffer';
    const lossy = !dc.ordered || dc.maxRetransmits !== null || dc.maxPacketLifeTime !== null;
    test = makeDataTest({
      role: options.role, lossy, maxMessageSize, sendText: (t) => dc.send(t), sendBinary: (b) => dc.send(b),
      onPassed: () => { dataPassed = true; passed(); }, onFailed: (reason) => finish(false, reason),
    });
    dc.onmessage = ({ data }) => {
      if (restarting && data === 'after the restart') return sendDone();
      test.received(typeof data === 'string' ? data : new Uint8Array(data));
    };
    // A channel may open before the page is told that the answer is set, and only then is the largest message known.
    const opened = async () => {
      if (result.dcOpen) return;
      result.dcOpen = true;
      while (!pc.remoteDescription || pc.signalingState !== 'stable') await new Promise((resolve) => setTimeout(resolve, 5));
      test.opened();
    };
    dc.onopen = opened;
    if (dc.readyState === 'open') opened();
  }

  pc.onicecandidate = ({ candidate }) => {
    if (!options.trickle) return;
    emit({
      type: 'candidate', candidate: candidate?.candidate ?? '', sdpMid: candidate?.sdpMid ?? '',
      sdpMLineIndex: candidate?.sdpMLineIndex ?? 0,
    });
  };
  pc.onicegatheringstatechange = () => {
    if (!options.trickle && pc.iceGatheringState === 'complete') describe();
  };
  pc.onconnectionstatechange = () => {
    if (pc.connectionState === 'connected' && !result.connected) {
      result.connected = true;
      result.connectMs = performance.now() - started;
    }
    if (pc.connectionState === 'failed') finish(false, 'the connection failed');
  };
  pc.ondatachannel = ({ channel: dc }) => useChannel(dc);
  setTimeout(() => finish(false, `timeout: ${pc.connectionState}, ICE ${pc.iceConnectionState}`), options.timeout * 1000);

  async function addCandidate(line) {
    const init = { candidate: line.candidate };
    if (line.sdpMid) init.sdpMid = line.sdpMid;
    if (line.sdpMLineIndex !== undefined) init.sdpMLineIndex = line.sdpMLineIndex;
    if (!line.candidate) return;
    await pc.addIceCandidate(init).catch((error) => console.log(`candidate: ${error}`));
  }

  async function setRemote(line) {
    await pc.setRemoteDescription({ type: line.type, sdp: line.sdp });
    for (const candidate of early.splice(0)) await addCandidate(candidate);
  }

  window.takeLine = async (text) => {
    const line = JSON.parse(text);
    try {
      if (line.type === 'offer') {
        await setRemote(line);
        described = false;
        await pc.setLocalDescription(await pc.createAnswer());
        if (options.trickle || pc.iceGatheringState === 'complete') describe();
      } else if (line.type === 'answer') {
        await setRemote(line);
        if (options.stopFirst && restarting) watchPictures();
        else if (restarting && channel) setTimeout(() => channel.send('after the restart'), 1000);
        else if (restarting) setTimeout(sendDone, 3000);
      } else if (line.type === 'candidate') {
        if (pc.remoteDescription) await addCandidate(line);
        else early.push(line);
      } else if (line.type === 'done') {
        doneReceived = true;
        maybeClose();
      } else if (line.type === 'eof') {
        finish(doneSent, doneSent ? undefined : 'the peer has gone');
      }
    } catch (error) {
      finish(false, String(error));
    }
  };

  await media.addTracks();
  for (const kind of options.codec ? ['audio', 'video'] : []) {
    const all = RTCRtpReceiver.getCapabilities(kind).codecs;
    const first = all.filter((c) => c.mimeType.toLowerCase() === `${kind}/${options.codec.toLowerCase()}`);
    for (const t of first.length ? pc.getTransceivers() : []) {
      if (t.sender.track?.kind === kind) t.setCodecPreferences([...first, ...all.filter((c) => !first.includes(c))]);
    }
  }
  const init = options.chan;
  if (options.data && (options.role === 'offer' || init.negotiated)) useChannel(pc.createDataChannel('chat', init));
  if (options.role === 'offer') {
    await pc.setLocalDescription(await pc.createOffer());
    if (options.trickle) describe();
  }
}

// `options` is the one argument that puppeteer passes.
export const pageMain = new Function('options', `
  ${makeDataTest.toString()}
  ${makeMediaTest.toString()}
  ${peerMain.toString()}
  return peerMain(options);
`);
