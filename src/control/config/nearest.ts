/**
 * The nearest of some known words, for "did you mean". Edit distance with swapped neighbours counted once
 * (optimal string alignment), case ignored; a word is near when it takes no more than a third of its length.
 */

/** `retry` and `retries`, `time_out` and `timeout` differ in nothing that counts. */
function stem(word: string): string {
  const plain = word.replace(/[-_]/g, '');
  return plain.length > 3 ? plain.replace(/ies$/, 'y').replace(/s$/, '') : plain;
}

export function nearest(word: string, known: Iterable<string>): string | undefined {
  const text = word.toLowerCase().slice(0, 64);
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const other = candidate.toLowerCase();
    if (stem(text) === stem(other) && other !== text) return candidate;
    const allowed = Math.max(1, Math.floor(Math.max(text.length, other.length) / 3));
    if (Math.abs(text.length - other.length) > allowed && !isPart(text, other)) continue;
    const distance = isPart(text, other) ? Math.min(allowed, editDistance(text, other)) : editDistance(text, other);
    if (distance <= allowed && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best === word ? undefined : best;
}

/** `retry` and `retries`, `cert` and `certificates`: one begins with what the other is. */
function isPart(a: string, b: string): boolean {
  const shorter = Math.min(a.length, b.length);
  return shorter >= 4 && a.slice(0, 4) === b.slice(0, 4) && (a.startsWith(b) || b.startsWith(a));
}

export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
