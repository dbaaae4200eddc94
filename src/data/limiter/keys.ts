/**
 * From an exchange to the hash of the key that it is counted under. A part that the request does not have (no identity,
 * no such field) falls back: API key to user, user to address, field to address; so leaving something out never
 * escapes a limit. IPv6 addresses count by /64, since a single customer commands at least that much (RFC 6177 §2).
 * Hashes of an identity are kept on it.
 */

import { readAddress } from '../../base/address-words.ts';
import type { KeyHash } from '../../base/key-hash.ts';
import { derivedOf } from '../contract/identity-derived.ts';
import type { KeyPart } from '../contract/limits.ts';
import type { Identity, IdentityDerived, PolicyContext } from '../contract/policy.ts';

/** Methods that change nothing (RFC 9110 §9.2.1) are one class, all others the other. */
const READ_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

export class KeyReader {
  /** The halves of the last key's hash. */
  a = 0;
  b = 0;
  readonly #hash: KeyHash;
  readonly #words = new Int32Array(4);
  readonly #parts = new Int32Array(4);

  constructor(hash: KeyHash) {
    this.#hash = hash;
  }

  read(by: readonly KeyPart[], exchange: PolicyContext): void {
    const [first] = by;
    if (first === undefined) {
      this.a = 0;
      this.b = 0;
      return;
    }
    this.#part(first, exchange);
    for (let i = 1; i < by.length; i++) {
      this.#parts[0] = this.a;
      this.#parts[1] = this.b;
      this.#part(by[i] as KeyPart, exchange);
      this.#parts[2] = this.a;
      this.#parts[3] = this.b;
      this.#take(this.#parts, 4);
    }
  }

  address(text: string): void {
    const family = readAddress(text, this.#words);
    if (family === 0) this.text(text);
    else this.#take(this.#words, family === 4 ? 1 : 2);
  }

  text(text: string): void {
    this.#hash.text(text);
    this.a = this.#hash.a;
    this.b = this.#hash.b;
  }

  #part(part: KeyPart, exchange: PolicyContext): void {
    switch (part.kind) {
      case 'ip':
        this.address(exchange.address);
        break;
      case 'user':
      case 'apiKey':
        if (exchange.identity === null) this.address(exchange.address);
        else this.#identity(exchange.identity, part.kind === 'user');
        break;
      case 'plan':
        this.text(exchange.identity?.plan ?? '');
        break;
      case 'method':
        this.text(READ_METHODS.has(exchange.method) ? 'read' : 'write');
        break;
      case 'header': {
        const value = exchange.header(part.name);
        if (value === null) this.address(exchange.address);
        else this.text(value);
        break;
      }
    }
  }

  #identity(identity: Identity, byUser: boolean): void {
    const notes = derivedOf(identity);
    if (!notes.hasKeys) this.#note(identity, notes);
    this.a = byUser ? notes.userA : notes.apiKeyA;
    this.b = byUser ? notes.userB : notes.apiKeyB;
  }

  #note(identity: Identity, notes: IdentityDerived): void {
    this.text(identity.account ?? identity.subject);
    notes.userA = this.a;
    notes.userB = this.b;
    const keyId = identity.claims['key_id'];
    if (identity.method === 'apiKey' && typeof keyId === 'string') this.text(`key ${keyId}`);
    notes.apiKeyA = this.a;
    notes.apiKeyB = this.b;
    notes.hasKeys = true;
  }

  #take(words: Int32Array, count: number): void {
    this.#hash.words(words, count);
    this.a = this.#hash.a;
    this.b = this.#hash.b;
  }
}
