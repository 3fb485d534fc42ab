// The page with many: Chromium, Firefox and a C peer in one room; calls, files, a lost connection to the server; the admin view.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sleep, startServer, within } from './common.mjs';
import { Page, relayTo, serveEcho, withBrowsers } from './page.mjs';

let server;
before(async () => { server = await startServer(); });
after(async () => { assert.equal(await server.stop(), 0, server.child.text); });

const both = ['chromium', 'firefox'];
const all = ['--perm', 'create,join,moderate'];
const open = async (browser, sub, hash, { perm = [], http = server.http } = {}) =>
  Page.open(browser, http, { ...hash, token: await server.token(sub, ...perm) });
const api = async (method, path, body) => {
  const response = await fetch(`${server.http}/api/${path}`, {
    method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${await server.token('operator', ...all)}` },
  });
  return response.status === 204 ? null : response.json();
};
const quiet = (...pages) => assert.deepEqual(pages.flatMap((page) => page.problems), []);

async function fillRoom(page, { name, seats, muted }) {
  await page.click('#create');
  await page.shown('#room-dialog');
  await page.page.type('#room-form [name=name]', name);
  await page.page.$eval('#room-form [name=maxParticipants]', (input) => { input.value = ''; });
  await page.page.type('#room-form [name=maxParticipants]', String(seats));
  if (muted) await page.click('#room-form [name=muteOnEntry]');
}

test('a room is made in the lobby, found there, and two browsers and a C peer all talk in it', () => withBrowsers(both, async (chromium, firefox) => {
  const ann = await open(chromium, 'ann', {}, { perm: ['--perm', 'create,join'] });
  await ann.shown('#create');
  await ann.gone('#to-admin');
  await fillRoom(ann, { name: 'Tea & <b>biscuits</b>', seats: 4, muted: true });
  await ann.click('#room-form button[type=submit]');
  await ann.shown('#room-view');
  await ann.has('#room-name', 'Tea & <b>biscuits</b>');
  const id = new URLSearchParams(new URL(ann.page.url()).hash.slice(1)).get('room');

  const ben = await open(firefox, 'ben', {});
  await ben.has('#rooms li', 'Tea & <b>biscuits</b>');
  await ben.has('#rooms li', 'video · 1 of 4 · by ann');
  await ben.gone('#create'); // this token may not
  await ben.click('#rooms li button');
  const echo = await serveEcho(server, id);
  await Promise.all([ann.talksTo('ben', 'echo'), ben.talksTo('ann', 'echo')]);

  await ann.say('hello everybody');
  await Promise.all([ben.heard('hello everybody'), ann.heard('hello everybody')]); // from the echo peer
  await ben.say('hello from Firefox');
  await Promise.all([ann.heard('hello from Firefox'), ben.heard('hello from Firefox')]);
  await ann.has('#log .theirs .who', 'ben');
  await ann.has('#log .theirs .who', 'echo');

  // A call with the C peer too, which sends the pictures back, and goes on echoing messages.
  await ann.click('#join-video');
  await ann.sees('You');
  assert.equal(await ann.page.$eval('#mute', (button) => button.getAttribute('aria-pressed')), 'true'); // muted on entry
  await ben.sees('ann');
  await ann.sees('echo');
  await ben.has('.tile-muted', 'muted');
  await ann.say('still there?');
  await Promise.all([ben.heard('still there?'), ann.heard('still there?')]);
  await ann.talksTo('ben', 'echo');
  assert.equal(await echo.end(), 0, echo.text);
  await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
  quiet(ann, ben);
}));

test('the buttons of the call stay where they are when somebody else joins it', () => withBrowsers(['chromium', 'chromium'], async (one, two) => {
  const [ann, ben] = [await open(one, 'ann', { room: 'still' }), await open(two, 'ben', { room: 'still' })];
  await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
  const place = () => ben.page.$eval('#join-video', (button) => JSON.stringify(button.getBoundingClientRect()));
  const before = await place();
  await ann.click('#join-video');
  await ben.sees('ann');
  assert.equal(await place(), before); // or a click would hit something else
  quiet(ann, ben);
}));

test('a video call between Chromium and Firefox: pictures move, mute, camera, figures, and the end', () => withBrowsers(both, async (chromium, firefox) => {
  const [ann, ben] = [await open(chromium, 'ann', { room: 'call' }), await open(firefox, 'ben', { room: 'call' })];
  await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
  await Promise.all([ann.click('#join-video'), ben.click('#join-video')]); // at once
  await Promise.all([ann.sees('ben'), ben.sees('ann'), ann.sees('You'), ben.sees('You')]);
  await Promise.all([ann.decodes(), ben.decodes()]);

  await ann.choose('ben');
  await ann.until(() => /bit\/s/.test(document.getElementById('bitrate-in').textContent) &&
    /%/.test(document.getElementById('loss-in').textContent) && /%/.test(document.getElementById('loss-out').textContent) &&
    document.querySelector('#bitrate-chart .chart-b').getAttribute('d').length > 60);
  await ann.say('Good morning! How is the picture?');
  await ben.heard('Good morning! How is the picture?');
  await ben.say('Green, and it moves.');
  await ann.heard('Green, and it moves.');
  await ann.shoot('call-light', 'light');
  await ann.shoot('call-dark', 'dark');

  await ann.click('#mute');
  await ben.shown('.tile-muted');
  await ann.click('#mute');
  await ben.gone('.tile-muted');

  await ann.click('#camera'); // off: the tile stays, without a picture
  await ben.until(() => document.querySelector('#tiles figure:not(.own)')?.classList.contains('dark'));
  await ann.click('#camera');
  await ben.sees('ann');

  await ben.click('#leave-call');
  await ann.until(() => document.querySelectorAll('#tiles figure').length === 1);
  await ben.sees('ann'); // who is still in it
  await ben.click('#join-voice');
  await ann.until(() => document.querySelectorAll('#tiles figure').length === 2);
  await ben.click('#leave');
  await ann.until(() => document.querySelectorAll('#tiles figure').length === 1);
  await ann.has('#log .note', 'ben left');
  quiet(ann, ben);
}));

// ---- files ----

const hash = (data) => createHash('sha256').update(data).digest('hex');

async function downloaded(browser, name) {
  const path = join(browser.downloads, name);
  const whole = async () => {
    while (!existsSync(path) || readdirSync(browser.downloads).some((file) => /\.(crdownload|part)$/.test(file)) || readFileSync(path).length === 0)
      await sleep(50);
  };
  await within(20000, whole(), `the download of ${name}: ${readdirSync(browser.downloads)}`);
  return readFileSync(path);
}

// As if the file had been dragged from the desktop.
const drop = (page, selector, name, size) => page.page.evaluate((where, fileName, n) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(n).fill(7)], fileName));
  for (const type of ['dragover', 'drop'])
    document.querySelector(where).dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
}, selector, name, size);

for (const [sends, receives] of [both, [...both].reverse()]) {
  test(`a file goes from ${sends} to ${receives}; others are declined, cancelled, or not for a C peer`, () => withBrowsers([sends, receives], async (one, two) => {
    const [ann, ben] = [await open(one, 'ann', { room: sends }), await open(two, 'ben', { room: sends })];
    await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
    const data = randomBytes(5 << 20);
    const name = 'holiday photo ✓.bin';
    writeFileSync(join(one.downloads, name), data);
    const input = await ann.page.$('#file-input');
    await input.uploadFile(join(one.downloads, name));
    await ben.has('.transfer', 'wants to send you this');
    await ben.has('.transfer', '5.24 MB from ann');
    await ben.click('.transfer button.primary');
    await Promise.all([ann.has('.transfer[data-state=done]', 'has arrived'), ben.has('.transfer[data-state=done]', 'is here')]);
    await ben.click('.transfer a[download]');
    assert.equal(hash(await downloaded(two, name)), hash(data));

    await drop(ann, '#drop', '../../<b>evil</b>\u202egpj.exe', 3000);
    await ben.has('.transfer strong', 'gpj.exe');
    assert.match(await ben.text('.transfer strong'), /^[^/\\\u202e]*gpj\.exe$/); // no folders, nothing that turns the writing round
    await ben.click('.transfer[data-state=waiting] button.quiet');
    await ann.has('.transfer[data-state=refused]', 'was declined');

    await drop(ann, '#people li:last-child strong', 'large.bin', 400 << 20);
    await ben.click('.transfer[data-state=waiting] button.primary');
    await ben.until(() => document.querySelector('.transfer[data-state=going] progress')?.value > 1 << 20);
    assert.ok(await ann.page.$eval('.transfer[data-state=going] progress', (bar) => bar.value > 0));
    await ben.shoot(`files-${receives}`, 'dark');
    await ben.click('.transfer[data-state=going] button');
    await Promise.all([ann.shown('.transfer[data-state=cancelled]'), ben.shown('.transfer[data-state=cancelled]')]);

    const echo = await serveEcho(server, sends);
    await ann.talksTo('ben', 'echo');
    await drop(ann, '#people li:last-child strong', 'for-echo.txt', 10);
    await ann.has('.transfer[data-state=unwanted]', 'does not take files');
    assert.equal(await echo.end(), 0, echo.text);
    quiet(ann, ben);
  }));
}

// ---- a lost connection to the server ----

test('a connection to the server that breaks is made again: nobody has left, and nothing is missed', () => withBrowsers(both, async (chromium, firefox) => {
  const relay = await relayTo(server.port);
  try {
    const ann = await open(chromium, 'ann', { room: 'lost' }, { http: relay.http });
    const ben = await open(firefox, 'ben', { room: 'lost' });
    await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
    const seat = () => ann.page.$eval('#people li', (item) => item.dataset.id);
    const before = await seat();

    relay.cut();
    await ann.shown('#banner');
    assert.match(await ann.text('#banner'), /reconnecting/);
    await ann.shoot('reconnecting-dark', 'dark');
    await ann.say('over data channels all the same');
    await ben.heard('over data channels all the same');
    const echo = await serveEcho(server, 'lost'); // comes while ann does not hear of it
    await ben.talksTo('ann', 'echo');
    await ben.click('#join-video'); // an offer that ann gets later
    relay.mend();
    await ann.gone('#banner');
    await Promise.all([ann.talksTo('ben', 'echo'), ben.talksTo('ann', 'echo')]);
    await ann.sees('ben');
    assert.equal(await seat(), before);
    for (const page of [ann, ben]) assert.doesNotMatch(await page.text('#log'), /lost the connection|left/);
    assert.equal(await echo.end(), 0, echo.text);
    quiet(ben);
  } finally {
    relay.close();
  }
}));

const inNetwork = { skip: process.env.DUET_NETNS ? false : 'only in a network namespace: it filters packets' };
const nft = (...words) => execFileSync('nft', words);

test('a path between two people that is lost is found again', inNetwork, () => withBrowsers(both, async (chromium, firefox) => {
  const [ann, ben] = [await open(chromium, 'ann', { room: 'path' }), await open(firefox, 'ben', { room: 'path' })];
  await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
  nft('add table inet cut; add chain inet cut in { type filter hook input priority 0; }; add rule inet cut in meta l4proto udp drop');
  try {
    await Promise.all([ann, ben].map((page) => page.until(() => document.getElementById('peer-state').textContent !== 'connected')));
  } finally {
    nft('delete table inet cut');
  }
  await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
  await ann.say('here again');
  await ben.heard('here again');
  for (const page of [ann, ben]) assert.doesNotMatch(await page.text('#log'), /left/);
  quiet(ann, ben);
}));

test('a page that is closed leaves at once', () => withBrowsers(['chromium', 'chromium'], async (one, two) => {
  const [ann, ben] = [await open(one, 'ann', { room: 'close' }), await open(two, 'ben', { room: 'close' })];
  await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
  await ben.page.reload();
  await ann.has('#log .note', 'ben left');
  await ann.talksTo('ben');
  quiet(ann, ben);
}));

test('when the seat has gone meanwhile, the page takes a new one', { timeout: 60000 }, () => withBrowsers(['chromium'], async (browser) => {
  const strict = await startServer(['--dev', '--grace', '1']);
  const relay = await relayTo(strict.port);
  try {
    const page = await Page.open(browser, relay.http, { room: 'late', token: await strict.token('ann') });
    const echo = await serveEcho(strict, 'late');
    await page.talksTo('echo');
    const before = await page.page.$eval('#people li', (item) => item.dataset.id);
    relay.cut();
    const headers = { Authorization: `Bearer ${await strict.token('operator')}` };
    const people = async () => (await (await fetch(`${strict.http}/api/rooms/late/participants`, { headers })).json()).participants;
    while ((await people()).length > 1) await sleep(50);
    relay.mend();
    await page.gone('#banner');
    await page.talksTo('echo');
    assert.notEqual(await page.page.evaluate(() =>
      [...document.querySelectorAll('#people li')].find((li) => li.textContent.includes('(you)')).dataset.id), before);
    await echo.end();
  } finally {
    relay.close();
    await strict.stop();
  }
}));

test('a token that expires soon can be renewed, and the room goes on', () => withBrowsers(['firefox'], async (browser) => {
  const page = await Page.open(browser, server.http, { room: 'renew', token: await server.token('ann', '--ttl', '60') });
  await page.has('#banner', 'Your token expires');
  await page.page.type('#renew-token', await server.token('ann'));
  await page.click('#renew-form button');
  await page.gone('#banner');
  const echo = await serveEcho(server, 'renew');
  await page.talksTo('echo');
  assert.equal(await echo.end(), 0, echo.text);
  quiet(page);
}));

// ---- the admin view ----

test('who moderates sees the rooms, changes one, removes a person and closes a room', () => withBrowsers(both, async (chromium, firefox) => {
  const { roomId } = await api('POST', 'rooms', { name: 'Board', type: 'video', maxParticipants: 4 });
  const [ann, ben] = [await open(firefox, 'ann', { room: roomId }), await open(firefox, 'ben', { room: roomId })];
  await Promise.all([ann.talksTo('ben'), ben.talksTo('ann')]);
  const admin = await open(chromium, 'operator', { admin: '' }, { perm: all });
  await admin.has('.admin-room h2', 'Board');
  await admin.has('.admin-room li', 'ben');
  await admin.click('#to-lobby');
  await admin.has('#rooms li', 'Board');
  await admin.shoot('lobby-light', 'light');
  await admin.shoot('lobby-dark', 'dark');
  await admin.click('#to-admin');
  await admin.until(() => Number([...document.querySelectorAll('#admin-figures .tile')].find((tile) =>
    tile.textContent.startsWith('Connections')).querySelector('.figure').textContent) >= 2);
  assert.doesNotMatch(admin.page.url(), /token/);
  await admin.shoot('admin-light', 'light');
  await admin.shoot('admin-dark', 'dark');

  const card = `.admin-room[data-id="${roomId}"]`;
  await admin.click(`${card} .edit`);
  await admin.shown('#room-dialog');
  await admin.page.$eval('#room-form [name=name]', (input) => { input.value = ''; });
  await admin.page.type('#room-form [name=name]', 'Council');
  await admin.click('#room-form [name=muteOnEntry]');
  await admin.shoot('admin-settings-light', 'light');
  await admin.click('#room-form button[type=submit]');
  await admin.has('.admin-room h2', 'Council');
  await admin.has('.admin-room p', 'muted on entry');
  assert.equal((await api('GET', `rooms/${roomId}`)).settings.muteOnEntry, true);

  await admin.click(`${card} [aria-label="Remove ben"]`);
  await admin.click('#confirm-yes');
  await ben.has('#join-error', 'removed from the room');
  await ann.has('#log .note', 'ben was removed');
  await admin.until((selector) => document.querySelectorAll(`${selector} li`).length === 1, card);

  await admin.click(`${card} .close`);
  await admin.click('#confirm-yes');
  await ann.has('#join-error', 'the room has been closed');
  await admin.until((selector) => !document.querySelector(selector), card);
  quiet(admin, ann, ben);
}));

test('the page can be used with the keyboard alone, and what it shows has names', () => withBrowsers(['chromium'], async (browser) => {
  const page = await open(browser, 'keys', { room: 'keys' });
  const echo = await serveEcho(server, 'keys');
  await page.talksTo('echo');
  const unnamed = await page.page.evaluate(() => [...document.querySelectorAll('button, input, select, [role=img], progress')]
    .filter((e) => e.checkVisibility() && !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML));
  assert.deepEqual(unnamed, []);
  const reached = new Set();
  for (let i = 0; i < 40; i++) {
    await page.page.keyboard.press('Tab');
    reached.add(await page.page.evaluate(() => document.activeElement.id || document.activeElement.ariaLabel));
  }
  for (const id of ['leave', 'Details: echo', 'file-to', 'pick', 'join-voice', 'join-video', 'restart', 'hang-up', 'measure', 'log', 'text'])
    assert.ok(reached.has(id), `${id} of ${[...reached]}`);
  assert.equal(await echo.end(), 0, echo.text);
}));
