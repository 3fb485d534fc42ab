// Runs the tool and collects what it says.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const tool = process.env.DUET ?? join(root, 'build/release/bin/duet');

// { code, out, err } of `duet …args`; `input` (text or bytes) becomes its standard input.
export function duet(args, input) {
  const run = spawnSync(tool, args, { input: input ?? '', maxBuffer: 1 << 28, timeout: 60000 });
  if (run.error) throw run.error;
  return { code: run.status ?? run.signal, out: run.stdout.toString(), err: run.stderr.toString() };
}

// { code, out, err } of any program, without blocking this process.
export function run(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = ['', ''];
  [child.stdout, child.stderr].forEach((stream, i) => {
    stream.setEncoding('utf8');
    stream.on('data', (text) => { texts[i] += text; });
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code: code ?? signal, out: texts[0], err: texts[1] }));
  });
}

// A folder that is gone after the test `t`.
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'duet-test-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
