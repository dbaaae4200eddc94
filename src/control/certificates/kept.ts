/** A certificate as it is kept: one PEM text with key and chain, so that the two can never come apart. */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { certificatesIn } from '../config/compile/pem.ts';

export interface KeptCertificate {
  /** PEM text: key, leaf and chain. */
  readonly pem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Null for what is no certificate with its key: it is ordered anew. */
export function parseKept(pem: string): KeptCertificate | null {
  try {
    const leaf = certificatesIn(pem)?.[0];
    if (leaf === undefined || !leaf.checkPrivateKey(createPrivateKey(pem))) return null;
    return { pem, notBeforeMs: Date.parse(leaf.validFrom), notAfterMs: Date.parse(leaf.validTo) };
  } catch {
    return null;
  }
}

/** For compile/listeners.ts, which waits for nothing. */
export function readKept(file: string): KeptCertificate | null {
  try {
    return parseKept(readFileSync(file, 'utf8'));
  } catch {
    return null; // not there yet
  }
}
