// One file over one data channel "file": the sender offers {type, name, size}, the receiver says accept or decline, then the bytes
// come in binary messages, and the receiver says done. Closing the channel ends it at any time.
import { Emitter } from './dom.js';

const CHUNK = 16384;           // what every implementation takes (RFC 8831 section 6.6)
const SLICE = 1 << 20;         // read from the disk at once
const BUFFER_HIGH = 1 << 20;   // waiting in the browser
const BUFFER_LOW = 1 << 18;
const PARTS_MAX = 512;         // before they are put together, so that the browser may move them to the disk
const SIZE_MAX = 2 * 2 ** 30;
const NAME_MAX = 120;

// A name to save under: no folders, nothing that cannot be seen or turns the direction of writing.
export function safeName(name) {
  const kept = [...String(name).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '').split(/[\\/]/).pop()].slice(-NAME_MAX).join('');
  return kept.replace(/^\.+/, '') || 'file';
}

function parse(data) {
  try {
    return typeof data === 'string' ? JSON.parse(data) ?? {} : null;
  } catch {
    return {};
  }
}

// Events: change. States: waiting, going, done, refused, unwanted, cancelled, failed.
class Transfer extends Emitter {
  state = 'waiting';
  bytes = 0;

  constructor(channel, person) {
    super();
    this.channel = channel;
    this.person = person;
    channel.binaryType = 'arraybuffer';
    channel.onclose = () => { if (!this.isOver) this.finish('cancelled'); };
  }

  get isOver() { return !['waiting', 'going'].includes(this.state); }

  tell(message) { if (this.channel.readyState === 'open') this.channel.send(JSON.stringify(message)); }

  enter(state) {
    this.state = state;
    this.emit('change');
  }

  finish(state) {
    if (this.isOver) return;
    this.enter(state);
    this.channel.close();
  }

  cancel() { this.finish('cancelled'); }
}

export class Sending extends Transfer {
  constructor(channel, person, file) {
    super(channel, person);
    Object.assign(this, { file, name: safeName(file.name), size: file.size, sending: true });
    channel.bufferedAmountLowThreshold = BUFFER_LOW;
    channel.onopen = () => this.tell({ type: 'offer', name: this.name, size: this.size });
    channel.onmessage = ({ data }) => this.#answered(parse(data)?.type);
  }

  #answered(type) {
    if (type === 'accept' && this.state === 'waiting') this.#send();
    else if (type === 'decline') this.finish('refused');
    else if (type === 'done' && this.bytes === this.size) this.finish('done');
    else if (!this.isOver) this.finish('unwanted'); // an echo server says our own words
  }

  async #send() {
    this.enter('going');
    try {
      for (let offset = 0; offset < this.size && !this.isOver; offset += SLICE)
        await this.#sendSlice(await this.file.slice(offset, offset + SLICE).arrayBuffer());
    } catch { // the file cannot be read any more, or the other side is closing the channel
      this.finish(this.channel.readyState === 'open' ? 'failed' : 'cancelled');
    }
  }

  async #sendSlice(slice) {
    for (let at = 0; at < slice.byteLength && !this.isOver; at += CHUNK) {
      if (this.channel.bufferedAmount > BUFFER_HIGH) await this.#low();
      if (this.isOver) return;
      const chunk = slice.slice(at, at + CHUNK);
      this.bytes += chunk.byteLength; // before the other side can say that it has it all
      this.channel.send(chunk);
    }
    this.emit('change');
  }

  #low() {
    return new Promise((resolve) => {
      const go = () => {
        this.channel.removeEventListener('bufferedamountlow', go);
        this.removeEventListener('change', over);
        resolve();
      };
      const over = () => { if (this.isOver) go(); };
      this.channel.addEventListener('bufferedamountlow', go);
      this.addEventListener('change', over);
      if (this.channel.bufferedAmount <= BUFFER_LOW) go();
    });
  }
}

export class Receiving extends Transfer {
  #parts = [];
  #shown = 0;

  constructor(channel, person) {
    super(channel, person);
    Object.assign(this, { name: null, size: 0, sending: false });
    channel.onmessage = ({ data }) => this.#take(data);
  }

  accept() {
    if (this.state !== 'waiting' || this.name === null) return;
    this.enter('going');
    this.tell({ type: 'accept' });
    if (this.size === 0) this.#complete();
  }

  decline() {
    this.tell({ type: 'decline' });
    this.enter('refused'); // the sender closes the channel
  }

  #take(data) {
    if (this.isOver) return;
    if (this.name === null) this.#takeOffer(parse(data) ?? {});
    else if (this.state === 'going' && data instanceof ArrayBuffer) this.#takeBytes(data);
    else this.finish('failed');
  }

  #takeOffer({ type, name, size }) {
    if (type !== 'offer' || typeof name !== 'string' || !Number.isSafeInteger(size) || size < 0 || size > SIZE_MAX) {
      this.tell({ type: 'decline' });
      this.finish('failed');
      return;
    }
    Object.assign(this, { name: safeName(name), size });
    this.emit('offered');
  }

  #takeBytes(data) {
    this.bytes += data.byteLength;
    if (this.bytes > this.size) {
      this.finish('failed');
      return;
    }
    this.#parts.push(data);
    if (this.#parts.length >= PARTS_MAX) this.#parts = [new Blob(this.#parts)];
    if (this.bytes === this.size) this.#complete();
    else if (this.bytes - this.#shown > SLICE) { this.#shown = this.bytes; this.emit('change'); }
  }

  // Of no type: a browser saves it, and does not show it as a page of ours.
  #complete() {
    this.blob = new Blob(this.#parts, { type: 'application/octet-stream' });
    this.#parts = [];
    this.tell({ type: 'done' });
    this.enter('done'); // the sender closes the channel
  }
}
