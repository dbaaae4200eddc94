/**
 * The one secret that all others at rest hang on. It comes from the configuration or lives in a file beside the
 * database, made at the first start. Keys for each use are derived from it (HKDF, RFC 5869), so no key serves two
 * uses. A value sealed in the database tells at start whether the key belongs to this database: with the wrong one
 * every sealed key would be lost, so the start stops instead.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import { closeSync, existsSync, linkSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { isUniqueViolation } from '../../store/faults.ts';
import type { Store } from '../../store/store.ts';
import type { IdentityTables } from '../tables.ts';
import { Encryption } from './encryption.ts';

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

/** Throws when the database was made with another master key. */
export async function checkMasterKey(store: Store<IdentityTables>, master: MasterKey): Promise<void> {
  const encryption = new Encryption(master.derive('check'));
  const find = () =>
    store.db.selectFrom('identity_meta').select('value').where('name', '=', 'master-check').executeTakeFirst();
  let row = await find();
  if (row === undefined) {
    const value = encryption.encrypt('gatehouse', 'master-check');
    try {
      await store.db.insertInto('identity_meta').values({ name: 'master-check', value }).execute();
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
    }
    row = await find();
  }
  try {
    if (encryption.decrypt(row?.value ?? '', 'master-check') === 'gatehouse') return;
  } catch {
    // told below: a failed tag is the expected sign of a wrong key
  }
  throw new Error('the identity database was made with another master key (GATEHOUSE_MASTER_KEY or the key file)');
}

/** HMAC-SHA-256 as base64url: how codes and tokens are kept, so that the database alone cannot be searched for them. */
export function keyedHash(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url');
}
