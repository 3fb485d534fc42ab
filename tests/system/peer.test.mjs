// duet peer: what it says about lines and options that are wrong. How it connects is tested with other stacks, in tests/interop.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { command, match } from '../interop/matchmaker.mjs';
import { duet } from './tool.mjs';

const peer = (args, input) => {
  const run = duet(['peer', ...args, '--bind', '127.0.0.1', '--timeout', '5'], input);
  return { ...run, result: JSON.parse(run.out.trim().split('\n').at(-1) || 'null') };
};

test('wrong lines of input are told, and passed over', () => {
  for (const [line, message] of [
    ['nonsense', /not a JSON object/],
    ['[]', /not a JSON object/],
    ['{"sdp":""}', /has no "type"/],
    ['{"type":5}', /has no "type"/],
    ['{"type":"offer"}', /is an offer without "sdp"/],
    ['{"type":"offer","sdp":5}', /is an offer without "sdp"/],
    ['{"type":"answer","sdp":"v=0"}', /is an answer, and this peer is the one that makes it/],
    ['{"type":"candidate"}', /is a candidate without "candidate"/],
    ['{"type":"candidate","candidate":"x"}', /candidate "x": malformed input/],
  ]) {
    const { code, err, result } = peer(['answer', '--audio'], `${line}\n`);
    assert.match(err, message);
    assert.deepEqual([code, result.reason], [1, 'standard input ended before the test was done'], line);
  }
  for (const line of ['', '{"type":"log"}', '{"type":"done"}', '{"type":"candidate","candidate":"","sdpMid":null}'])
    assert.equal(peer(['answer', '--audio'], `${line}\n`).err, '', line);
});

test('a description that is refused ends it, with the place where there is one', () => {
  assert.match(peer(['answer'], '{"type":"offer","sdp":"v=0"}\n').result.reason, /^offer rejected: line 2, column 1: the o= line is missing/);
  const answer = JSON.stringify({ type: 'answer', sdp: 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n' });
  assert.match(peer(['offer', '--audio'], `${answer}\n`).result.reason, /^answer rejected: the answer has not as many m-sections/);
});

test('options of the other role are passed over, so that scripts may give both the same', async () => {
  const { codes, log } = await match(...['offer', 'answer'].map((role) => command('duet', role, ['--audio', '--restart', '--setup', 'active'])));
  assert.deepEqual(codes, [0, 0], log());
  assert.match(log(), /offerer stderr: duet: --setup is for the answerer: it is passed over\s+answerer stderr: duet: --restart is for the offerer/);
});

test('options that lead nowhere are told', () => {
  assert.match(peer(['offer']).err, /say what to offer: --data, --audio, --video/);
  const { code, err, result } = peer(['offer', '--video', '--codec', 'H264']);
  assert.deepEqual([code, result.unsupported], [3, ['codec']]);
  assert.match(err, /--codec H264: none that is encoded here: .* or --echo/);
});
