/**
 * A self-signed P-256 certificate for the TLS jobs, made by openssl: the key type that is fastest in every peer and
 * most common on the web. It lives as long as the run's temporary folder.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from './programs.ts';

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  /** Certificate and key in one file, as haproxy reads them. */
  readonly bundleFile: string;
}

export function makeCertificate(folder: string): Certificate {
  const openssl = findProgram('openssl');
  if (openssl === undefined) throw new Error('openssl is not installed (apt-get install openssl)');
  const certFile = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  const bundleFile = join(folder, 'bundle.pem');
  // biome-ignore format: one option and its value per line reads best
  const args = [
    'req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
    '-keyout', keyFile, '-out', certFile, '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
  ];
  execFileSync(openssl, args, { stdio: 'pipe' });
  writeFileSync(bundleFile, readFileSync(certFile, 'utf8') + readFileSync(keyFile, 'utf8'), { mode: 0o600 });
  return { certFile, keyFile, bundleFile };
}
