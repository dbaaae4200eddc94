/** What every part of the identity service is given: the store, its settings, and the small services made at start. */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { MasterKey } from '../secrets/master-key.ts';
import type { TellSecurity } from '../security-journal.ts';
import type { Store } from '../store/store.ts';
import type { AddressBudget } from './accounts/address-budget.ts';
import type { OneTimeCodes } from './accounts/codes.ts';
import type { LoginGuard } from './accounts/guard.ts';
import type { EnvironmentKey } from './api-keys/environment-keys.ts';
import type { AuditLog } from './audit/chain.ts';
import type { Background } from './background.ts';
import type { GeoIp } from './geoip/geoip.ts';
import type { Mails } from './mail/mails.ts';
import type { Outbox } from './mail/outbox.ts';
import type { IdentityOptions } from './options.ts';
import type { PageSet } from './pages/layout.ts';
import type { PasswordHasher } from './password-hashing/hasher.ts';
import type { IdentityTables } from './tables.ts';
import type { AccessTokens } from './tokens/access-token.ts';
import type { Revocations } from './tokens/revocations.ts';
import type { SigningKeys } from './tokens/signing-keys.ts';

export interface IdentityContext {
  readonly options: IdentityOptions;
  readonly store: Store<IdentityTables>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly master: MasterKey;
  readonly audit: AuditLog;
  /** Tells the stream of security events what the audit log does not have. */
  readonly tellSecurity: TellSecurity;
  readonly hasher: PasswordHasher;
  readonly guard: LoginGuard;
  readonly budget: AddressBudget;
  readonly background: Background;
  readonly codes: OneTimeCodes;
  readonly signingKeys: SigningKeys;
  readonly tokens: AccessTokens;
  readonly revocations: Revocations;
  readonly outbox: Outbox;
  readonly geoip: GeoIp;
  readonly mails: Mails;
  readonly pages: PageSet;
  /** Keys of `API_KEY_n`, by SHA-256 of the key. */
  readonly environmentKeys: ReadonlyMap<string, EnvironmentKey>;
}
