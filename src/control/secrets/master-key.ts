/**
 * The one secret that all others at rest hang on. It comes from the configuration or lives in a file beside the
 * database, made at the first start. Keys for each use are derived from it (HKDF, RFC 5869), so no key serves two uses.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import { closeSync, existsSync, linkSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

export interface MasterKey {
  /** A key of 32 bytes for one use; the same each time. */
  derive(use: string): KeyObject;
}

export function masterKeyOf(text: string): MasterKey {
  return {
    derive: (use) => createSecretKey(Buffer.from(hkdfSync('sha256', text, 'gatehouse', `gatehouse:${use}`, 32))),
  };
}

/** Reads the key file or makes it, readable by its owner only. Two processes that start at once get the same key. */
export function masterKeyFile(path: string): MasterKey {
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const fresh = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
    const file = openSync(fresh, 'wx', 0o600);
    writeSync(file, randomBytes(48).toString('base64url'));
    closeSync(file);
    try {
      linkSync(fresh, path); // unlike rename, never replaces what another process has put there
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      unlinkSync(fresh);
    }
  }
  const text = readFileSync(path, 'utf8').trim();
  if (text.length < 32) throw new Error(`the master key file ${path} is damaged: it must hold at least 32 characters`);
  return masterKeyOf(text);
}

/** HMAC-SHA-256 as base64url: how codes and tokens are kept, so that the database alone cannot be searched for them. */
export function keyedHash(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url');
}
