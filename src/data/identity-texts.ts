/** Texts made of an identity, once for all requests that bring it: its credential is cached, and so is the object. */
import { flat } from '../base/text.ts';
import type { Identity, IdentityTexts } from './contract/policy.ts';
import { jsonText } from './response/access-log.ts';

export function textsOf(identity: Identity): IdentityTexts {
  const known = identity.texts;
  if (known !== undefined && known !== null) return known;
  let lines = '';
  for (const name in identity.upstreamHeaders) lines += `${name}: ${identity.upstreamHeaders[name]}\r\n`;
  const texts = { upstreamLines: flat(lines), record: flat(`,"subject":${jsonText(identity.subject)}`) };
  if ('texts' in identity || Object.isExtensible(identity)) identity.texts = texts;
  return texts;
}
