// The data test of two peers, in JavaScript: shared by the browser page (as text) and by node-datachannel.
// It knows no stack: it is given functions to send with, and told what arrives.
export function makeDataTest({ role, lossy, maxMessageSize, sendText, sendBinary, onPassed, onFailed }) {
  const texts = { 0: 'hello', 1: 'h\u00e9llo w\u00f6rld \u2713 \u{1f600}', 8: '' };
  const sizes = { 2: 1, 3: 100, 4: 1200, 5: 16384, 6: 65536, 7: 262144, 9: 0 };
  const state = { dcSent: 0, dcReceived: 0, dcEchoOk: 0, dcBad: 0, dcMaxSent: 0, dcEmptyText: false, dcEmptyBinary: false };
  const echoed = new Set();
  let next = 0;
  let due = 0;
  let timer = null;
  let passed = false;

  const made = {}; // the largest message is decided once

  function message(i) {
    if (i in texts) return texts[i];
    if (made[i]) return made[i];
    const size = Math.min(sizes[i], maxMessageSize());
    const bytes = new Uint8Array(size);
    for (let k = 0; k < size; k++) bytes[k] = ((k ^ (k >> 8) ^ (k >> 16)) + i) & 0xff;
    return made[i] = bytes;
  }

  function send(data) {
    if (typeof data === 'string') sendText(data);
    else sendBinary(data);
    const size = typeof data === 'string' ? new TextEncoder().encode(data).length : data.length;
    state.dcSent++;
    state.dcMaxSent = Math.max(state.dcMaxSent, size);
  }

  function equal(a, b) {
    if (typeof a !== typeof b || a.length !== b.length) return false;
    if (typeof a === 'string') return a === b;
    return a.every((byte, k) => byte === b[k]);
  }

  function pass() {
    if (passed) return;
    passed = true;
    if (timer) clearTimeout(timer);
    onPassed();
  }

  function check() {
    const required = lossy ? 6 : 8;
    for (let i = 0; i < required; i++) if (!echoed.has(i)) return;
    if (next === 10 && state.dcBad === 0) pass();
  }

  function sendNextLossy() {
    if (timer) clearTimeout(timer);
    timer = null;
    if (next === 10) return;
    send(message(next++));
    timer = setTimeout(sendNextLossy, 500);
    check();
  }

  function echo(data) {
    const first = lossy ? 0 : due;
    for (let i = first; i < 10; i++) {
      if (echoed.has(i) || !equal(message(i), data)) continue;
      if (!lossy && i > first && first < 8) break;
      echoed.add(i);
      due = i + 1;
      if (i < 8) state.dcEchoOk++;
      else if (i === 8) state.dcEmptyText = true;
      else state.dcEmptyBinary = true;
      if (lossy) sendNextLossy();
      check();
      return;
    }
    state.dcBad++;
  }

  return {
    state,
    opened() {
      if (role !== 'offer') return;
      if (lossy) return sendNextLossy();
      while (next < 10) send(message(next++));
    },
    received(data) {
      state.dcReceived++;
      if (role === 'offer') return echo(data);
      try {
        send(data);
      } catch (error) {
        return onFailed(`echo: ${error}`);
      }
      if (state.dcSent >= (lossy ? 6 : 8)) pass();
    },
  };
}
