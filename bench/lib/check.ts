/**
 * Asks a proxy for each case once and compares status, length and hash with what the upstream has, before anything
 * is timed. A proxy that answers wrongly is reported and not timed: a wrong answer can be made at any speed.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { download, noise, sha256 } from './bodies.ts';
import type { Case } from './cases.ts';
import { request } from './request.ts';

/** What is wrong, or undefined. */
export async function checkCase(port: number, tls: boolean, what: Case): Promise<string | undefined> {
  try {
    return what.uploadBytes > 0 ? await checkUpload(port, tls, what) : await checkDownload(port, tls, what);
  } catch (error) {
    return `${what.name}: ${(error as Error).message}`;
  }
}

async function checkDownload(port: number, tls: boolean, what: Case): Promise<string | undefined> {
  const { status, body } = await request({ port, tls, path: what.path });
  const want = download(what.path).bytes;
  if (status !== 200) return `${what.name}: status ${status}`;
  if (body.length !== want.length) return `${what.name}: ${body.length} bytes in place of ${want.length}`;
  return sha256(body) === sha256(want) ? undefined : `${what.name}: the body arrived changed`;
}

/** The upstream says how many bytes it got and their hash. */
async function checkUpload(port: number, tls: boolean, what: Case): Promise<string | undefined> {
  const upload = noise(what.uploadBytes);
  const { status, body } = await request({ port, tls, path: '/digest', upload });
  if (status !== 200) return `${what.name}: status ${status}`;
  const got = JSON.parse(body.toString()) as { bytes: number; sha256: string };
  if (got.bytes !== upload.length) return `${what.name}: the upstream got ${got.bytes} bytes of ${upload.length}`;
  return got.sha256 === sha256(upload) ? undefined : `${what.name}: the body reached the upstream changed`;
}

/** Demands a whole JSON record. Logs are buffered, so it may take a moment to arrive. */
export async function checkAccessLog(file: string): Promise<string | undefined> {
  const deadline = performance.now() + 5_000;
  do {
    // `a+`, so that a file that is not there yet reads as empty.
    const [first = ''] = readFileSync(file, { encoding: 'utf8', flag: 'a+' }).split('\n', 1);
    if (first.endsWith('}')) {
      JSON.parse(first);
      return undefined;
    }
    await delay(100);
  } while (performance.now() < deadline);
  return 'wrote no access record within 5 s';
}
