// The page with a C peer: chat, figures, throughput, restart; and alone: a phone, a bad token.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer } from './common.mjs';
import { Page, serveEcho, withBrowsers } from './page.mjs';

let server;
before(async () => { server = await startServer(); });
after(async () => { assert.equal(await server.stop(), 0, server.child.text); });

const open = async (browser, sub, hash, size) => Page.open(browser, server.http, { ...hash, token: await server.token(sub) }, size);
const restarts = (page) => page.page.evaluate(() => document.getElementById('timeline').textContent.split('have-local-offer').length);

for (const name of ['chromium', 'firefox']) {
  test(`a person opens a room, sees the echo peer come, chats with it and measures (${name})`, () => withBrowsers([name], async (browser) => {
    const page = await open(browser, 'person', {});
    await page.click('#join-form button[type=submit]');
    await page.shown('#alone');
    assert.match(await page.text('#command'), /duet echo serve --room demo --signaling ws:/);
    assert.doesNotMatch(page.page.url(), /token/); // it does not stay in the address
    assert.match(await page.text('#agent'), /person/);
    const echo = await serveEcho(server, 'demo');
    await page.talksTo('echo'); // by itself
    for (const message of ['Hello from a browser', 'Grüße ✓ 😀', '<img src=x>']) {
      await page.say(message);
      await page.heard(message);
    }
    assert.match(await page.text('#log .theirs small'), /echo after [\d.]+ ms/);
    await page.until(() => /\d/.test(document.getElementById('rtt').textContent + document.getElementById('bitrate-out').textContent));
    assert.match(await page.text('#timeline'), /connection connected/);
    await page.until(() => /DTLS/.test(document.getElementById('security').textContent));
    await page.click('#measure');
    await page.until(() => /On average/.test(document.getElementById('measure-result').textContent));
    const [, out, back] = /On average (\d+) Mbit\/s out and (\d+)/.exec(await page.text('#measure-result'));
    assert.ok(Number(out) > 0 && Number(back) > 0);
    for (const line of ['#rate-chart .chart-b', '#bitrate-chart .chart-a', '#bitrate-chart .chart-b'])
      assert.ok(await page.page.$eval(line, (path) => path.getAttribute('d').length > 20), line);
    const before = await restarts(page);
    await page.click('#restart'); // ICE restarts, and the chat goes on
    await page.until((n) => document.getElementById('timeline').textContent.split('have-local-offer').length > n, before);
    await page.say('after the restart');
    await page.heard('after the restart');
    await page.click('#hang-up');
    await page.until(() => document.getElementById('send').disabled);
    await page.choose('echo'); // a new connection to the same participant
    await page.talksTo('echo');
    await page.say('once more');
    await page.heard('once more');
    assert.equal(await echo.end(), 0, echo.text);
    await page.shown('#alone');
    await page.has('#log .note', 'echo left');
    assert.deepEqual(page.problems, []);
  }));
}

test('two pages in a room chat with each other, and both may call at once', () => withBrowsers(['chromium', 'chromium'], async (...browsers) => {
  const [ann, ben] = await Promise.all(['ann', 'ben'].map((sub, i) => open(browsers[i], sub, { room: 'pair' })));
  await Promise.all([ann.choose('ben'), ben.choose('ann')]);
  await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
  for (const [from, to, message] of [[ann, ben, 'hello Ben'], [ben, ann, 'hello Ann']]) {
    await from.say(message);
    await to.heard(message);
  }
  await ann.click('#hang-up'); // and the other side does not call again
  await ben.until(() => document.getElementById('peer-state').textContent === 'closed');
  assert.deepEqual([...ann.problems, ...ben.problems], []);
}));

test('the page fits a phone', () => withBrowsers(['chromium'], async (browser) => {
  const page = await open(browser, 'phone', {}, { width: 360, height: 740 });
  await page.shown('#rooms-card');
  assert.ok(await page.fits(360));
  await page.shoot('phone-lobby-light', 'light');
  await page.page.type('#room', 'phone');
  await page.click('#join-form button[type=submit]');
  const echo = await serveEcho(server, 'demophone');
  await page.talksTo('echo');
  await page.say('hello from a phone');
  await page.heard('hello from a phone');
  await page.click('#join-video');
  await page.sees('You');
  await page.choose('echo');
  await page.shoot('phone-room-light', 'light');
  assert.ok(await page.fits(360));
  await page.shoot('phone-room-dark', 'dark');
  assert.equal(await echo.end(), 0, echo.text);
  assert.deepEqual(page.problems, []);
}));

test('a bad token is told on the page', () => withBrowsers(['chromium'], async (browser) => {
  const page = await Page.open(browser, server.http, { room: 'demo', token: 'nonsense' });
  await page.shown('#join-error');
  assert.match(await page.text('#join-error'), /token/);
  await page.shown('#token');
}));

test('a machine without camera and microphone is told so', () => withBrowsers(['chromium'], async (browser) => {
  const page = await open(browser, 'silent', { room: 'silent' });
  await page.shown('#join-voice');
  await page.click('#join-voice');
  await page.shown('#call-error');
  assert.match(await page.text('#call-error'), /no camera or microphone was found|not allowed/);
  assert.deepEqual(page.problems, []);
}, { media: false }));
