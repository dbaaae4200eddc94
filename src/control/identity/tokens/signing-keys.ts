/**
 * The signing keys: made here, sealed in the database, published before they sign, dropped when no token of theirs
 * can be alive (docs/identity-rules.md, 5). Every process keeps the set in memory and reads it again each minute, so
 * several processes sign with the same key and publish the same set. HS256 has one key, from the configuration, and
 * nothing to publish to the outside.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import type { Clock } from '../../../base/clock.ts';
import { Encryption } from '../../secrets/encryption.ts';
import { keyedHash, type MasterKey } from '../../secrets/master-key.ts';
import { isUniqueViolation } from '../../store/faults.ts';
import type { Store } from '../../store/store.ts';
import type { IdentityOptions } from '../options.ts';
import type { IdentityTables, SigningKeyTable } from '../tables.ts';

export type SigningAlgorithm = 'ES256' | 'EdDSA' | 'RS256' | 'HS256';

export interface SigningKey {
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  readonly key: CryptoKey | KeyObject | Uint8Array;
}

interface Loaded extends SigningKey {
  readonly useFrom: number;
  readonly publicJwk: JWK;
  readonly privateJwk: JWK;
  readonly verify: CryptoKey | KeyObject | Uint8Array;
}

/** How often a process looks for keys that another one made. */
const RELOAD_MS = 60_000;

export class SigningKeys {
  readonly algorithm: SigningAlgorithm;
  readonly #store: Store<IdentityTables>;
  readonly #options: IdentityOptions;
  readonly #encryption: Encryption;
  readonly #clock: Clock;
  readonly #shared: { kid: string; key: KeyObject; jwk: JWK } | undefined;
  readonly #listeners = new Set<() => void>();
  #keys: readonly Loaded[] = [];
  #loadedAt = Number.NEGATIVE_INFINITY;
  #published = '';

  constructor(store: Store<IdentityTables>, options: IdentityOptions, master: MasterKey, clock: Clock) {
    this.#store = store;
    this.#options = options;
    this.#encryption = new Encryption(master.derive('signing-keys'));
    this.#clock = clock;
    this.algorithm = options.tokens.algorithm ?? 'ES256';
    if (this.algorithm !== 'HS256') return;
    const secret = options.tokens.secret ?? '';
    const key = createSecretKey(Buffer.from(secret));
    // Not the thumbprint of RFC 7638: that would be a plain hash of the secret in every token.
    const kid = keyedHash(createSecretKey(Buffer.from(secret)), 'kid').slice(0, 16);
    const jwk = { kty: 'oct', k: Buffer.from(secret).toString('base64url'), kid, alg: 'HS256', use: 'sig' };
    this.#shared = { kid, key, jwk };
  }

