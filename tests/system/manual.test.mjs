// The manual page and the shell completions know every command and option that the tool has, and no others.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { duet, root } from './tool.mjs';

const page = join(root, 'docs/duet.1');
const bash = join(root, 'apps/completion/duet.bash');
const zsh = join(root, 'apps/completion/_duet');

const unique = (list) => [...new Set(list)].sort();
const commands = [...duet(['--help']).out.matchAll(/^ {2}(\w+) +\S/gm)].map((m) => m[1]);
// The options that `duet COMMAND --help` lists, at the beginning of their lines.
const listed = (text) => unique([...text.matchAll(/^ +(--[a-z][a-z0-9-]*)/gm)].map((m) => m[1]));
const help = (command) => duet([command, '--help']).out;
const connects = (command) => /^Connection options:/m.test(help(command));

// The items of a subsection of the page.
function documented(subsection) {
  const [, text] = readFileSync(page, 'utf8').split(`.Ss ${subsection}\n`);
  assert.ok(text, `the page has no subsection "${subsection}"`);
  return [...text.split(/^\.S[sh] /m)[0].matchAll(/^\.It Fl Fl ([a-z0-9-]+)/gm)].map((m) => `--${m[1]}`);
}

// What bash offers behind these words.
function completed(...words) {
  const list = words.map((word) => `'${word}'`).join(' ');
  const script = `source '${bash}'; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _duet; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const run = spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd: root });
  assert.equal(run.stderr, '');
  return unique(run.stdout.split('\n').filter(Boolean));
}

test('there are commands, and each has options', () => {
  assert.ok(commands.length >= 3, commands.join(' '));
  for (const command of commands) assert.ok(listed(help(command)).length > 3, command);
});

for (const command of commands) {
  test(`the manual page has every option of duet ${command}, and no others`, () => {
    const items = [...documented(`duet ${command}`), ...(connects(command) ? documented('Connection options') : [])];
    assert.deepEqual(unique(items), listed(help(command)));
    assert.match(readFileSync(page, 'utf8'), new RegExp(`^\\.Cm ${command}$`, 'm'), 'in the synopsis');
  });

  test(`bash completes every option of duet ${command}, and no others`, () => {
    assert.deepEqual(completed('duet', command, '--'), unique([...listed(help(command)), '--help']));
  });

  test(`zsh completes every option of duet ${command}, and no others`, () => {
    const text = readFileSync(zsh, 'utf8');
    const [, part] = text.split(new RegExp(`^ +${command}\\)$`, 'm'));
    assert.ok(part, `${command} is missing`);
    const body = part.split(';;')[0];
    const shared = body.includes('$connection') ? text.split('connection=(')[1].split('\n    )')[0] : '';
    const options = [...`${body}${shared}`.matchAll(/'(--[a-z0-9-]+)\[/g)].map((m) => m[1]);
    assert.deepEqual(unique(options), unique([...listed(help(command)), '--help']));
  });
}

test('bash completes commands, their words and the values of options', () => {
  assert.deepEqual(completed('duet', ''), unique([...commands, '--help', '--version']));
  assert.deepEqual(completed('duet', 'inspect', 's'), ['sctp', 'sdp', 'stun']);
  assert.deepEqual(completed('duet', 'peer', '--setup', ''), ['active', 'passive']);
  assert.deepEqual(completed('duet', 'perf', '--pcap', 'READM'), ['README.md']);
  assert.deepEqual(completed('duet', 'perf', '--size', ''), []);
});

test('the manual page is set without a warning', (t) => {
  const run = spawnSync('man', ['--warnings', '-l', '-Tutf8', page], { encoding: 'utf8', env: { ...process.env, MANWIDTH: '80' } });
  if (run.error) return t.skip('there is no man here');
  assert.equal(run.stderr, '');
  assert.equal(run.status, 0);
  assert.match(run.stdout, /WebRTC on the command line/);
});
