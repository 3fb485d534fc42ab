// Who is in the room, and the connection to each of them. In a mesh a newcomer calls everybody; those who were there wait for
// it a moment, as C peers and other clients may not call.
import { $, Emitter, element, initial, mood, short } from './dom.js';
import { Peer } from './peer.js';

const COURTESY_MS = 1000;
const HISTORY = 120;
const CALLS_MAX = 3; // of somebody who never answers
const SPOILT_MAX = 6; // descriptions that could not be used, since the last connection

class Person {
  constructor(user, own) {
    Object.assign(this, { user, own, peer: null, notes: [], history: [], figures: null, unanswered: 0, spoilt: 0 });
    this.dot = element('span', { className: 'dot' });
    this.button = element('button', { className: 'quiet', type: 'button', textContent: 'Connect' });
    this.item = element('li', { className: 'person' },
      element('span', { className: `avatar${own ? '' : ' other'}`, textContent: initial(user.agentId), ariaHidden: 'true' }),
      element('span', { className: 'grow' },
        element('strong', { textContent: own ? `${user.agentId} (you)` : user.agentId }),
        element('small', { textContent: `${user.role} · ${short(user.id)}` })));
    if (!own) this.item.append(this.dot, this.button);
    this.item.dataset.id = user.id;
  }

  get name() { return this.user.agentId; }
  get state() { return this.peer?.state ?? 'new'; }
  get isLive() { return this.peer !== null && !['closed', 'failed'].includes(this.state); }

  remember(figures) {
    this.figures = figures;
    this.history.push(figures);
    if (this.history.length > HISTORY) this.history.shift();
  }

  show() {
    this.dot.className = `dot ${mood(this.state)}`;
    this.dot.title = this.state;
    this.button.textContent = this.isLive ? 'Details' : 'Connect';
    this.button.setAttribute('aria-label', `${this.button.textContent}: ${this.name}`);
  }
}

// Events, each with the person first: peer (a new connection), state, message, note, figures, track, muted, file, over, chosen.
export class People extends Emitter {
  #room;
  #all = new Map(); // by id

  constructor(room) {
    super();
    this.#room = room;
    this.chosen = null;
    room.on('joined', (user) => {
      const person = this.#add(user);
      person.item.classList.add('fresh');
      this.emit('arrived', person);
      setTimeout(() => this.#callFirst(person), COURTESY_MS);
    });
    room.on('left', ({ id, reason }) => { if (id !== room.self) this.#remove(id, reason); });
    room.on('description', (message) => this.#takeDescription(message));
    room.on('candidate', ({ from, candidate }) => this.#all.get(from)?.peer?.takeCandidate(candidate));
    room.on('topology', () => this.others.forEach((person) => this.#callFirst(person)));
  }

  get others() { return [...this.#all.values()].filter((person) => !person.own); }
  get talking() { return this.others.filter((person) => person.peer?.canChat); }
  get connected() { return this.others.filter((person) => person.isLive); }

  start(users) {
    for (const user of users) this.#add(user);
    this.others.forEach((person) => this.#callFirst(person));
  }

  clear() {
    for (const id of [...this.#all.keys()]) this.#remove(id, null);
  }

  #add(user) {
    const person = new Person(user, user.id === this.#room.self);
    person.button.onclick = () => { this.connect(person); this.choose(person); };
    this.#all.set(user.id, person);
    $('people').append(person.item);
    person.show();
    this.#count();
    return person;
  }

  #remove(id, reason) {
    const person = this.#all.get(id);
    if (!person) return;
    this.#all.delete(id);
    person.peer?.close();
    person.item.remove();
    if (this.chosen === person) this.choose(null);
    this.#count();
    if (reason !== null) this.emit('departed', { person, reason });
  }

  #count() {
    $('people-count').textContent = this.#all.size;
    $('alone').hidden = this.#all.size > 1;
  }

  // ---- connections ----

  #callFirst(person) {
    const { topology, sfu } = this.#room;
    const wanted = topology === 'mesh' || person.user.id === sfu;
    if (wanted && !person.own && person.peer === null && this.#all.get(person.user.id) === person) this.connect(person);
  }

  connect(person) {
    if (!person.isLive) this.#callAnew(person);
  }

  hangUp(person) {
    person.peer?.close();
    this.#changed(person);
  }

  #callAnew(person) {
    person.peer?.close();
    this.#makePeer(person).call();
  }

  #makePeer(person) {
    const peer = new Peer(this.#room, person.user);
    Object.assign(person, { peer, notes: [], history: [], figures: null });
    const forward = (type, read = (detail) => detail) =>
      peer.on(type, (detail) => this.emit(type, { person, ...read(detail) }));
    peer.on('note', (entry) => { this.#noted(person, entry); });
    peer.on('stuck', ({ answered }) => {
      person.unanswered = answered ? 0 : person.unanswered + 1;
      if (person.peer === peer && person.unanswered <= CALLS_MAX) this.#callAnew(person);
    });
    peer.on('figures', (figures) => {
      if (person.state === 'connected') person.spoilt = 0;
      person.remember(figures);
      this.emit('figures', person);
    });
    peer.on('closed', () => this.emit('over', person));
    forward('message');
    forward('track');
    forward('state', ({ muted }) => ({ muted }));
    forward('file', (channel) => ({ channel }));
    this.emit('peer', person);
    if (this.chosen === person) this.emit('chosen', person); // afresh
    else if (!this.chosen) this.choose(person);
    return peer;
  }

  async #takeDescription(message) {
    const person = this.#all.get(message.from);
    if (!person) return;
    if (person.peer?.isAnother(message)) person.peer.close();
    const peer = !person.peer || person.state === 'closed' ? this.#makePeer(person) : person.peer;
    try {
      await peer.takeDescription({ type: message.type, sdp: message.sdp });
    } catch (error) {
      if (person.peer !== peer || peer.state === 'closed') return;
      console.info(`an ${message.type} of ${person.name} cannot be used: ${error.message}`);
      if (++person.spoilt > SPOILT_MAX) return;
      // Otherwise each side would wait for the other; not both at the same moment again.
      setTimeout(() => { if (person.peer === peer) this.#callAnew(person); }, 400 * Math.random());
    }
  }

  #noted(person, entry) {
    person.notes.push(entry);
    this.#changed(person);
    if (person === this.chosen) this.emit('note', entry);
  }

  #changed(person) {
    person.show();
    this.emit('changed', person);
  }

  choose(person) {
    this.chosen = person;
    for (const { item, user } of this.#all.values()) item.classList.toggle('chosen', user === person?.user);
    this.emit('chosen', person);
  }
}
