// The line over the page: the connection to the server is lost, or the token expires soon.
import { $, setPill } from './dom.js';

const WARNING_MS = 120000;  // before the token expires
const TIMER_MAX = 2 ** 31 - 1;

export class Banner {
  #timer;
  #state = 'connecting';
  #expiresAt = null; // when it is time to say so

  constructor({ retry, renew }) {
    $('retry').onclick = retry;
    $('renew-form').onsubmit = (event) => {
      event.preventDefault();
      renew($('renew-token').value.trim());
      $('renew-token').value = '';
    };
  }

  showState(state) {
    this.#state = state;
    setPill($('signaling-state'), state);
    this.#show();
  }

  watchExpiry(expiresAt) {
    clearTimeout(this.#timer);
    this.#expiresAt = null;
    const left = expiresAt - Date.now() - WARNING_MS;
    const warn = () => { this.#expiresAt = expiresAt; this.#show(); };
    if (left < TIMER_MAX) this.#timer = setTimeout(warn, Math.max(0, left));
    this.#show();
  }

  #show() {
    const lost = this.#state === 'reconnecting';
    $('banner').hidden = !lost && !this.#expiresAt;
    $('retry').hidden = !lost;
    $('renew-form').hidden = lost;
    $('banner-text').textContent = lost ? 'The connection to the server is lost: reconnecting …'
      : `Your token expires at ${this.#expiresAt?.toLocaleTimeString()}. A new one keeps you in the room.`;
  }

  close() {
    clearTimeout(this.#timer);
    $('banner').hidden = true;
    $('retry').onclick = $('renew-form').onsubmit = null;
  }
}
