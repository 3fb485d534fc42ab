// coturn as the TURN server of a test: started on free ports, with a certificate of its own, ended by its process id.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ip = process.env.DUET_NETNS ? '10.99.0.1' : '127.0.0.1';

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, ip, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// PEM files for a server at `ip`: an authority, and a certificate that it has signed. Firefox takes no certificate that is its own
// authority.
export function makeCertificate(folder) {
  const file = (name) => join(folder, name);
  const [ca, caKey, cert, key, request, extensions] = ['ca.pem', 'ca.key', 'cert.pem', 'key.pem', 'request.pem', 'extensions'].map(file);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore' });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...ec, '-days', '2', '-subj', '/CN=duet test authority', '-keyout', caKey, '-out', ca);
  openssl('req', '-new', ...ec, '-subj', '/CN=turn.test', '-keyout', key, '-out', request);
  writeFileSync(extensions, `subjectAltName=IP:${ip},DNS:localhost,DNS:turn.test\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n`);
  openssl('x509', '-req', '-in', request, '-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', '2', '-extfile', extensions, '-out', cert);
  return { ca, cert, key };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function startCoturn(extra = []) {
  const folder = mkdtempSync(join(tmpdir(), 'duet-coturn-'));
  const { ca, cert, key } = makeCertificate(folder);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const args = ['-n', '--no-cli', '--log-file=stdout', '--simple-log', `--pidfile=${join(folder, 'pid')}`, `--userdb=${join(folder, 'db')}`,
    `--listening-ip=${ip}`, `--relay-ip=${ip}`, `--listening-port=${port}`, `--tls-listening-port=${tlsPort}`,
    `--cert=${cert}`, `--pkey=${key}`, '--realm=duet.test', '--allow-loopback-peers', '--no-dtls', '--verbose', ...extra];
  if (!extra.includes('--use-auth-secret')) args.push('--lt-cred-mech', '--user=alice:secret');
  const child = spawn('turnserver', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.on('data', (data) => { text += data; });
  child.stderr.on('data', (data) => { text += data; });
  const exited = new Promise((resolve) => child.on('close', resolve));
  for (let i = 0; i < 100 && !/listener opened on ?: ?|Total General servers/.test(text) && child.exitCode === null; i++) await sleep(50);
  await sleep(300);
  return {
    port, tlsPort, ca, log: () => text,
    url: (transport) => (transport === 'tls' ? `turns:${ip}:${tlsPort}?transport=tcp` : `turn:${ip}:${port}?transport=${transport}`),
    async stop() {
      child.kill('SIGKILL');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
