// The lobby: the token, the rooms there are, a new one, and the way in by name.
import { $, Emitter, element, tell } from './dom.js';
import { Api } from './api.js';
import { askRoom } from './dialog.js';
import { claims, may, savedToken, saveToken } from './token.js';

const nameOf = (room) => room.name || room.roomId;

// Event: join, with { id, token }.
export class Lobby extends Emitter {
  constructor() {
    super();
    $('join-form').onsubmit = (event) => { event.preventDefault(); this.join($('room').value.trim()); };
    $('token').onchange = () => { saveToken($('token').value.trim()); this.#showToken(); this.refresh(); };
    $('change-token').onclick = () => { this.#askToken(); $('token').select(); };
    $('refresh').onclick = () => this.refresh();
    $('create').onclick = () => this.#create();
  }

  open({ room, problem } = {}) {
    $('lobby').hidden = false;
    $('token').value = savedToken();
    $('room').value ||= room ?? claims(savedToken()).room ?? 'demo';
    if (room) $('room').value = room;
    this.#showToken();
    tell($('join-error'), problem);
    if (problem) this.#askToken();
    this.refresh();
  }

  close() { $('lobby').hidden = true; }

  join(id) {
    const token = $('token').value.trim();
    saveToken(token);
    tell($('join-error'), null);
    this.emit('join', { id, token });
  }

  #askToken() {
    $('token-label').hidden = false;
    $('change-token').hidden = true;
  }

  #showToken() {
    const token = savedToken();
    $('token-label').hidden = $('change-token').hidden = token !== '';
    $('change-token').hidden = token === '';
    const { sub } = claims(token);
    tell($('agent'), sub ? `you are ${sub}` : null);
    $('create').hidden = !may(token, 'create');
    $('to-admin').hidden = !may(token, 'moderate');
    $('rooms-hint').textContent = may(token, 'create') ? 'Make one.' : '';
  }

  async refresh() {
    const token = savedToken();
    $('rooms-card').hidden = token === '';
    if (token === '' || $('lobby').hidden) return;
    try {
      const rooms = await new Api(token).rooms();
      if (token !== savedToken()) return;
      tell($('rooms-error'), null);
      this.#show(rooms);
    } catch (error) {
      if (error.status === 401) this.#askToken();
      $('rooms-card').hidden = error.status === 401;
      tell($('rooms-error'), error.message);
    }
  }

  #show(rooms) {
    rooms.sort((a, b) => b.participantCount - a.participantCount || nameOf(a).localeCompare(nameOf(b)));
    $('rooms-count').textContent = rooms.length;
    $('rooms-none').hidden = rooms.length > 0;
    $('rooms').replaceChildren(...rooms.map((room) => this.#item(room)));
  }

  #item(room) {
    const { participantCount: there, maxParticipants: seats } = room;
    const button = element('button', { className: 'quiet', type: 'button', textContent: there < seats ? 'Join' : 'Full' });
    button.setAttribute('aria-label', `${button.textContent}: ${nameOf(room)}`);
    button.disabled = there >= seats;
    button.onclick = () => this.join(room.roomId);
    return element('li', {},
      element('span', { className: 'grow' },
        element('strong', { textContent: nameOf(room) }),
        element('small', { className: 'muted', textContent: `${room.type} · ${there} of ${seats} · by ${room.createdBy}` })),
      button);
  }

  async #create() {
    const made = await askRoom('New room', null, (settings) => new Api(savedToken()).create(settings));
    if (made) this.join(made.roomId);
  }
}
