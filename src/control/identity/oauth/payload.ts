/** What a row of oidc-provider holds. Apart from its adapter, so that who reads rows does not load the library. */
import type { AdapterPayload } from 'oidc-provider';
import type { Encryption } from '../../secrets/encryption.ts';
import type { OidcTable } from '../tables.ts';

export function readPayload(encryption: Encryption, row: OidcTable): AdapterPayload {
  const payload = JSON.parse(encryption.decrypt(row.sealed, `${row.model}:${row.hash}`)) as AdapterPayload;
  return row.consumed_at === null ? payload : { ...payload, consumed: row.consumed_at };
}
