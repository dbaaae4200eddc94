/**
 * Reads what the engine says of a verified client certificate: names, fingerprints, alternative names. The chain and
 * the dates were checked by TLS; nothing here decides whether a certificate is genuine.
 */

/** SHA-256 fingerprint in one form, lower-case hex, whatever separates its bytes. */
export function plainFingerprint(text: string): string {
  return text.replaceAll(':', '').toLowerCase();
}

/** `cnf.x5t#S256` (RFC 8705 §3.1), base64url of the digest, in the form of `plainFingerprint`; null if it is none. */
export function fingerprintOfThumbprint(thumbprint: string): string | null {
  const bytes = Buffer.from(thumbprint, 'base64url');
  return bytes.length === 32 && bytes.toString('base64url') === thumbprint ? bytes.toString('hex') : null;
}

/**
 * Attributes of a distinguished name, by type in upper case, from the form of Node's `X509Certificate#subject`: one
 * attribute a line, a backslash before what would otherwise mean something. The form with commas is not read: where it
 * is made without escaping, a value that contains `,CN=admin` would look like two. A type that occurs twice
 * keeps all its values.
 */
export function parseDistinguishedName(text: string): ReadonlyMap<string, readonly string[]> {
  const attributes = new Map<string, string[]>();
  for (const part of text.split('\n').flatMap((line) => splitUnescaped(line, '+'))) {
    const equals = part.indexOf('=');
    if (equals <= 0) continue;
    const type = part.slice(0, equals).trim().toUpperCase();
    const values = attributes.get(type) ?? [];
    values.push(unescapeValue(part.slice(equals + 1).trim()));
    attributes.set(type, values);
  }
  return attributes;
}

function splitUnescaped(text: string, separator: string): string[] {
  const parts: string[] = [];
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === separator) {
      parts.push(text.slice(from, at));
      from = at + 1;
    }
  }
  parts.push(text.slice(from));
  return parts;
}

/** Runs of `\XX` are UTF-8 bytes (RFC 4514 §2.4); any other escaped character is itself. */
function unescapeValue(value: string): string {
  return value.replace(/((?:\\[0-9A-Fa-f]{2})+)|\\(.)/gs, (_, hex: string | undefined, char: string | undefined) =>
    hex === undefined ? (char ?? '') : Buffer.from(hex.replaceAll('\\', ''), 'hex').toString('utf8'),
  );
}

/**
 * Entries of a subjectAltName as Node prints them (`DNS:a, URI:spiffe://x/y`). An entry that Node had to quote holds
 * characters that no honest name has (it was the way of CVE-2021-44532), so it matches nothing.
 */
export function alternativeNames(text: string): readonly string[] {
  if (text.includes('"')) return [];
  return text
    .split(', ')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
