/**
 * A part of a complete stored response (RFC 9110 §14, RFC 9111 §3.3). One range; what asks for several, or is not
 * understood, gets the whole (§14.2 allows to ignore it).
 */

export type RangeOutcome = { readonly first: number; readonly last: number } | 'whole' | 'unsatisfiable';

/** Of a body of `length` bytes. */
export function selectRange(range: string, length: number): RangeOutcome {
  const spec = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(range.trim());
  if (spec === null) return 'whole';
  const [, from, to] = spec;
  if (from === '') {
    if (to === '') return 'whole';
    const suffix = Number(to);
    if (suffix === 0 || length === 0) return 'unsatisfiable';
    return { first: Math.max(0, length - suffix), last: length - 1 };
  }
  const first = Number(from);
  if (to !== '' && Number(to) < first) return 'whole';
  if (first >= length) return 'unsatisfiable';
  return { first, last: to === '' ? length - 1 : Math.min(Number(to), length - 1) };
}
