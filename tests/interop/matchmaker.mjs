// Joins two peers of PROTOCOL lines: starts both, copies the signaling lines of each to the other, gives their results.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';

const here = dirname(fileURLToPath(import.meta.url));
export const tool = process.env.DUET ?? join(here, '../../build/release/bin/duet');

// The command of a peer: duet, chromium, firefox, ndc, aiortc, gst (webrtcbin) or werift.
export function command(peer, role, args = []) {
  if (peer === 'duet') {
    const local = process.env.DUET_NETNS ? [] : ['--bind', '127.0.0.1'];
    return [tool, 'peer', role, ...local, ...args];
  }
  if (['ndc', 'werift'].includes(peer)) return [process.execPath, join(here, peer === 'ndc' ? 'ndc.mjs' : 'werift_peer.mjs'), role, ...args];
  if (peer === 'aiortc') return ['/usr/bin/python3', join(here, 'aiortc_peer.py'), role, ...args];
  if (peer === 'gst') return ['/usr/bin/python3', join(here, 'webrtcbin_peer.py'), role, ...args];
  return [process.execPath, join(here, 'browser.mjs'), role, '--browser', peer, ...args];
}

function start([program, ...args], name) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stderrText = '';
  child.stderr.on('data', (data) => { child.stderrText = (child.stderrText + data).slice(-20000); });
  child.stdin.on('error', () => {}); // it may be gone already
  child.exited = new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)));
  child.lines = createInterface({ input: child.stdout });
  child.name = name;
  return child;
}

// Both results, once both have ended. `onLine` sees every line and may change or swallow it (return null).
export async function match(offerer, answerer, { onLine = (from, line) => line } = {}) {
  const peers = [start(offerer, 'offerer'), start(answerer, 'answerer')];
  const results = [null, null];
  const transcript = [];
  peers.forEach((peer, i) => {
    const other = peers[1 - i];
    peer.lines.on('line', (text) => {
      transcript.push(`${peer.name}: ${text.slice(0, 2000)}`);
      const line = JSON.parse(text);
      if (line.type === 'result') results[i] = line;
      if (line.type === 'result' || line.type === 'log') return;
      const passed = onLine(peer.name, line);
      if (passed) other.stdin.write(JSON.stringify(passed) + '\n');
    });
    peer.lines.on('close', () => other.stdin.end());
  });
  const codes = await Promise.all(peers.map((peer) => peer.exited));
  const log = () => [...transcript, ...peers.map((p) => `${p.name} stderr: ${p.stderrText}`)].join('\n');
  return { offer: results[0], answer: results[1], codes, log };
}
