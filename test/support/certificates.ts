/** Certificates for tests, made by openssl when they are needed: an authority, and what it signs. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Scope } from './scope.ts';

const run = promisify(execFile);

export interface Certificate {
  /** Paths of PEM files. */
  readonly cert: string;
  readonly key: string;
  readonly certPem: string;
  readonly keyPem: string;
}

export class Authority {
  readonly folder: string;
  readonly ca: Certificate;

  private constructor(folder: string, ca: Certificate) {
    this.folder = folder;
    this.ca = ca;
  }

  static async create(test: Scope): Promise<Authority> {
    const folder = await mkdtemp(join(tmpdir(), 'gh-ca-'));
    test.after(() => rm(folder, { recursive: true, force: true }));
    await openssl(folder, [
      'req',
      '-x509',
      ...EC_KEY,
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
      '-days',
      '30',
      '-subj',
      '/CN=Test Authority',
    ]);
    return new Authority(folder, await load(folder, 'ca'));
  }

  /** A certificate for these names; `file` is the name of its files. */
  async issue(file: string, names: readonly string[], days = 30): Promise<Certificate> {
    await openssl(this.folder, [
      'req',
      ...EC_KEY,
      '-keyout',
      `${file}.key`,
      '-out',
      `${file}.csr`,
      '-subj',
      `/CN=${names[0]}`,
    ]);
    const alternatives = names.map((name) => (/^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`)).join(',');
    await writeFile(join(this.folder, `${file}.ext`), `subjectAltName=${alternatives}\n`);
    await openssl(this.folder, [
      'x509',
      '-req',
      '-in',
      `${file}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      String(days),
      '-out',
      `${file}.crt`,
      '-extfile',
      `${file}.ext`,
    ]);
    return load(this.folder, file);
  }
}

const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

async function openssl(cwd: string, args: readonly string[]): Promise<void> {
  await run('openssl', [...args], { cwd }).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new Error('the tests need openssl: apt-get install openssl') : error;
  });
}

async function load(folder: string, file: string): Promise<Certificate> {
  const cert = join(folder, `${file}.crt`);
  const key = join(folder, `${file}.key`);
  return { cert, key, certPem: await readFile(cert, 'utf8'), keyPem: await readFile(key, 'utf8') };
}
