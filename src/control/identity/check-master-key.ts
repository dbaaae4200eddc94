/**
 * A value encrypted in the database tells at start whether the master key belongs to this database: with the wrong one
 * every encrypted key would be lost, so the start stops instead.
 */
import { Encryption } from '../secrets/encryption.ts';
import type { MasterKey } from '../secrets/master-key.ts';
import { isUniqueViolation } from '../store/faults.ts';
import type { Store } from '../store/store.ts';
import type { IdentityTables } from './tables.ts';

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
    // said below: a failed tag is the expected sign of a wrong key
  }
  throw new Error('the identity database was made with another master key (GATEHOUSE_MASTER_KEY or the key file)');
}
