/**
 * Reads one JSON object as RFC 7515 §4 and RFC 7519 §4 want it: valid UTF-8, an object at the top, no member named
 * twice at any depth, no lone surrogate in a name. `JSON.parse` alone keeps the last of two equal members, where
 * another reader keeps the first: two readings of one token. Pure; runs only for tokens that are not cached.
 */
import { isUtf8 } from 'node:buffer';

/** The object, or `null`. Bytes beyond the object are refused, leading byte order marks too. */
export function parseStrictObject(bytes: Buffer): Record<string, unknown> | null {
  if (!isUtf8(bytes)) return null;
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  return hasRepeatedMember(text) ? null : (value as Record<string, unknown>);
}

/** Is a member named twice in one object of `text`, which must be valid JSON? Escapes are undone before comparing. */
export function hasRepeatedMember(text: string): boolean {
  // One entry per open bracket: the names seen in an object, or null for an array.
  const open: (Set<string> | null)[] = [];
  let names: Set<string> | null = null;
  let nameNext = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x7b /* { */:
        open.push(names);
        names = new Set();
        nameNext = true;
        break;
      case 0x5b /* [ */:
        open.push(names);
        names = null;
        nameNext = false;
        break;
      case 0x7d /* } */:
      case 0x5d /* ] */:
        names = open.pop() ?? null;
        nameNext = false;
        break;
      case 0x2c /* , */:
        nameNext = names !== null;
        break;
      case 0x22 /* " */:
        {
          const from = at;
          at++;
          while (text.charCodeAt(at) !== 0x22) at += text.charCodeAt(at) === 0x5c ? 2 : 1;
          if (!nameNext || names === null) break;
          nameNext = false;
          const raw = text.slice(from + 1, at);
          const name = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
          if (names.has(name) || !name.isWellFormed()) return true;
          names.add(name);
          break;
        }
    }
  }
  return false;
}
