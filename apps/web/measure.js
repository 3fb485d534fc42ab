// Throughput of a data channel: sends as fast as it goes for five seconds, and counts what comes back.

const MESSAGE_SIZE = 65536;
const BUFFER_HIGH = 1 << 20;   // bytes waiting in the browser
const UNECHOED_MAX = 8 << 20;  // bytes on their way through the echo server
const MEASURE_MS = 5000;
const PROGRESS_MS = 125;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function rates(from, now, counters) {
  const seconds = (now - from.at) / 1000;
  const mbit = (n) => (n * 8) / 1e6 / seconds;
  return { out: mbit(counters.out - from.out), back: mbit(counters.back - from.back), seconds };
}

async function drained(channel) {
  const until = performance.now() + 2000;
  while (channel.bufferedAmount > 0 && channel.readyState === 'open' && performance.now() < until) await pause(10);
}

// What an echo server has not sent back yet is bounded; a peer that only listens is not waited for.
export async function measure(channel, counters, largest, onProgress) {
  const message = new Uint8Array(Math.min(MESSAGE_SIZE, largest || MESSAGE_SIZE));
  const from = { at: performance.now(), ...counters };
  let last = from;
  while (performance.now() - from.at < MEASURE_MS && channel.readyState === 'open') {
    const unechoed = (counters.out - from.out) - (counters.back - from.back);
    const echoing = counters.back > from.back;
    if (channel.bufferedAmount < BUFFER_HIGH && !(echoing && unechoed > UNECHOED_MAX)) {
      channel.send(message);
      counters.out += message.length;
    } else {
      await pause(4);
    }
    const now = performance.now();
    if (now - last.at >= PROGRESS_MS) {
      onProgress(rates(last, now, counters));
      last = { at: now, ...counters };
      await pause(0);
    }
  }
  await drained(channel);
  return rates(from, performance.now(), counters);
}
