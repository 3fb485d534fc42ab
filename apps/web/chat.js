// Chat with everybody in the room: one message over the data channel to each.
import { $, element } from './dom.js';

const MESSAGES_MAX = 500;

export class Chat {
  #people;

  constructor(people) {
    this.#people = people;
    $('log').replaceChildren();
    $('chat-form').onsubmit = (event) => { event.preventDefault(); this.#say(); };
    people.on('message', ({ person, text, echo }) => this.#show({ who: person.name, text, echo }));
    people.on('arrived', (person) => this.note(`${person.name} came in`));
    people.on('departed', ({ person, reason }) => this.note(departure(person.name, reason)));
    for (const type of ['changed', 'departed']) people.on(type, () => this.#count());
    this.#count();
  }

  note(text) { this.#append(element('li', { className: 'note', textContent: text })); }

  #count() {
    const { length } = this.#people.talking;
    $('send').disabled = length === 0;
    $('chat-count').textContent = length === 0 ? 'nobody connected' : `to ${length}`;
  }

  #say() {
    const text = $('text').value;
    const to = this.#people.talking;
    if (!text || to.length === 0) return;
    this.#show({ who: null, text });
    for (const person of to) person.peer.say(text);
    $('text').value = '';
  }

  #show({ who, text, echo }) {
    const item = element('li', { className: who === null ? 'mine' : 'theirs' });
    if (who !== null) item.append(element('b', { className: 'who', textContent: who }));
    item.append(element('span', { className: 'text', textContent: text }));
    if (echo != null) item.append(element('small', { textContent: `echo after ${echo.toFixed(1)} ms` }));
    this.#append(item);
  }

  #append(item) {
    const log = $('log');
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    log.append(item);
    if (log.children.length > MESSAGES_MAX) log.firstChild.remove();
    if (atEnd || item.className === 'mine') log.scrollTop = log.scrollHeight;
  }
}

function departure(name, reason) {
  const words = { kicked: 'was removed', timeout: 'lost the connection', expired: 'left: the token expired' };
  return `${name} ${words[reason] ?? 'left'}`;
}
