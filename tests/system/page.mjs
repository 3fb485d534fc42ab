// The page in Chromium and Firefox, for tests: opened, used as people use it, and looked at.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duet, root, sleep, within } from './common.mjs';

const puppeteer = createRequire(join(root, 'tests/interop/package.json'))('puppeteer-core');
const artifacts = join(root, 'build/artifacts');
const PATIENCE = 60000;

const firefoxPrefs = (downloads) => ({
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.peerconnection.ice.loopback': true,
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'browser.download.folderList': 2,
  'browser.download.dir': downloads,
  'browser.download.always_ask_before_handling_new_types': false,
  'browser.helperApps.neverAsk.saveToDisk': 'application/octet-stream',
});

const chromiumArgs = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--allow-loopback-in-peer-connection', '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream', '--disable-features=WebRtcHideLocalIpsWithMdns'];

// A browser with fake camera and microphone (or without any), which saves what it downloads in `browser.downloads`.
export async function launch(name, { media = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'duet-page-'));
  const downloads = join(folder, 'downloads');
  mkdirSync(downloads);
  const browser = await puppeteer.launch(name === 'firefox'
    ? { browser: 'firefox', protocol: 'webDriverBiDi', headless: true, executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
      extraPrefsFirefox: firefoxPrefs(downloads) }
    : { headless: true, pipe: true, executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: media ? chromiumArgs : chromiumArgs.filter((arg) => !arg.startsWith('--use-fake')) });
  if (name !== 'firefox') {
    const session = await browser.target().createCDPSession();
    await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: downloads });
  }
  browser.name = name;
  browser.downloads = downloads;
  const close = browser.close.bind(browser);
  browser.close = async () => {
    await within(5000, close(), 'the browser ends').catch(() => browser.process()?.kill('SIGKILL'));
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  return browser;
}

// Runs the test with browsers that end with it.
export async function withBrowsers(names, run, options) {
  const browsers = [];
  try {
    for (const name of names) browsers.push(await launch(name, options));
    await run(...browsers);
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
  }
}

// What the page shows, and what a person does with it.
export class Page {
  static async open(browser, http, hash, { width = 1280, height = 900 } = {}) {
    const self = new Page();
    self.canEmulate = browser.name !== 'firefox';
    self.page = await browser.newPage();
    self.problems = [];
    self.page.on('pageerror', (error) => self.problems.push(error.message));
    self.page.on('console', (message) => { if (['error', 'warn'].includes(message.type())) self.problems.push(message.text()); });
    self.remarks = []; // what the page remarks, for those who read a failure
    self.page.on('console', (message) => self.remarks.push(message.text()));
    await self.page.evaluateOnNewDocument(() => {
      window.connections = [];
      const Original = RTCPeerConnection;
      window.RTCPeerConnection = function (...args) { return window.connections[window.connections.push(new Original(...args)) - 1]; };
    });
    await self.page.setViewport({ width, height });
    await self.page.goto(`${http}/#${typeof hash === 'string' ? hash : new URLSearchParams(hash)}`);
    return self;
  }

  // Pages behind others draw no frames: so it looks by the clock.
  async until(test, ...args) {
    try {
      return await this.page.waitForFunction(test, { timeout: PATIENCE, polling: 50 }, ...args);
    } catch (error) {
      throw new Error(`${error.message}: ${test} ${JSON.stringify(args)}\n${await this.page.evaluate(() => document.body.innerText)}\n` +
        `${await this.text('#timeline').catch(() => '')}\n${this.remarks.join('\n')}`);
    }
  }

  click(selector) { return this.page.locator(selector).setTimeout(PATIENCE).click(); }
  text(selector) { return this.page.$eval(selector, (found) => found.textContent); }
  shown(selector) { return this.until((s) => [...document.querySelectorAll(s)].some((e) => e.checkVisibility()), selector); }
  gone(selector) { return this.until((s) => ![...document.querySelectorAll(s)].some((e) => e.checkVisibility()), selector); }
  has(selector, text) {
    return this.until((s, t) => [...document.querySelectorAll(s)].some((e) => e.textContent.includes(t)), selector, text);
  }

  async say(text) {
    await this.page.click('#text');
    await this.page.type('#text', text);
    await this.page.keyboard.press('Enter');
  }

