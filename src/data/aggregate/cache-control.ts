/** The Cache-Control of a response made of several: what the most careful of them allows (RFC 9111 §5.2.2). */

/** Null when any of them says nothing: then nothing is said. */
export function weakest(fields: readonly (string | null)[]): string | null {
  let maxAge = Number.POSITIVE_INFINITY;
  let isPrivate = false;
  let noCache = false;
  for (const field of fields) {
    if (field === null) return null;
    const directives = field
      .toLowerCase()
      .split(',')
      .map((each) => each.trim());
    if (directives.some((each) => /^no-store(=|$)/.test(each))) return 'no-store';
    // With field names they are about those fields alone; taken for all of the response they are on the safe side.
    if (directives.some((each) => /^private(=|$)/.test(each))) isPrivate = true;
    if (directives.some((each) => /^no-cache(=|$)/.test(each))) noCache = true;
    const age = directives.map((each) => /^max-age="?(\d+)"?$/.exec(each)?.[1]).find((each) => each !== undefined);
    if (age !== undefined) maxAge = Math.min(maxAge, Number(age));
    else if (!noCache) return null;
  }
  if (fields.length === 0) return null;
  const words = [isPrivate ? 'private' : 'public'];
  words.push(noCache ? 'no-cache' : `max-age=${maxAge}`);
  return words.join(', ');
}
