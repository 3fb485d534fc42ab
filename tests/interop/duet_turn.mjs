// `duet turn` as the TURN server of a test: on free ports, with a certificate of its own, ended by its process id.
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start, tool, within } from '../system/common.mjs';
import { ip, makeCertificate } from './coturn.mjs';

export const user = { username: 'alice', credential: 'secret' };

export async function startTurn(extra = []) {
  const folder = mkdtempSync(join(tmpdir(), 'duet-turn-'));
  const { ca, cert, key } = makeCertificate(folder);
  const child = start(tool, ['turn', '--listen', `${ip}:0`, '--tls', `${ip}:0`, '--certificate', cert, '--key', key,
    '--user', `${user.username}:${user.credential}`, '--realm', 'duet.test', '--json', ...extra]);
  const first = JSON.parse(await child.line(() => true));
  const port = (protocol) => Number(first.listening.find((l) => l.protocol === protocol).address.split(':').at(-1));
  const spki = new X509Certificate(readFileSync(cert)).publicKey.export({ type: 'spki', format: 'der' });
  return {
    child, first, ip, port, ca,
    spki: createHash('sha256').update(spki).digest('base64'), // what Chromium is told to trust
    url: (transport) => (transport === 'tls' ? `turns:${ip}:${port('tls')}?transport=tcp`
      : `turn:${ip}:${port(transport)}?transport=${transport}`),
    async metrics() {
      const text = await (await fetch(first.metrics)).text();
      return Object.fromEntries([...text.matchAll(/^duet_turn_(\w+) (\d+)$/gm)].map((m) => [m[1], Number(m[2])]));
    },
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const code = await within(10000, child.exited, 'the server ends');
      rmSync(folder, { recursive: true, force: true });
      return code;
    },
  };
}