  /** Calls back when the published set changed. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** The key that signs now. */
  async signer(): Promise<SigningKey> {
    if (this.#shared !== undefined) return { ...this.#shared, algorithm: 'HS256' };
    await this.refresh();
    const now = this.#clock.wallMs();
    const ready = this.#keys.filter((key) => key.algorithm === this.algorithm && key.useFrom <= now);
    const newest = ready.at(-1);
    if (newest === undefined) throw new Error('there is no signing key');
    return newest;
  }

  /** The key of a token's header, or undefined. Reads the database again for a `kid` that is new. */
  async verifier(kid: string, algorithm: string): Promise<SigningKey | undefined> {
    if (this.#shared !== undefined) {
      return kid === this.#shared.kid && algorithm === 'HS256' ? { ...this.#shared, algorithm: 'HS256' } : undefined;
    }
    await this.refresh();
    const found = this.#keys.find((key) => key.kid === kid && key.algorithm === algorithm);
    return found === undefined ? undefined : { kid, algorithm: found.algorithm, key: found.verify };
  }

  /** What `/.well-known/jwks.json` shows; empty for HS256. */
  async publicJwks(): Promise<{ keys: JWK[] }> {
    if (this.#shared === undefined) await this.refresh();
    return { keys: this.#keys.map((key) => key.publicJwk) };
  }

  /** What the gateway's own workers get: for HS256 the secret as an `oct` key, which never leaves the process. */
  async workerJwks(): Promise<{ keys: JWK[] }> {
    return this.#shared === undefined ? await this.publicJwks() : { keys: [this.#shared.jwk] };
  }

  /**
   * All living keys with their private halves, the one that signs now first: for the OAuth provider, in this process.
   */
  async privateJwks(): Promise<JWK[]> {
    const signer = await this.signer();
    const found = [...this.#keys].sort((a, b) => Number(b.kid === signer.kid) - Number(a.kid === signer.kid));
    return found.map(({ privateJwk, publicJwk }) => ({ ...privateJwk, ...publicJwk }));
  }

  /** Loads the set when it is old, and makes the next key when it is time. */
  async refresh(now = this.#clock.wallMs()): Promise<void> {
    if (this.#shared !== undefined || Math.abs(now - this.#loadedAt) < RELOAD_MS) return;
    await this.#load(now);
    if (await this.#makeNext(now)) await this.#load(now);
  }

  /** Makes a new key at once, which signs after `publishBefore`; for a key that may be known to others. */
  async rotate(): Promise<string> {
    if (this.#shared !== undefined) throw new TypeError('HS256 has one key; change JWT_SECRET to rotate it');
    const now = this.#clock.wallMs();
    await this.#load(now);
    const kid = await this.#make(this.#generation() + 1, now, now + this.#options.tokens.publishBefore);
    await this.#load(now);
    return kid ?? (this.#keys.at(-1)?.kid as string);
  }

  #generation(): number {
    return this.#newestGeneration;
  }

  #newestGeneration = 0;

  /** True when a key was made, here or by another process at the same moment. */
  async #makeNext(now: number): Promise<boolean> {
    const { rotateEvery, publishBefore } = this.#options.tokens;
    const newest = this.#keys.filter((key) => key.algorithm === this.algorithm).at(-1);
    if (newest === undefined) {
      // The first key of all signs at once: nobody has cached a set without it.
      await this.#make(this.#generation() + 1, now, now);
      return true;
    }
    if (now < newest.useFrom + rotateEvery - publishBefore) return false;
    await this.#make(this.#generation() + 1, now, Math.max(newest.useFrom + rotateEvery, now + publishBefore));
    return true;
  }

  async #make(generation: number, now: number, useFrom: number): Promise<string | undefined> {
    const curve = this.algorithm === 'EdDSA' ? { crv: 'Ed25519' } : {};
    const modulus = this.algorithm === 'RS256' ? { modulusLength: 2048 } : {};
    const pair = await generateKeyPair(this.algorithm, { extractable: true, ...curve, ...modulus });
    const privateJwk = await exportJWK(pair.privateKey);
    const kid = await calculateJwkThumbprint(privateJwk); // RFC 7638: of the public members only
    const publicJwk = { ...(await exportJWK(pair.publicKey)), kid, alg: this.algorithm, use: 'sig' };
    const { rotateEvery, publishBefore, maxMintTtl, accessTtl } = this.#options.tokens;
    try {
      await this.#store.db
        .insertInto('signing_keys')
        .values({
          kid,
          generation,
          algorithm: this.algorithm,
          public_jwk: JSON.stringify(publicJwk),
          sealed_jwk: this.#encryption.encrypt(JSON.stringify(privateJwk), kid),
          created_at: now,
          use_from: useFrom,
          // As long as it signs, and as long as the last token it signed lives. Two rotations of slack for a
          // successor that comes late because no process was running.
          drop_at: useFrom + 2 * rotateEvery + publishBefore + Math.max(maxMintTtl, accessTtl),
        })
        .execute();
      return kid;
    } catch (error) {
      if (isUniqueViolation(error)) return undefined; // another process made this generation
      throw error;
    }
  }

  async #load(now: number): Promise<void> {
    const rows = await this.#store.db
      .selectFrom('signing_keys')
      .selectAll()
      .orderBy('use_from')
      .orderBy('generation')
      .execute();
    const own = rows.filter((row) => row.algorithm === this.algorithm);
    this.#newestGeneration = own.reduce((most, row) => Math.max(most, row.generation), 0);
    const newest = own.filter((row) => row.use_from <= now).at(-1);
    // The key that signs now is never dropped, even when its successor failed to come.
    const alive = rows.filter((row) => row.drop_at > now || row.kid === newest?.kid);
    const known = new Map(this.#keys.map((key) => [key.kid, key]));
    this.#keys = await Promise.all(alive.map(async (row) => known.get(row.kid) ?? (await this.#open(row))));
    this.#loadedAt = now;
    const kids = this.#keys.map((key) => key.kid).join(' ');
    if (kids === this.#published) return;
    this.#published = kids;
    for (const listener of this.#listeners) listener();
  }

  async #open(row: SigningKeyTable): Promise<Loaded> {
    const algorithm = row.algorithm as SigningAlgorithm;
    const publicJwk = JSON.parse(row.public_jwk) as JWK;
    const privateJwk = JSON.parse(this.#encryption.decrypt(row.sealed_jwk, row.kid)) as JWK;
    const [key, verify] = await Promise.all([importJWK(privateJwk, algorithm), importJWK(publicJwk, algorithm)]);
    return { kid: row.kid, algorithm, key, verify, useFrom: row.use_from, publicJwk, privateJwk };
  }
}
