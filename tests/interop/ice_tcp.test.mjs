// ICE-TCP with real stacks: nothing but TCP candidates reaches the other side. Run inside in_netns.sh.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command, match } from './matchmaker.mjs';

const isTcp = (candidate) => / tcp \d+ /i.test(candidate);

// Takes candidates of other protocols out of descriptions and out of the trickle.
function onlyTcp(from, line) {
  if (line.candidate && !isTcp(line.candidate)) return null;
  if (!line.sdp) return line;
  return { ...line, sdp: line.sdp.split('\r\n').filter((l) => !l.startsWith('a=candidate:') || isTcp(l)).join('\r\n') };
}

for (const [offerer, answerer] of [['duet', 'duet'], ['chromium', 'duet'], ['duet', 'chromium'], ['firefox', 'duet'], ['duet', 'firefox']]) {
  test(`${offerer} and ${answerer} connect over TCP alone`, async () => {
    const args = (peer) => ['--data', '--timeout', '40', ...(peer === 'duet' ? ['--tcp'] : [])];
    const result = await match(command(offerer, 'offer', args(offerer)), command(answerer, 'answer', args(answerer)), { onLine: onlyTcp });
    assert.ok(result.offer?.ok && result.answer?.ok, result.log());
    assert.equal(result.offer.dcEchoOk, 8);
    assert.equal(result.offer.dcBad, 0);
    assert.match(`${result.offer.pair} ${result.answer.pair}`, /tcp/); // who is closed first may have no pair any more
  });
}

test('two duets open their connection at the same time', async () => {
  const onlySo = (from, line) => (line.candidate && !/tcptype so/.test(line.candidate) ? null : line);
  const args = ['--data', '--timeout', '30', '--tcp'];
  const result = await match(command('duet', 'offer', args), command('duet', 'answer', args), { onLine: onlySo });
  assert.ok(result.offer?.ok && result.answer?.ok, result.log());
  assert.equal(result.offer.dcEchoOk, 8);
});
