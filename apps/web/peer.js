// One connection to one participant: perfect negotiation, a channel for chat, one for measuring, and figures.

const MESSAGE_SIZE = 65536;
const BUFFER_HIGH = 1 << 20;   // bytes waiting in the browser
const UNECHOED_MAX = 8 << 20;  // bytes on their way through the echo server
const MEASURE_MS = 5000;
const PATIENCE_MS = 4000;      // from descriptions that match to a connection

export class Peer extends EventTarget {
  #room;
  #polite;
  #makingOffer = false;
  #ignoreOffer = false;
  #chat;
  #bulk;
  #pings = [];
  #poll;
  #watchdog;
  counters = { out: 0, back: 0 };

  constructor(room, user) {
    super();
    this.#room = room;
    this.user = user;
    this.since = performance.now();
    this.#polite = room.self < user.id;
    this.pc = new RTCPeerConnection({ iceServers: room.iceServers });
    this.#watchStates();
    this.#negotiate();
    this.pc.ondatachannel = ({ channel }) => this.#useChannel(channel);
    this.#poll = setInterval(() => this.#readStats(), 500);
  }

  get state() { return this.pc.connectionState; }
  get canChat() { return this.#chat?.readyState === 'open'; }

  call() {
    this.#useChannel(this.pc.createDataChannel('chat'));
    this.#useChannel(this.pc.createDataChannel('throughput'));
  }

  restart() { this.pc.restartIce(); }

  close() {
    clearInterval(this.#poll);
    clearTimeout(this.#watchdog);
    this.pc.close();
    this.#note('connection', 'closed');
  }

  // W3C WebRTC, "Perfect negotiation example": the polite side takes back its own offer when two cross.
  #negotiate() {
    const { pc } = this;
    pc.onnegotiationneeded = async () => {
      try {
        this.#makingOffer = true;
        await pc.setLocalDescription();
        this.#room.sendDescription(this.user.id, pc.localDescription);
      } catch (error) {
        this.#note('error', error.message);
      } finally {
        this.#makingOffer = false;
      }
    };
    pc.onicecandidate = ({ candidate }) => {
      this.#room.sendCandidate(this.user.id, candidate ? candidate.toJSON() : { candidate: '' });
    };
  }

  async takeDescription(description) {
    const { pc } = this;
    const collision = description.type === 'offer' && (this.#makingOffer || pc.signalingState !== 'stable');
    this.#ignoreOffer = !this.#polite && collision;
    if (this.#ignoreOffer) return;
    await pc.setRemoteDescription(description);
    if (description.type !== 'offer') return;
    await pc.setLocalDescription();
    this.#room.sendDescription(this.user.id, pc.localDescription);
  }

  async takeCandidate(candidate) {
    try {
      await this.pc.addIceCandidate(candidate);
    } catch (error) {
      if (!this.#ignoreOffer) this.#note('error', error.message);
    }
  }

  #watchStates() {
    const { pc } = this;
    pc.onsignalingstatechange = () => {
      this.#note('signaling', pc.signalingState);
      this.#watch();
    };
    pc.onicegatheringstatechange = () => this.#note('gathering', pc.iceGatheringState);
    pc.oniceconnectionstatechange = () => this.#note('ICE', pc.iceConnectionState);
    pc.onconnectionstatechange = () => {
      this.#note('connection', pc.connectionState);
      this.#watch();
    };
  }

  // What does not connect is tried anew, by one side first: now and then Chromium gathers nothing after a rollback, and
  // an ICE restart does not help it.
  #watch() {
    const { pc } = this;
    const waiting = pc.signalingState === 'stable' && !['connected', 'closed'].includes(pc.connectionState);
    clearTimeout(this.#watchdog);
    if (waiting) this.#watchdog = setTimeout(() => this.#emit('stuck'), PATIENCE_MS * (this.#polite ? 2 : 1));
  }

  // RFC 8866 section 5.2: another session id in an offer is another connection of the participant.
  isAnother({ type, sdp }) {
    const session = (text) => /^o=\S+ (\S+)/m.exec(text)?.[1];
    const known = this.pc.remoteDescription;
    return type === 'offer' && known != null && session(known.sdp) !== session(sdp);
  }

  #useChannel(channel) {
    channel.binaryType = 'arraybuffer';
    if (channel.label === 'chat') this.#chat = channel;
    if (channel.label === 'throughput') this.#bulk = channel;
    channel.onopen = () => this.#note(`channel ${channel.label}`, 'open');
    channel.onclose = () => this.#note(`channel ${channel.label}`, 'closed');
    channel.onmessage = ({ data }) => this.#receive(data);
  }

  #receive(data) {
    if (typeof data !== 'string') {
      this.counters.back += data.byteLength;
      return;
    }
    // An echo is the text that waits longest for one.
    const echo = this.#pings[0]?.text === data ? performance.now() - this.#pings.shift().at : null;
    this.#emit('message', { text: data, echo });
  }

  say(text) {
    this.#pings.push({ text, at: performance.now() });
    if (this.#pings.length > 100) this.#pings.shift();
    this.#chat.send(text);
  }

  // Sends for five seconds. What an echo server has not sent back yet is bounded; a peer that only listens is not waited for.
  async measure(onProgress) {
    const channel = this.#bulk;
    const message = new Uint8Array(Math.min(MESSAGE_SIZE, this.pc.sctp?.maxMessageSize || MESSAGE_SIZE));
    const start = performance.now();
    const from = { ...this.counters };
    let last = { at: start, ...from };
    channel.bufferedAmountLowThreshold = BUFFER_HIGH / 2;
    while (performance.now() - start < MEASURE_MS && channel.readyState === 'open') {
      const unechoed = (this.counters.out - from.out) - (this.counters.back - from.back);
      const echoing = this.counters.back > from.back;
      if (channel.bufferedAmount < BUFFER_HIGH && !(echoing && unechoed > UNECHOED_MAX)) {
        channel.send(message);
        this.counters.out += message.length;
      } else {
        await new Promise((resolve) => setTimeout(resolve, 4));
      }
      const now = performance.now();
      if (now - last.at >= 125) {
        onProgress(this.#rates(last, now));
        last = { at: now, ...this.counters };
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
    await this.#drained(channel);
    return this.#rates({ at: start, ...from }, performance.now());
  }

  async #drained(channel) {
    const until = performance.now() + 2000;
    while (channel.bufferedAmount > 0 && channel.readyState === 'open' && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }

  #rates(from, now) {
    const seconds = (now - from.at) / 1000;
    const mbit = (bytes) => (bytes * 8) / 1e6 / seconds;
    return { out: mbit(this.counters.out - from.out), back: mbit(this.counters.back - from.back), seconds };
  }

  async #readStats() {
    if (this.pc.connectionState === 'closed') return;
    const report = await this.pc.getStats();
    const all = [...report.values()];
    const transport = all.find((s) => s.type === 'transport');
    const pair = report.get(transport?.selectedCandidatePairId) ?? all.find((s) => s.type === 'candidate-pair' && s.nominated);
    const local = report.get(pair?.localCandidateId);
    const remote = report.get(pair?.remoteCandidateId);
    this.#emit('figures', {
      rtt: pair?.currentRoundTripTime != null ? pair.currentRoundTripTime * 1000 : null,
      sent: pair?.bytesSent ?? 0,
      received: pair?.bytesReceived ?? 0,
      path: local && remote ? `${local.candidateType} → ${remote.candidateType} · ${local.protocol.toUpperCase()}` : null,
      security: securityText(transport),
    });
  }

  #note(what, state) {
    this.#emit('note', { what, state, at: performance.now() - this.since });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// tlsVersion is the version on the wire: FEFD is DTLS 1.2.
function securityText(transport) {
  const names = { FEFF: 'DTLS 1.0', FEFD: 'DTLS 1.2', FEFC: 'DTLS 1.3' };
  if (transport?.dtlsState !== 'connected') return null;
  return [names[transport.tlsVersion] ?? 'DTLS', transport.dtlsCipher?.replace(/^TLS_.*_WITH_/, '').replaceAll('_', ' ')].filter(Boolean).join(' · ');
}
