// duet peer against real browsers and libdatachannel, offering and answering. Run inside in_netns.sh.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command, match } from './matchmaker.mjs';

const stacks = ['chromium', 'firefox', 'ndc'];

async function run(offerer, answerer, { both = [], offer = [], answer = [], onLine } = {}) {
  const common = ['--data', '--timeout', '40', ...both];
  const run = await match(command(offerer, 'offer', [...common, ...offer]), command(answerer, 'answer', [...common, ...answer]),
    onLine && { onLine });
  const explain = run.log();
  assert.ok(run.offer?.ok, `the offerer failed: ${run.offer?.reason}\n${explain}`);
  assert.ok(run.answer?.ok, `the answerer failed: ${run.answer?.reason}\n${explain}`);
  assert.deepEqual(run.codes, [0, 0], explain);
  return run;
}

// What the offerer of a reliable run must have seen.
function assertAllEchoed({ offer }) {
  assert.equal(offer.dcEchoOk, 8);
  assert.equal(offer.dcBad, 0);
  assert.equal(offer.dcEmptyText, true);
  assert.equal(offer.dcEmptyBinary, true);
  assert.equal(offer.dcMaxSent, 262144);
}

for (const stack of stacks) {
  for (const duetOffers of [true, false]) {
    const [offerer, answerer] = duetOffers ? ['duet', stack] : [stack, 'duet'];

    test(`${offerer} offers to ${answerer}, trickle`, async () => {
      assertAllEchoed(await run(offerer, answerer));
    });
    test(`${offerer} offers to ${answerer}, without trickle`, async () => {
      assertAllEchoed(await run(offerer, answerer, { both: ['--no-trickle'] }));
    });
    test(`${offerer} offers an unordered channel to ${answerer}`, async () => {
      const { offer } = await run(offerer, answerer, { both: ['--chan', '{"ordered":false}'] });
      assert.equal(offer.dcBad, 0);
    });
    test(`${offerer} offers a channel with maxRetransmits to ${answerer}`, async () => {
      const { offer } = await run(offerer, answerer, { both: ['--chan', '{"ordered":false,"maxRetransmits":5}'] });
      assert.equal(offer.dcBad, 0);
    });
    test(`${offerer} and ${answerer} negotiate a channel by id`, async () => {
      assertAllEchoed(await run(offerer, answerer, { both: ['--chan', '{"negotiated":true,"id":7}'] }));
    });
  }
}

for (const browser of ['chromium', 'firefox']) {
  test(`duet restarts ICE with ${browser}`, async () => {
    assertAllEchoed(await run('duet', browser, { offer: ['--restart'] }));
  });
  test(`${browser} restarts ICE with duet`, async () => {
    assertAllEchoed(await run(browser, 'duet', { offer: ['--restart'] }));
  });
  test(`duet as DTLS server answers ${browser}`, async () => {
    const { answer } = await run(browser, 'duet', { answer: ['--setup', 'passive'] });
    assert.equal(answer.dtlsRole, 'server');
  });
  test(`duet reaches ${browser} through 5 % loss, delay and reordering`, async () => {
    // The empty messages come last and do not count for "done": with loss the peers may close before their echoes are back.
    const { offer } = await run('duet', browser, { offer: ['--impair', 'loss=0.05,delay=10ms,jitter=5ms,reorder=0.05,seed=3'] });
    assert.equal(offer.dcEchoOk, 8);
    assert.equal(offer.dcBad, 0);
    assert.equal(offer.dcMaxSent, 262144);
  });
}

test('a peer that names no largest message gets 64 KiB', async () => {
  const onLine = (from, line) => ({ ...line, ...(line.sdp && { sdp: line.sdp.replace(/a=max-message-size:\d+\r\n/, '') }) });
  const { offer } = await run('duet', 'duet', { onLine });
  assert.equal(offer.dcMaxSent, 65536);
});

test('of an echo that adds words to text, the other messages count', async () => {
  const { offer } = await match(
    command('duet', 'offer', ['--data', '--timeout', '4']), command('ndc', 'answer', ['--data', '--prefix', 'You said: ']));
  assert.equal(offer.ok, false);
  assert.equal(offer.dcEchoOk, 6);
  assert.equal(offer.dcBad, 3);
});

// GStreamer's webrtcbin names none, and cannot carry empty messages.
for (const [offerer, answerer] of [['duet', 'gst'], ['gst', 'duet']]) {
  test(`${offerer} offers data to ${answerer}`, async () => {
    const { offer, answer } = await run(offerer, answerer);
    assert.equal(offer.dcEchoOk, 8);
    const duet = offerer === 'duet' ? offer : answer;
    assert.equal(duet.dcBad, 0);
    assert.equal(duet.dcMaxSent, 65536);
  });
}

test('audio and video in the offer of a browser are answered, and the data channel works', async () => {
  for (const browser of ['chromium', 'firefox']) {
    const result = await match(
      command(browser, 'offer', ['--data', '--audio', '--video', '--media-optional', '--timeout', '40']),
      command('duet', 'answer', ['--data', '--timeout', '40']));
    assert.ok(result.offer?.ok && result.answer?.ok, result.log());
    assertAllEchoed(result);
  }
});
