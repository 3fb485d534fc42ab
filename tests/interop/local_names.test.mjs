// Browsers that hide their addresses behind ".local" names: duet finds them by multicast DNS. Run inside in_netns.sh.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startCoturn } from './coturn.mjs';
import { command, match } from './matchmaker.mjs';

const skip = process.env.DUET_NETNS ? false : 'multicast must stay in a network of its own';

let coturn;
before(async () => { if (!skip) coturn = await startCoturn(); });
after(async () => { await coturn?.stop(); });

// The browser hears none of duet's candidates, so nothing connects unless duet finds the browser.
async function reachByName(browser, duetOffers, extra = []) {
  const [offerer, answerer] = duetOffers ? ['duet', browser] : [browser, 'duet'];
  const names = new Set();
  const args = (peer) => ['--data', '--timeout', '40', ...(peer === 'duet' ? extra : ['--mdns'])];
  const onLine = (from, line) => {
    const fromDuet = (from === 'offerer') === duetOffers;
    if (fromDuet) return line.candidate ? null : line;
    const address = /^candidate:\S+ \d+ udp \d+ (\S+)/i.exec(line.candidate ?? '')?.[1];
    if (address) names.add(address);
    return line;
  };
  const run = await match(command(offerer, 'offer', args(offerer)), command(answerer, 'answer', args(answerer)), { onLine });
  assert.ok(run.offer?.ok && run.answer?.ok, run.log());
  assert.ok(names.size > 0 && [...names].every((name) => name.endsWith('.local')), `not only names: ${[...names]}`);
  return run;
}

for (const browser of ['chromium', 'firefox']) {
  for (const duetOffers of [true, false]) {
    test(`duet ${duetOffers ? 'offers to' : 'answers'} ${browser}, which shows only .local names`, { skip }, async () => {
      await reachByName(browser, duetOffers);
    });
  }

  test(`a relay-only duet finds ${browser}, which shows only .local names`, { skip }, async () => {
    const servers = JSON.stringify([{ urls: coturn.url('udp'), username: 'alice', credential: 'secret' }]);
    const { offer } = await reachByName(browser, true, ['--relay', '--ice-servers', servers]);
    assert.match(offer.pair, /^relay/);
  });
}
