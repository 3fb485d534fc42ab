// The signaling protocol, version 1: authenticate, join a room, pass messages to the others in it. A connection that breaks
// is made again, and the seat taken again, so that nothing is lost and nothing comes twice (docs/signaling.md).
import { Emitter } from './dom.js';

const SUBPROTOCOL = 'duet.v1';
const KEPT = 512;           // messages that can be said again
const FIRST_WAIT = 250;     // milliseconds; doubles with each attempt
const LONGEST_WAIT = 8000;
const FINAL = [1000, 4400, 4401, 4403, 4409, 4413, 4429]; // close codes after which coming back is of no use

export class Signaling extends Emitter {
  #socket = null;
  #outbox = [];
  #number = 0;      // of our last message
  #lastSeq = 0;     // of the seat's last message that came
  #resumeToken = null;
  #stage = 'away';  // away, joining, resuming (what was missed comes), seated
  #attempts = 0;
  #timer;
  #over = false;
  #settle = null;   // of the promise of join
  #failure = 'the signaling server cannot be reached';

  constructor({ url, token, room }) {
    super();
    Object.assign(this, { url, token, id: room, self: null, iceServers: [], topology: 'mesh', sfu: null });
    this.online = () => this.retry();
    this.offline = () => this.#socket?.close(4000, 'offline');
  }

  // Resolves with the users when we are in the room; rejects with a reason that people understand.
  join() {
    addEventListener('online', this.online);
    addEventListener('offline', this.offline);
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#connect();
    });
  }

  leave() {
    if (this.#stage === 'seated') this.#write({ type: 'leave_room', roomId: this.id });
    this.#finish();
    this.#socket?.close(1000);
  }

  // Now instead of after the wait.
  retry() {
    if (this.#over || this.#socket) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  // A fresh token of the same agent, before the present one expires.
  renew(token) {
    this.token = token;
    if (this.#stage === 'seated') this.#write({ type: 'authenticate', token });
  }

  sendDescription(to, { type, sdp }) { this.#send({ type, to, sdp }); }
  sendCandidate(to, candidate) { this.#send({ type: 'candidate', to, candidate }); }

  #connect() {
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.#socket = socket;
    this.#stage = 'away';
    socket.onopen = () => this.#write({ type: 'authenticate', token: this.token });
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = (event) => { if (socket === this.#socket) this.#closed(event); };
  }

  #closed({ code, reason }) {
    this.#socket = null;
    this.#stage = 'away';
    if (this.#over) return;
    if (this.#settle || FINAL.includes(code)) {
      this.#end(reason || this.#failure);
      return;
    }
    const wait = Math.min(FIRST_WAIT * 2 ** this.#attempts++, LONGEST_WAIT) * (0.75 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.emit('interrupted', { attempts: this.#attempts, wait });
  }

  #end(reason) {
    const { reject } = this.#settle ?? {};
    this.#finish();
    if (reject) reject(new Error(reason));
    else this.emit('closed', reason);
  }

  #finish() {
    this.#over = true;
    this.#settle = null;
    clearTimeout(this.#timer);
    removeEventListener('online', this.online);
    removeEventListener('offline', this.offline);
  }

  #receive(message) {
    if (message.seq !== undefined && message.type !== 'room_users') {
      if (message.seq <= this.#lastSeq) return;
      this.#lastSeq = message.seq;
    }
    switch (message.type) {
      case 'auth_ok': this.#authenticated(message); break;
      case 'auth_error': this.#failure = message.message ?? message.code; break; // the server closes
      case 'room_users': this.#joined(message); break;
      case 'resumed': this.#resumed(message); break;
      case 'topology': this.#setTopology(message); this.emit('topology', this.topology); break;
      case 'user_joined': this.emit('joined', message.user); break;
      case 'user_left': this.emit('left', message); break;
      case 'offer':
      case 'answer': this.emit('description', message); break;
      case 'candidate': this.emit('candidate', message); break;
      case 'error': this.#refused(message); break;
    }
  }

  #authenticated({ agentId, expiresAt }) {
    this.agentId = agentId;
    this.expiresAt = new Date(expiresAt);
    this.emit('authenticated', this.expiresAt);
    if (this.#stage !== 'away') return; // renewed
    this.#stage = this.#resumeToken ? 'resuming' : 'joining';
    if (this.#resumeToken) {
      this.#write({ type: 'resume', resumeToken: this.#resumeToken, lastSeq: this.#lastSeq });
    } else {
      this.#write({ type: 'join_room', roomId: this.id });
    }
  }

  #setTopology({ topology, sfu }) { Object.assign(this, { topology, sfu: sfu ?? null }); }

  #joined(message) {
    const again = this.self !== null;
    this.self = message.self;
    this.iceServers = message.iceServers ?? [];
    this.#setTopology(message);
    this.#resumeToken = message.resumeToken ?? null;
    this.#lastSeq = message.seq ?? 0;
    this.#number = 0;
    this.#outbox = [];
    this.#stage = 'seated';
    this.#attempts = 0;
    this.#settle?.resolve(message.users);
    this.#settle = null;
    if (again) this.emit('rejoined', message.users);
  }

  // New messages have to wait until here: a number below that of one that came is taken for a repetition.
  #resumed({ received }) {
    this.#stage = 'seated';
    this.#attempts = 0;
    for (const message of this.#outbox) if (message.seq > received) this.#write(message);
    this.emit('resumed');
  }

  #refused(message) {
    if (this.#stage === 'resuming' && message.code === 'not_found') {
      this.#resumeToken = null; // the seat has gone: a new one
      this.#stage = 'joining';
      this.#write({ type: 'join_room', roomId: this.id });
    } else if (this.#stage !== 'seated') {
      this.#failure = message.message ?? message.code;
      const socket = this.#socket;
      this.#socket = null;
      socket.close(1000);
      this.#end(this.#failure);
    } else {
      this.emit('refused', message);
    }
  }

  #send(message) {
    const numbered = { ...message, seq: ++this.#number };
    this.#outbox.push(numbered);
    if (this.#outbox.length > KEPT) this.#outbox.shift();
    if (this.#stage === 'seated') this.#write(numbered);
  }

  #write(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}