  heard(text) {
    return this.until((t) => [...document.querySelectorAll('#log .theirs .text')].some((e) => e.textContent === t), text);
  }

  // Everybody of these is in the list, and connected.
  talksTo(...agents) {
    return this.until((names) => names.every((name) => [...document.querySelectorAll('#people li')].some((li) =>
      li.querySelector('strong').textContent === name && li.querySelector('.dot.good'))) &&
      document.getElementById('chat-count').textContent === `to ${names.length}`, agents);
  }

  // Presses the button of a person.
  async choose(agent) {
    await this.until((name) => [...document.querySelectorAll('#people strong')].some((e) => e.textContent === name), agent);
    const item = await this.page.evaluateHandle((name) =>
      [...document.querySelectorAll('#people li')].find((li) => li.querySelector('strong').textContent === name).querySelector('button'), agent);
    await item.asElement().click();
  }

  // The tile of the person shows a picture, and another one later.
  async sees(agent) {
    const look = (before) => this.until((name, other) => {
      const tile = [...document.querySelectorAll('#tiles figure')].find((f) => f.querySelector('figcaption span').textContent === name);
      const video = tile?.querySelector('video');
      if (!(video?.videoWidth > 0) || tile.classList.contains('dark')) return false;
      const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 48 });
      const context = canvas.getContext('2d');
      context.drawImage(video, 0, 0, 64, 48);
      const pixels = context.getImageData(0, 0, 64, 48).data;
      const sum = pixels.reduce((hash, value) => (hash * 31 + value) >>> 0, 7);
      const lit = pixels.some((value, i) => i % 4 !== 3 && value > 40);
      return lit && sum !== other && sum;
    }, agent, before);
    const first = await (await look(0)).jsonValue();
    await look(first);
  }

  // Frames that all connections of the page have decoded.
  framesDecoded() {
    return this.page.evaluate(async () => {
      const reports = await Promise.all(window.connections.filter((pc) => pc.connectionState !== 'closed').map((pc) => pc.getStats()));
      return reports.flatMap((report) => [...report.values()]).filter((s) => s.type === 'inbound-rtp' && s.kind === 'video')
        .reduce((sum, s) => sum + s.framesDecoded, 0);
    });
  }

  async decodes() {
    const before = await this.framesDecoded();
    const until = Date.now() + PATIENCE;
    while (Date.now() < until) {
      if (await this.framesDecoded() > before + 10) return;
      await sleep(50);
    }
    throw new Error(`no more than ${before} frames were decoded`);
  }

  async shoot(name, scheme) {
    mkdirSync(artifacts, { recursive: true });
    if (scheme && this.canEmulate) await this.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    await this.page.screenshot({ path: join(artifacts, `${name}.png`), fullPage: true });
  }

  fits(width) { return this.page.evaluate((w) => document.documentElement.scrollWidth <= w, width); }
  close() { return this.page.close(); }
}

// Nothing leaves this machine: in a namespace of our own any interface will do, otherwise loopback only.
const local = process.env.DUET_NETNS ? [] : ['--bind', '127.0.0.1'];

export async function serveEcho(server, room) {
  const child = duet('echo', 'serve', '--signaling', server.ws, '--room', room, '--token', await server.token('echo'), '--json', ...local);
  await child.line((line) => line.includes('"ready"'));
  child.end = async () => {
    child.kill('SIGTERM');
    return within(10000, child.exited, 'the echo server ends');
  };
  return child;
}

// A TCP relay in front of the server, whose connections can be cut and kept out.
export async function relayTo(port) {
  const sockets = new Set();
  let open = true;
  const listener = createServer((client) => {
    if (!open) { client.destroy(); return; }
    const server = connect(port, '127.0.0.1');
    for (const [from, to] of [[client, server], [server, client]]) {
      sockets.add(from);
      from.on('error', () => {}).on('close', () => { sockets.delete(from); to.destroy(); }).pipe(to);
    }
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    http: `http://127.0.0.1:${listener.address().port}`,
    cut: () => { open = false; sockets.forEach((socket) => socket.resetAndDestroy()); },
    mend: () => { open = true; },
    close: () => { sockets.forEach((socket) => socket.destroy()); listener.close(); },
  };
}
