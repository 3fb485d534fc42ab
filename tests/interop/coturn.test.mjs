// duet peer through coturn: over UDP, TCP and TLS, with itself and with browsers. Run inside in_netns.sh.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { startCoturn } from './coturn.mjs';
import { command, match } from './matchmaker.mjs';

let coturn;
before(async () => { coturn = await startCoturn(); });
after(async () => { await coturn?.stop(); });

function servers(transport, { username = 'alice', credential = 'secret', from = coturn } = {}) {
  return ['--ice-servers', JSON.stringify([{ urls: from.url(transport), username, credential }])];
}

const trust = (from = coturn) => ['--ca', from.ca];

async function run(offerer, answerer, { offer = [], answer = [], timeout = '30', onLine } = {}) {
  const common = ['--data', '--timeout', timeout];
  return match(command(offerer, 'offer', [...common, ...offer]), command(answerer, 'answer', [...common, ...answer]), { onLine });
}

function assertOk(result) {
  const explain = result.log();
  assert.ok(result.offer?.ok, `the offerer failed: ${result.offer?.reason}\n${explain}`);
  assert.ok(result.answer?.ok, `the answerer failed: ${result.answer?.reason}\n${explain}`);
  assert.equal(result.offer.dcEchoOk, 8);
  assert.equal(result.offer.dcBad, 0);
}

for (const transport of ['udp', 'tcp', 'tls']) {
  test(`two relay-only peers meet through coturn over ${transport}`, async () => {
    const options = ['--relay', ...servers(transport), ...trust()];
    const candidates = [];
    const result = await run('duet', 'duet', {
      offer: options, answer: options,
      onLine: (from, line) => { if (line.candidate) candidates.push(line.candidate); return line; },
    });
    assertOk(result);
    assert.match(result.offer.pair, /^relay/);
    assert.ok(candidates.length > 0);
    for (const candidate of candidates) assert.match(candidate, / typ relay raddr (0\.0\.0\.0|::) rport 0/);
  });
  test(`a relay-only peer reaches one without servers over ${transport}`, async () => {
    assertOk(await run('duet', 'duet', { offer: ['--relay', ...servers(transport), ...trust()] }));
  });
}

test('a relay carries an ICE restart', async () => {
  const options = ['--relay', ...servers('udp')];
  assertOk(await run('duet', 'duet', { offer: [...options, '--restart'], answer: options }));
});

test('time-limited credentials are ordinary ones', async () => {
  const from = await startCoturn(['--use-auth-secret', '--static-auth-secret=s3cret']);
  try {
    const username = `${Math.floor(Date.now() / 1000) + 600}:bob`;
    const credential = createHmac('sha1', 's3cret').update(username).digest('base64');
    const options = ['--relay', ...servers('udp', { username, credential, from })];
    assertOk(await run('duet', 'duet', { offer: options, answer: options }));
  } finally { await from.stop(); }
});

test('a wrong password and an untrusted certificate are told', async () => {
  const wrong = await run('duet', 'duet', { offer: ['--relay', '--verbose', ...servers('udp', { credential: 'wrong' })], timeout: '4' });
  assert.ok(!wrong.offer?.ok);
  assert.match(wrong.log(), /401 .*does not accept user "alice"/);
  const untrusted = await run('duet', 'duet', { offer: ['--relay', '--verbose', ...servers('tls')], timeout: '4' });
  assert.ok(!untrusted.offer?.ok);
  assert.match(untrusted.log(), /701 no tls connection/);
});

test('a STUN server over TLS is asked without complaint', async () => {
  const list = JSON.stringify([{ urls: coturn.url('tls').replace('turns:', 'stuns:').replace(/\?.*/, '') }]);
  const result = await run('duet', 'duet', { offer: ['--verbose', '--ice-servers', list, ...trust()] });
  assertOk(result);
  assert.doesNotMatch(result.log(), / 701 /);
});

test('coturn sends its clients to another server', async () => {
  const from = await startCoturn([`--alternate-server=${coturn.url('udp').slice(5).replace(/\?.*/, '')}`]);
  try {
    const options = ['--relay', ...servers('udp', { from })];
    assertOk(await run('duet', 'duet', { offer: options, answer: options }));
  } finally { await from.stop(); }
});

for (const browser of ['chromium', 'firefox']) {
  test(`a relay-only duet offers to ${browser}`, async () => {
    assertOk(await run('duet', browser, { offer: ['--relay', ...servers('udp')], timeout: '40' }));
  });
  test(`${browser} and duet meet, both relay-only`, async () => {
    assertOk(await run(browser, 'duet', { offer: ['--relay', ...servers('udp')], answer: ['--relay', ...servers('tcp')], timeout: '40' }));
  });
}
