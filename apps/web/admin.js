// For those who moderate: the figures of the server, and every room with who is in it.
import { $, element, tell } from './dom.js';
import { Api, figures } from './api.js';
import { askRoom, confirmed } from './dialog.js';
import { savedToken } from './token.js';

const REFRESH_MS = 3000;

const relayed = (all) => all.get('relayed_total') ?? 0;
const FIGURES = [
  ['Connections', (all) => all.get('connections')],
  ['Seats taken', (all) => all.get('joined_total')],
  ['Seats resumed', (all) => all.get('resumed_total')],
  ['Messages passed on', relayed],
  ['Refused', (all) => (all.get('errors_total') ?? 0) + (all.get('unauthorized_total') ?? 0)],
];

export class Admin {
  #timer;
  #open = false;
  #cards = new Map(); // by id of the room: { card, title, meta, people }
  #last = null;       // for messages per second

  open() {
    this.#open = true;
    $('admin').hidden = false;
    document.title = 'Rooms – Duet';
    this.#refresh();
  }

  close() {
    this.#open = false;
    clearTimeout(this.#timer);
    $('admin').hidden = true;
  }

  async #refresh() {
    clearTimeout(this.#timer);
    try {
      const api = new Api(savedToken());
      const [all, rooms] = await Promise.all([figures(), api.rooms()]);
      const details = await Promise.all(rooms.map(({ roomId }) => api.room(roomId).catch(() => null)));
      if (!this.#open) return;
      this.#showFigures(all);
      this.#showRooms(details.filter(Boolean));
      tell($('admin-error'), null);
      $('admin-updated').textContent = `as of ${new Date().toLocaleTimeString()}`;
    } catch (error) {
      tell($('admin-error'), error.status === 401 ? `${error.message}: set another token in the lobby` : error.message);
    }
    clearTimeout(this.#timer);
    if (this.#open) this.#timer = setTimeout(() => this.#refresh(), REFRESH_MS);
  }

  // What is done to a room, and then how things are.
  async #act(work) {
    try {
      await work(new Api(savedToken()));
    } catch (error) {
      tell($('admin-error'), error.message);
      return;
    }
    await this.#refresh();
  }

  #showFigures(all) {
    const now = performance.now();
    const rate = this.#last ? (relayed(all) - this.#last.count) / ((now - this.#last.at) / 1000) : 0;
    this.#last = { count: relayed(all), at: now };
    const rows = [...FIGURES.map(([title, read]) => [title, read(all)]), ['Messages per second', Math.max(0, rate).toFixed(1)]];
    $('admin-figures').replaceChildren(...rows.map(([title, value]) => element('div', { className: 'card tile' },
      element('h3', { textContent: title }), element('p', { className: 'figure', textContent: value ?? '–' }))));
  }

  #showRooms(rooms) {
    const ids = new Set(rooms.map(({ roomId }) => roomId));
    for (const [id, { card }] of this.#cards) {
      if (ids.has(id)) continue;
      card.remove();
      this.#cards.delete(id);
    }
    for (const room of rooms) this.#showRoom(room);
    $('admin-none').hidden = rooms.length > 0;
  }

  // The cards stay, so that the focus does.
  #showRoom(room) {
    const known = this.#cards.get(room.roomId) ?? this.#makeCard(room.roomId);
    known.room = room;
    known.title.textContent = room.name || room.roomId;
    known.meta.textContent = [room.type, `${room.participants.length} of ${room.maxParticipants}`, `by ${room.createdBy}`,
      room.settings.muteOnEntry && 'muted on entry', room.settings.allowRecording && 'recording allowed',
      room.settings.maxDuration > 0 && `ends after ${room.settings.maxDuration} min`].filter(Boolean).join(' · ');
    const before = [...known.people.children].map((row) => row.dataset.id).join();
    if (before !== room.participants.map(({ id }) => id).join() || room.participants.length === 0)
      known.people.replaceChildren(...room.participants.map((person) => this.#person(room.roomId, person)));
  }

  #makeCard(id) {
    const title = element('h2', { className: 'grow' });
    const meta = element('p', { className: 'muted small' });
    const people = element('ul', { className: 'room-list' });
    const button = (className, textContent, onclick) => element('button', { className, type: 'button', textContent, onclick });
    const made = { title, meta, people, room: null };
    const edit = button('quiet edit', 'Settings', () => this.#act((api) =>
      askRoom('Settings of the room', made.room, (settings) => api.update(id, settings))));
    const close = button('danger close', 'Close room', async () => {
      if (await confirmed(`Close “${title.textContent}”? Everybody in it is sent away.`, 'Close room')) this.#act((api) => api.close(id));
    });
    made.card = element('article', { className: 'card admin-room' }, element('div', { className: 'row' }, title, edit, close), meta, people);
    made.card.dataset.id = id;
    this.#cards.set(id, made);
    $('admin-rooms').append(made.card);
    return made;
  }

  #person(roomId, { id, agentId, role, joinedAt }) {
    const kick = element('button', { className: 'quiet kick', type: 'button', textContent: 'Remove' });
    kick.setAttribute('aria-label', `Remove ${agentId}`);
    kick.onclick = async () => {
      if (await confirmed(`Remove ${agentId} from the room?`, 'Remove')) this.#act((api) => api.kick(roomId, id));
    };
    const item = element('li', {},
      element('span', { className: 'grow' },
        element('strong', { textContent: agentId }),
        element('small', { className: 'muted', textContent: `${role} · since ${new Date(joinedAt).toLocaleTimeString()}` })),
      kick);
    item.dataset.id = id;
    return item;
  }
}
