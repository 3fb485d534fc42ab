// What packaging/ gives to those who run the room server fits the server: its settings, its figures, its sandbox, its health.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { root, secret, startServer, tool } from './common.mjs';

const folder = mkdtempSync(join(tmpdir(), 'duet-packaging-'));
after(() => rmSync(folder, { recursive: true }));
const packaging = (name) => readFileSync(join(root, 'packaging', name), 'utf8');
const file = (name, text) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

// ---- settings ----

const key = file('secret', secret);
const check = (conf) => spawnSync(tool, ['signal', '--secret', key, '--config', conf, '--check-config'], { encoding: 'utf8' });

test('the sample of settings is accepted as it is', () => {
  const run = check(join(root, 'packaging/duet-signal.conf'));
  assert.equal(run.stdout, '{"ok":true,"listen":"127.0.0.1:8080"}\n', run.stderr);
});

test('the sample has every setting, and its values are good', () => {
  const help = execFileSync(tool, ['signal', '--help'], { encoding: 'utf8' });
  const settings = [...help.matchAll(/^ +--([a-z-]+)/gm)].map((m) => m[1]).filter((s) => !['dev', 'config', 'check-config', 'help'].includes(s));
  const text = packaging('duet-signal.conf');
  const lines = text.split('\n').filter((line) => /^#?[a-z-]+ = /.test(line));
  assert.deepEqual(lines.map((line) => line.match(/^#?([a-z-]+)/)[1]).sort(), [...settings].sort());
  for (const line of text.split('\n')) assert.ok(line.length < 199, line);
  for (const line of lines) { // each alone, with files that are there
    const alone = line.replace(/^#/, '').replace(/\/etc\/duet\/(turn-)?secret/, key);
    const partner = /^turn-url/.test(alone) ? `turn-secret = ${key}\n` : '';
    if (/^(key|ca-file|tls-.*) =/.test(alone)) continue;
    const run = check(file('one.conf', `${partner}${alone}\n`));
    assert.equal(run.status, 0, `${alone}: ${run.stderr}`);
  }
});

test('what the sample calls a default is one', () => {
  const help = execFileSync(tool, ['signal', '--help'], { encoding: 'utf8' }).replace(/\n {32}/g, ' ');
  for (const [, name, value] of packaging('duet-signal.conf').matchAll(/^#?([a-z-]+) = (\S+)$/gm)) {
    const standard = help.match(new RegExp(`^  --${name} .*default ([^\\s;]+)`, 'm'))?.[1].replace(/,$/, '');
    if (standard) assert.equal(value, standard, name);
  }
});

// ---- figures ----

test('every figure of the dashboard is one of the server', async () => {
  const server = await startServer();
  const metrics = await (await fetch(`${server.http}/metrics`)).text();
  await server.stop();
  const text = packaging('grafana-signaling.json'), dashboard = JSON.parse(text);
  assert.ok(dashboard.panels.length > 5);
  const unique = (list) => [...new Set(list)].sort();
  for (const name of unique(text.match(/duet_signaling_[a-z_]+/g))) assert.match(metrics, new RegExp(`^# TYPE ${name} `, 'm'));
  for (const name of unique([...text.matchAll(/\{\{(\w+)\}\}/g)].map((m) => m[1])))
    assert.ok(name === 'instance' || metrics.includes(`{${name}="`), name);
});

// ---- the sandbox ----

test('systemd takes the unit, and finds little to be exposed', (t) => {
  const analyze = (...args) => spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  if (analyze('--version').error) return t.skip('there is no systemd here');
  const unit = file('duet-signal.service', packaging('duet-signal.service').replaceAll('/usr/bin/duet', tool));
  const verified = analyze('verify', '--man=no', unit);
  assert.equal(verified.status, 0, verified.stderr);
  assert.equal(verified.stderr, '');
  const security = analyze('security', '--offline=true', '--no-pager', '--threshold=15', unit);
  assert.equal(security.status, 0, security.stdout.slice(-300) + security.stderr);
});

// ---- the image ----

test('the image has every library that the tool is linked with', () => {
  const run = (...args) => execFileSync(args[0], args.slice(1), { encoding: 'utf8' });
  const needed = [...run('readelf', '-d', tool).matchAll(/NEEDED\).*\[(.*)\]/g)].map((m) => m[1]);
  const paths = Object.fromEntries([...run('ldd', tool).matchAll(/^\t(\S+) => (\S+)/gm)].map((m) => [m[1], realpathSync(m[2])]));
  const packages = needed.filter((name) => !/^(libc|libm|ld-linux.*)\.so/.test(name))
    .map((name) => run('dpkg-query', '-S', `*${paths[name].replace(/^\/usr/, '')}`).split(':')[0]);
  const installed = packaging('Dockerfile').split(/\s+/);
  assert.deepEqual([...new Set(packages)].filter((name) => !installed.includes(name)), []);
});

// ---- health ----

test('the image looks after the health of the server', async () => {
  const [, command] = packaging('Dockerfile').match(/^HEALTHCHECK .* CMD (\[.*\])$/m);
  const server = await startServer();
  const [program, ...args] = JSON.parse(command.replace('/8080', `/${server.port}`));
  assert.equal(spawnSync(program, args, { timeout: 3000 }).status, 0);
  await server.stop();
  assert.notEqual(spawnSync(program, args, { timeout: 3000 }).status, 0);
});
