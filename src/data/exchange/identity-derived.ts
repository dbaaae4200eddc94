/**
 * What the engine and the limiter work out of an identity, once for all requests that bring it: its credential is
 * cached, and so is the object. All in one object, because a caller comes back after many others, when nothing about him
 * is in the processor's nearest memory, and every further object is a wait of its own.
 */
import { flat, jsonText } from '../../base/text.ts';
import type { Identity, IdentityDerived } from '../contract/policy.ts';

class Notes implements IdentityDerived {
  readonly upstreamLines: string;
  readonly record: string;
  hasKeys = false;
  userA = 0;
  userB = 0;
  apiKeyA = 0;
  apiKeyB = 0;

  constructor(identity: Identity) {
    let lines = '';
    for (const name in identity.upstreamHeaders) lines += `${name}: ${identity.upstreamHeaders[name]}\r\n`;
    this.upstreamLines = flat(lines);
    this.record = flat(`,"subject":${jsonText(identity.subject)}`);
  }
}

export function derivedOf(identity: Identity): IdentityDerived {
  const known = identity.notes;
  if (known !== undefined && known !== null) return known;
  const notes = new Notes(identity);
  if ('notes' in identity || Object.isExtensible(identity)) identity.notes = notes;
  return notes;
}
