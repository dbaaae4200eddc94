/**
 * What the engine and the limiter work out of an identity, once for all requests that bring it: its credential is
 * cached, and so is this object. It is the block of the identity's upstream fields itself, because a client comes back
 * after many others: on a cold cache each extra object costs a memory access.
 */
import { flat, jsonText } from '../../base/text.ts';
import { checkField, FieldBlock } from './field-block.ts';
import type { Identity, IdentityDerived } from './policy.ts';

class Derived extends FieldBlock implements IdentityDerived {
  readonly record: string;
  hasKeys = false;
  userA = 0;
  userB = 0;
  apiKeyA = 0;
  apiKeyB = 0;

  constructor(identity: Identity) {
    const { upstreamHeaders, issuer = null, subject } = identity;
    for (const name in upstreamHeaders) checkField(name, upstreamHeaders[name]!);
    super(Object.keys(upstreamHeaders), Object.values(upstreamHeaders));
    const from = issuer === null ? '' : `,"issuer":${jsonText(issuer)}`;
    this.record = flat(`,"subject":${jsonText(subject)}${from}`);
  }
}

export function derivedOf(identity: Identity): IdentityDerived {
  const known = identity.notes;
  if (known !== undefined && known !== null) return known;
  const derived = new Derived(identity);
  if ('notes' in identity || Object.isExtensible(identity)) identity.notes = derived;
  return derived;
}
