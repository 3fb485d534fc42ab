// The signaling protocol, version 1, from a browser: authenticate, join a room, pass messages to the others in it.

const SUBPROTOCOL = 'duet.v1';

export class Room extends EventTarget {
  #socket;
  #joined = false;

  // Resolves when we are in the room; rejects with a reason that people understand.
  join({ url, token, room }) {
    return new Promise((resolve, reject) => {
      let failure = 'the signaling server cannot be reached';
      const socket = new WebSocket(url, SUBPROTOCOL);
      this.#socket = socket;
      this.id = room;
      socket.onopen = () => this.#send({ type: 'authenticate', token });
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === 'auth_ok') this.#send({ type: 'join_room', roomId: room });
        else if (message.type === 'auth_error' || (message.type === 'error' && !this.#joined)) {
          failure = message.message ?? message.code;
          socket.close();
        } else if (message.type === 'room_users') {
          this.#joined = true;
          this.self = message.self;
          this.iceServers = message.iceServers ?? [];
          resolve(message.users);
        } else this.#handle(message);
      };
      socket.onclose = ({ code, reason }) => {
        if (!this.#joined) reject(new Error(reason || failure));
        else this.#emit('closed', { code, reason });
      };
    });
  }

  leave() {
    if (this.#joined) this.#send({ type: 'leave_room', roomId: this.id });
    this.#socket?.close(1000);
  }

  sendDescription(to, { type, sdp }) {
    this.#send({ type, to, sdp });
  }

  sendCandidate(to, candidate) {
    this.#send({ type: 'candidate', to, candidate });
  }

  #handle(message) {
    switch (message.type) {
      case 'user_joined': this.#emit('joined', message.user); break;
      case 'user_left': this.#emit('left', message); break;
      case 'offer':
      case 'answer': this.#emit('description', message); break;
      case 'candidate': this.#emit('candidate', message); break;
      case 'error': this.#emit('refused', message); break;
    }
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}
