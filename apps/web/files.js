// Files to one person or to everybody: dropped or chosen, with a line for each transfer.
import { $, bytes, element } from './dom.js';
import { Receiving, Sending } from './transfer.js';

const OFFERS_MAX = 8; // of one person that wait for an answer

const WORDS = {
  waiting: ({ sending }) => (sending ? 'waits for an answer' : 'wants to send you this'),
  going: ({ bytes: n, size }) => `${bytes(n)} of ${bytes(size)}`,
  done: ({ sending }) => (sending ? 'has arrived' : 'is here'),
  refused: ({ sending }) => (sending ? 'was declined' : 'declined'),
  cancelled: () => 'cancelled',
  unwanted: ({ person }) => `${person.name} does not take files`,
  failed: () => 'failed',
};

class Row {
  constructor(transfer) {
    this.transfer = transfer;
    const { name, size, person, sending } = transfer;
    this.state = element('span', { className: 'muted small' });
    this.progress = element('progress', { max: Math.max(size, 1), value: 0, ariaLabel: name });
    this.buttons = element('span', { className: 'row' });
    this.item = element('li', { className: 'transfer' },
      element('strong', { textContent: name, title: name }),
      element('span', { className: 'small', textContent: `${bytes(size)} ${sending ? 'to' : 'from'} ${person.name}` }),
      this.progress, this.state, this.buttons);
    this.shown = null;
    transfer.on('change', () => this.show());
    this.show();
  }

  show() {
    const { transfer } = this;
    this.progress.hidden = transfer.state !== 'going';
    this.progress.value = transfer.bytes;
    this.state.textContent = WORDS[transfer.state](transfer);
    if (this.shown === transfer.state) return;
    this.shown = transfer.state;
    this.item.dataset.state = transfer.state;
    this.buttons.replaceChildren(...this.#choices());
  }

  #choices() {
    const { transfer } = this;
    const button = (className, text, onclick) => {
      const made = element('button', { className, type: 'button', textContent: text, onclick });
      made.setAttribute('aria-label', `${text}: ${transfer.name}`);
      return made;
    };
    if (transfer.state === 'waiting' && !transfer.sending)
      return [button('primary', 'Accept', () => transfer.accept()), button('quiet', 'Decline', () => transfer.decline())];
    if (!transfer.isOver) return [button('quiet', 'Cancel', () => transfer.cancel())];
    const dismiss = button('quiet', 'Dismiss', () => this.remove());
    return transfer.blob ? [this.#link(), dismiss] : [dismiss];
  }

  #link() {
    this.url = URL.createObjectURL(this.transfer.blob);
    return element('a', { className: 'button primary', href: this.url, download: this.transfer.name, textContent: 'Save' });
  }

  remove() {
    this.transfer.cancel();
    this.item.remove();
    if (this.url) URL.revokeObjectURL(this.url);
    this.transfer.blob = null;
  }
}

export class Files {
  #people;
  #rows = [];

  constructor(people) {
    this.#people = people;
    $('transfers').replaceChildren();
    for (const type of ['changed', 'departed', 'arrived']) people.on(type, () => this.#showChoice());
    people.on('file', ({ person, channel }) => this.#receive(person, channel));
    $('pick').onclick = () => $('file-input').click();
    $('file-input').onchange = ({ target }) => { this.#sendAll(target.files, this.#recipients()); target.value = ''; };
    this.#dropTarget($('drop'), () => this.#recipients());
    this.#dropTarget($('people'), (event) => {
      const id = event.target.closest('li')?.dataset.id;
      return people.talking.filter(({ user }) => user.id === id);
    });
    this.#showChoice();
  }

  close() {
    this.#rows.forEach((row) => row.remove());
  }

  #recipients() {
    const id = $('file-to').value;
    return this.#people.talking.filter(({ user }) => id === '' || user.id === id);
  }

  #showChoice() {
    const select = $('file-to');
    const before = select.value;
    const options = this.#people.talking.map(({ name, user }) => element('option', { value: user.id, textContent: name }));
    select.replaceChildren(element('option', { value: '', textContent: 'everybody' }), ...options);
    select.value = options.some(({ value }) => value === before) ? before : '';
    $('pick').disabled = options.length === 0;
  }

  #dropTarget(target, recipients) {
    const carriesFiles = ({ dataTransfer }) => dataTransfer.types.includes('Files');
    target.ondragover = (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      target.classList.add('over');
    };
    target.ondragleave = () => target.classList.remove('over');
    target.ondrop = (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      target.classList.remove('over');
      this.#sendAll(event.dataTransfer.files, recipients(event));
    };
  }

  #sendAll(files, people) {
    for (const file of files)
      for (const person of people) this.#show(new Sending(person.peer.fileChannel(), person, file));
  }

  #receive(person, channel) {
    const waiting = this.#rows.filter(({ transfer }) => transfer.person === person && transfer.state === 'waiting');
    const transfer = new Receiving(channel, person);
    if (waiting.length >= OFFERS_MAX) transfer.cancel();
    else transfer.on('offered', () => this.#show(transfer));
  }

  #show(transfer) {
    const row = new Row(transfer);
    this.#rows = this.#rows.filter(({ item }) => item.isConnected);
    this.#rows.push(row);
    $('transfers').prepend(row.item);
  }
}
