// scripts/demo shows the whole of it and ends well.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { root, start, tool, within } from './common.mjs';

test('scripts/demo --once shows C and Chromium echoing through the room server, and exits 0', async () => {
  const demo = start(join(root, 'scripts/demo'), ['--once'], { env: { ...process.env, DUET: tool } });
  const code = await within(120000, demo.exited, 'the demo');
  const output = demo.lines.join('\n');
  assert.equal(code, 0, output + demo.text);
  assert.match(output, /3 of 3 echoes/);
  assert.match(output, /"Hello from Chromium" came back: echo after/);
  assert.match(output, /All messages came back\./);
});
