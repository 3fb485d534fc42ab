// One connection to one participant: its negotiation, its channels and tracks, and what keeps it alive.
import { Emitter } from './dom.js';
import { measure } from './measure.js';
import { Negotiation } from './negotiation.js';
import { Stats } from './stats.js';

const STATS_MS = 500;
const PATIENCE_MS = 4000;  // from descriptions that match to a connection
const RESTART_MS = 1500;   // from a lost path to an ICE restart,
const LOST_MS = 10000;     // and to a new call

export class Peer extends Emitter {
  #polite;
  #negotiation;
  #stats;
  #chat;
  #bulk;
  #state;           // the channel that tells whether our microphone is on
  #ownState = null;
  #pings = [];
  #senders = new Map(); // kind -> RTCRtpSender
  #timers = { poll: 0, watchdog: 0, restart: 0 };
  #wasConnected = false;
  #restarting = false;
  #closed = false;
  #counters = { out: 0, back: 0 };

  constructor(room, user) {
    super();
    this.user = user;
    this.since = performance.now();
    this.#polite = room.self < user.id;
    this.pc = new RTCPeerConnection({ iceServers: room.iceServers });
    this.#stats = new Stats(this.pc);
    this.#watchStates();
    this.#negotiation = new Negotiation(this.pc, {
      polite: this.#polite,
      sendDescription: (description) => room.sendDescription(user.id, description),
      sendCandidate: (candidate) => room.sendCandidate(user.id, candidate),
      note: (what, state) => this.#note(what, state),
    });
    this.pc.ondatachannel = ({ channel }) => this.#useChannel(channel);
    this.pc.ontrack = ({ track, streams }) => this.emit('track', { track, stream: streams[0] ?? new MediaStream([track]) });
    this.#timers.poll = setInterval(() => this.#readStats(), STATS_MS);
  }

  get state() { return this.#closed ? 'closed' : this.pc.connectionState; }
  get canChat() { return !this.#closed && this.#chat?.readyState === 'open'; }
  get canMeasure() { return !this.#closed && this.#bulk?.readyState === 'open'; }

  call() {
    for (const label of ['chat', 'throughput']) this.#useChannel(this.pc.createDataChannel(label));
  }

  restart() { this.pc.restartIce(); }
  takeCandidate(candidate) { return this.#negotiation.takeCandidate(candidate); }
  takeDescription(description) { return this.#negotiation.takeDescription(description); }
  isAnother(description) { return this.#negotiation.isAnother(description); }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timers.poll);
    clearTimeout(this.#timers.watchdog);
    clearTimeout(this.#timers.restart);
    this.pc.close();
    this.#note('connection', 'closed');
    this.emit('closed');
  }

  // ---- media ----

  // Our track of this kind, or none any more. The other side learns it by a new negotiation.
  publish(kind, track, stream) {
    if (this.#closed) return;
    const sender = this.#senders.get(kind);
    if (track && sender) {
      sender.replaceTrack(track);
    } else if (track) {
      this.#senders.set(kind, this.pc.addTrack(track, stream));
    } else if (sender) {
      this.#senders.delete(kind);
      this.pc.removeTrack(sender);
    }
  }

  // Tells whether our microphone is muted: the track itself goes on, silent.
  sayState(state) {
    this.#ownState = state;
    if (!this.#state || this.#state.readyState === 'closed') this.#useChannel(this.pc.createDataChannel('state'));
    else if (this.#state.readyState === 'open') this.#state.send(JSON.stringify(state));
  }

  // ---- staying connected ----

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

  // A path that was lost is looked for anew by one ICE restart. What still does not connect is called anew, by one side first:
  // now and then Chromium gathers nothing after a rollback, and an ICE restart does not help it.
  #watch() {
    const { signalingState, connectionState: state } = this.pc;
    const lost = ['disconnected', 'failed'].includes(state);
    const factor = this.#polite ? 2 : 1;
    clearTimeout(this.#timers.watchdog);
    if (!lost) clearTimeout(this.#timers.restart);
    if (state === 'connected') {
      this.#wasConnected = true;
      this.#restarting = false;
    }
    if (this.#closed || ['connected', 'closed'].includes(state)) return;
    if (lost && this.#wasConnected && !this.#restarting) {
      this.#restarting = true;
      this.#timers.restart = setTimeout(() => this.restart(), RESTART_MS * factor);
    }
    const answered = signalingState === 'stable' && !this.#wasConnected;
    this.#timers.watchdog = setTimeout(() => this.emit('stuck', { answered: signalingState === 'stable' }),
      (answered ? PATIENCE_MS : LOST_MS) * factor);
  }

  // ---- channels ----

  #useChannel(channel) {
    channel.binaryType = 'arraybuffer';
    if (channel.label === 'file') {
      this.emit('file', channel);
      return;
    }
    if (channel.label === 'chat') this.#chat = channel;
    if (channel.label === 'throughput') this.#bulk = channel;
    if (channel.label === 'state') this.#state = channel;
    channel.onopen = () => this.#opened(channel);
    channel.onclose = () => this.#channelClosed(channel);
    channel.onmessage = ({ data }) => this.#receive(channel, data);
    if (channel.readyState === 'open') this.#opened(channel);
  }

  #opened(channel) {
    if (channel.label === 'state' && this.#ownState) channel.send(JSON.stringify(this.#ownState));
    this.#note(`channel ${channel.label}`, 'open');
  }

  // Channels outlive a lost path. So the other side has closed it, and with it the connection.
  #channelClosed(channel) {
    if (this.#closed) return;
    this.#note(`channel ${channel.label}`, 'closed');
    if (channel === this.#chat) this.close();
  }

  #receive(channel, data) {
    if (typeof data !== 'string') this.#counters.back += data.byteLength;
    else if (channel.label === 'chat') this.#hear(data);
    else if (channel.label === 'state') this.#readState(data);
  }

  #hear(text) {
    // An echo is the text that waits longest for one.
    const echo = this.#pings[0]?.text === text ? performance.now() - this.#pings.shift().at : null;
    this.emit('message', { text, echo });
  }

  #readState(text) {
    try {
      this.emit('state', { muted: JSON.parse(text)?.muted === true });
    } catch {
      this.#note('error', 'a state that is no JSON');
    }
  }

  say(text) {
    this.#pings.push({ text, at: performance.now() });
    if (this.#pings.length > 100) this.#pings.shift();
    this.#chat.send(text);
  }

  fileChannel() {
    const channel = this.pc.createDataChannel('file');
    channel.binaryType = 'arraybuffer';
    return channel;
  }

  // ---- figures ----

  measure(onProgress) { return measure(this.#bulk, this.#counters, this.pc.sctp?.maxMessageSize, onProgress); }

  async #readStats() {
    if (this.#closed) return;
    const figures = await this.#stats.read().catch(() => null);
    if (figures && !this.#closed) this.emit('figures', figures);
  }

  #note(what, state) {
    this.emit('note', { what, state, at: performance.now() - this.since });
  }
}
