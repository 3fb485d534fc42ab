// A room, from joining to leaving: who is there, the call, chat, files, and the connection to the server.
import { $, Emitter, tell } from './dom.js';
import { Api } from './api.js';
import { Banner } from './banner.js';
import { Call } from './call.js';
import { Chat } from './chat.js';
import { Details } from './details.js';
import { Files } from './files.js';
import { People } from './people.js';
import { Signaling } from './signaling.js';
import { saveToken } from './token.js';

// Event: over, with a reason, or null when we left.
export class Room extends Emitter {
  #signaling;
  #people;
  #call;
  #chat;
  #files;
  #token;
  #banner;

  constructor({ id, token }) {
    super();
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
    this.id = id;
    this.#token = token;
    this.#signaling = new Signaling({ url, token, room: id });
    this.#people = new People(this.#signaling);
    this.#call = new Call(this.#people);
    this.#chat = new Chat(this.#people);
    this.#files = new Files(this.#people);
    new Details(this.#people);
    this.#banner = new Banner({ retry: () => this.#signaling.retry(), renew: (fresh) => this.#renew(fresh) });
    this.#listen(this.#signaling);
  }

  // Rejects with a reason that people understand.
  async enter() {
    const users = await this.#signaling.join();
    this.#showRoom(this.id);
    this.#describe();
    this.#people.start(users);
  }

  leave() {
    this.#close();
    this.#signaling.leave();
    this.emit('over', null);
  }

  #renew(token) {
    this.#token = token;
    saveToken(token);
    this.#signaling.renew(token);
  }

  #close() {
    this.#call.close();
    this.#files.close();
    this.#people.clear();
    $('room-view').hidden = $('where').hidden = true;
    this.#banner.close();
    $('leave').onclick = null;
  }

  #listen(signaling) {
    const settle = (state) => { this.#banner.showState(state); };
    signaling.on('interrupted', () => settle('reconnecting'));
    signaling.on('resumed', () => settle('online'));
    signaling.on('rejoined', (users) => {
      settle('online');
      this.#people.clear();
      this.#people.start(users);
    });
    signaling.on('authenticated', (expiresAt) => this.#banner.watchExpiry(expiresAt));
    signaling.on('refused', ({ code, message }) => this.#chat.note(`the server: ${message ?? code}`));
    signaling.on('closed', (reason) => {
      this.#close();
      this.emit('over', `The connection to the server ended: ${reason}.`);
    });
  }

  #showRoom(name) {
    $('room-view').hidden = $('where').hidden = false;
    $('room-name').textContent = name;
    document.title = `${name} – Duet`;
    tell($('agent'), `you are ${this.#signaling.agentId}`);
    this.#banner.showState('online');
    $('leave').onclick = () => this.leave();
    const command = `duet echo serve --room ${this.id} --signaling ${this.#signaling.url.replace(/\/ws$/, '')}`;
    $('command').textContent = command;
    $('copy').onclick = () => navigator.clipboard.writeText(`${command} --token ${this.#token}`);
  }

  // The room's name and settings. A token that only joins may not be told; then it goes without.
  async #describe() {
    const room = await new Api(this.#token).room(this.id).catch(() => null);
    if (!room || $('room-view').hidden) return;
    this.#call.apply(room);
    if (room.name) $('room-name').textContent = room.name;
  }
}
