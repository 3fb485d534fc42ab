// What duet inspect makes of a message.
import assert from 'node:assert/strict';
import { duet } from './tool.mjs';

// The model of a message that decodes, and gives the same bytes again.
export function model(kind, input, ...args) {
  const run = duet(['inspect', kind, '--roundtrip', ...args], input);
  assert.equal(run.code, 0, run.err);
  const result = JSON.parse(run.out);
  assert.equal(result.roundtrip, true, run.out);
  return result;
}

// The message on standard error about one that does not.
export function refusal(kind, input, ...args) {
  const run = duet(['inspect', kind, ...args], input);
  assert.equal(run.code, 2, `exit code ${run.code}: ${run.out}`);
  assert.equal(run.out, '');
  return run.err.trim();
}
