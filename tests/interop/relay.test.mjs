// Browsers that may use nothing but the relay, through duet turn over UDP, TCP and TLS. Run inside in_netns.sh.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTurn, user } from './duet_turn.mjs';
import { command, match } from './matchmaker.mjs';

const skip = process.env.DUET_NETNS ? false : 'Firefox reaches no TURN server on the loopback address: needs a network namespace';

let turn;
before(async () => { if (!skip) turn = await startTurn(['--metrics', '127.0.0.1:0']); });
after(async () => { await turn?.stop(); });

// Chromium is told which key to trust.
function relayOnly(peer, transport, server = turn) {
  // Firefox speaks TLS to a TURN server that has a name, and to no other.
  const urls = peer === 'firefox' && transport === 'tls' ? server.url('tls').replace(server.ip, 'turn.test') : server.url(transport);
  const args = ['--relay', '--ice-servers', JSON.stringify([{ urls, ...user }])];
  if (peer === 'chromium') args.push(`--arg=--ignore-certificate-errors-spki-list=${server.spki}`);
  else args.push('--ca', server.ca);
  if (peer === 'firefox') args.push('--resolve', server.ip);
  return args;
}

async function run(offerer, offerArgs, answerer, answerArgs) {
  const common = ['--data', '--timeout', '40'];
  const candidates = [];
  const result = await match(command(offerer, 'offer', [...common, ...offerArgs]), command(answerer, 'answer', [...common, ...answerArgs]),
    { onLine: (from, line) => { if (line.candidate) candidates.push({ from, ...line }); return line; } });
  const explain = result.log();
  assert.ok(result.offer?.ok, `the offerer failed: ${result.offer?.reason}\n${explain}`);
  assert.ok(result.answer?.ok, `the answerer failed: ${result.answer?.reason}\n${explain}`);
  assert.equal(result.offer.dcEchoOk, 8);
  assert.equal(result.offer.dcBad, 0);
  return candidates;
}

for (const transport of ['udp', 'tcp', 'tls']) {
  for (const [offerer, answerer] of [['chromium', 'firefox'], ['firefox', 'chromium'], ['chromium', 'chromium'], ['firefox', 'firefox']]) {
    test(`${offerer} and ${answerer}, both relay-only, meet through one server over ${transport}`, { skip }, async () => {
      const before = await turn.metrics();
      const candidates = await run(offerer, relayOnly(offerer, transport), answerer, relayOnly(answerer, transport));
      for (const { candidate } of candidates) {
        const text = typeof candidate === 'string' ? candidate : candidate?.candidate;
        if (text) assert.match(text, / typ relay/);
      }
      const now = await turn.metrics();
      assert.ok(now.allocations_total >= before.allocations_total + 2);
      assert.ok(now.relayed_bytes_to_clients_total > before.relayed_bytes_to_clients_total + 500000, 'the data went through the relay');
    });
  }
}

test('a relay-only browser reaches a peer of the server\'s network only where a rule allows it', { skip }, async () => {
  const open = await startTurn(['--allow-peer', '10.99.0.0/24']);
  try {
    for (const browser of ['chromium', 'firefox'])
      await run(browser, relayOnly(browser, 'udp', open), 'duet', []);
  } finally {
    await open.stop();
  }
  const result = await match(command('chromium', 'offer', ['--data', '--timeout', '8', ...relayOnly('chromium', 'udp')]),
    command('duet', 'answer', ['--data', '--timeout', '8']));
  assert.equal(result.offer?.ok ?? false, false);
});

test('duet peer, relay-only, meets relay-only browsers', { skip }, async () => {
  await run('duet', relayOnly('duet', 'tls'), 'firefox', relayOnly('firefox', 'tls'));
  await run('duet', relayOnly('duet', 'tls'), 'chromium', relayOnly('chromium', 'tls'));
});
