// A browser as a peer on JSON lines: the counterpart of `duet peer`, played by Chromium or Firefox.
//   node browser.mjs offer|answer --browser chromium|firefox [--data] [--no-trickle] [--restart] [--chan JSON] …
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import puppeteer from 'puppeteer-core';
import { pageMain } from './browser_page.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    browser: { type: 'string', default: 'chromium' },
    data: { type: 'boolean', default: false },
    audio: { type: 'boolean', default: false },
    video: { type: 'boolean', default: false },
    'no-trickle': { type: 'boolean', default: false },
    codec: { type: 'string' }, // preferred, for audio or video
    'media-optional': { type: 'boolean', default: false }, // it is offered, and need not flow
    'min-seconds': { type: 'string', default: '0' }, // of media, before it counts as passed
    'min-estimate': { type: 'string', default: '0' }, // bit/s that it thinks it may send, before it counts as passed
    restart: { type: 'boolean', default: false },
    'stop-first': { type: 'boolean', default: false }, // of its tracks, after the test: the second has to go on
    chan: { type: 'string', default: '{}' },
    'ice-servers': { type: 'string', default: '[]' },
    relay: { type: 'boolean', default: false },
    timeout: { type: 'string', default: '30' },
    name: { type: 'string' },
    mdns: { type: 'boolean', default: false },
    stats: { type: 'boolean', default: false },
    ca: { type: 'string' }, // Firefox: an authority (PEM) that it trusts
    resolve: { type: 'string' }, // Firefox: every host name has this address
    arg: { type: 'string', multiple: true, default: [] },
  },
});
const role = positionals[0];
const name = options.name ?? options.browser;

const chromiumArgs = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--allow-loopback-in-peer-connection',
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required', ...options.arg,
];
// A page that may use the microphone sees addresses all the same.
if (options.mdns) chromiumArgs.splice(chromiumArgs.indexOf('--use-fake-ui-for-media-stream'), 1);
else chromiumArgs.push('--disable-features=WebRtcHideLocalIpsWithMdns');

const firefoxPrefs = {
  'media.peerconnection.ice.obfuscate_host_addresses': options.mdns,
  'media.peerconnection.ice.loopback': true,
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
};

if (options.resolve) firefoxPrefs['network.dns.forceResolve'] = options.resolve;

function write(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

// Firefox trusts what its own store says.
function trust(profile, ca) {
  execFileSync('certutil', ['-N', '--empty-password', '-d', `sql:${profile}`]);
  execFileSync('certutil', ['-A', '-d', `sql:${profile}`, '-n', 'duet test', '-t', 'C,,', '-i', ca]);
}

function launch(profile) {
  if (options.browser === 'firefox' && options.ca) trust(profile, options.ca);
  if (options.browser === 'firefox')
    return puppeteer.launch({
      browser: 'firefox', protocol: 'webDriverBiDi', headless: true, userDataDir: profile,
      executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', extraPrefsFirefox: firefoxPrefs,
    });
  return puppeteer.launch({
    headless: true, userDataDir: profile, executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: chromiumArgs, pipe: true,
  });
}

// getUserMedia wants a secure context: the page comes from 127.0.0.1.
async function servePage() {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><meta charset="utf-8"><title>peer</title>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}/` };
}

async function main() {
  const deadline = setTimeout(() => {
    write({ type: 'result', endpoint: name, role, ok: false, reason: 'timeout: the browser did not answer' });
    process.exit(1);
  }, (Number(options.timeout) + 20) * 1000);
  const profile = mkdtempSync(join(tmpdir(), 'duet-browser-'));
  const { server, url } = await servePage();
  const browser = await launch(profile);
  const page = await browser.newPage();
  const done = new Promise((resolve) => {
    page.exposeFunction('emitLine', (text) => {
      const line = JSON.parse(text);
      write(line);
      if (line.type === 'result') resolve(line);
    }).then(async () => {
      if (process.env.IOP_CONSOLE) page.on('console', (m) => console.error('[page]', m.text()));
      await page.goto(url);
      await page.evaluate(pageMain, {
        role, name, data: options.data, audio: options.audio, video: options.video, codec: options.codec,
        mediaOptional: options['media-optional'], minSeconds: Number(options['min-seconds']),
        minEstimate: Number(options['min-estimate']),
        trickle: !options['no-trickle'], restart: options.restart, stopFirst: options['stop-first'], chan: JSON.parse(options.chan),
        iceServers: JSON.parse(options['ice-servers']), relay: options.relay, timeout: Number(options.timeout),
        stats: options.stats,
      });
      const input = createInterface({ input: process.stdin });
      // One after the other: the page must see the lines in their order.
      let last = Promise.resolve();
      const pass = (text) => { last = last.then(() => page.evaluate((t) => window.takeLine(t), text)).catch(() => {}); };
      input.on('line', (text) => { if (text.trim()) pass(text); });
      input.on('close', () => pass(JSON.stringify({ type: 'eof' })));
    });
  });
  const result = await done;
  clearTimeout(deadline);
  await Promise.race([browser.close(), new Promise((resolve) => setTimeout(resolve, 5000))]);
  browser.process()?.kill('SIGKILL');
  server.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  process.exit(result.ok ? 0 : 1);
}

main().catch((error) => {
  console.error(error);
  write({ type: 'result', endpoint: name, role, ok: false, reason: String(error) });
  process.exit(1);
});
