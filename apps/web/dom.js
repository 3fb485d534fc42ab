// Elements, and numbers and names as people read them. Text from others goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Shows the text, or hides the element when there is none.
export function tell(target, text) {
  target.textContent = text ?? '';
  target.hidden = !text;
}

function scaled(n, units, step) {
  let i = 0;
  for (; n >= step && i < units.length - 1; i++) n /= step;
  return `${i === 0 ? Math.round(n) : n.toFixed(n < 10 ? 2 : 1)} ${units[i]}`;
}

export const bytes = (n) => scaled(n, ['B', 'KB', 'MB', 'GB'], 1000);
export const bitrate = (n) => scaled(n, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'], 1000);
export const milliseconds = (ms) => (ms < 10 ? ms.toFixed(1) : ms.toFixed(0));
export const percent = (part) => `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`;
export const short = (id) => id.slice(0, 6);
export const initial = (name) => [...name][0]?.toUpperCase() ?? '?';

const GOOD = ['connected', 'completed', 'open', 'online'];
const BAD = ['failed', 'closed', 'error'];
const NEUTRAL = ['new', 'offline'];

// The colour of a state.
export function mood(state) {
  if (GOOD.includes(state)) return 'good';
  if (BAD.includes(state)) return 'bad';
  return NEUTRAL.includes(state) ? '' : 'wait';
}

export function setPill(pill, state) {
  if (pill.textContent !== state) pill.textContent = state;
  pill.className = `pill ${mood(state)}`;
}

export class Emitter extends EventTarget {
  emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
  on(type, listener) { this.addEventListener(type, ({ detail }) => listener(detail)); }
}
