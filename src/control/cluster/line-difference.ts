/**
 * Which lines of a text are new, and which are gone: the longest common subsequence of lines between what both begin
 * and end with. Gives the changed lines with some around them.
 */
const AROUND = 3;
/** Cells of the table of lengths; where it would be larger, all lines between are called changed. */
const MOST_CELLS = 4_000_000;

/**
 * `+` before new lines, `-` before those that are gone, a blank before unchanged ones; `...` where some are left out.
 */
export function lineDifference(before: string, after: string): string[] {
  const [old, now] = [linesOf(before), linesOf(after)];
  let first = 0;
  while (first < old.length && first < now.length && old[first] === now[first]) first++;
  let last = 0;
  while (last < old.length - first && last < now.length - first && old.at(-1 - last) === now.at(-1 - last)) last++;
  const all = [
    ...old.slice(0, first).map((line) => ` ${line}`),
    ...changed(old.slice(first, old.length - last), now.slice(first, now.length - last)),
    ...old.slice(old.length - last).map((line) => ` ${line}`),
  ];
  return nearChanges(all);
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function changed(old: readonly string[], now: readonly string[]): string[] {
  const width = now.length + 1;
  if ((old.length + 1) * width > MOST_CELLS)
    return [...old.map((line) => `-${line}`), ...now.map((line) => `+${line}`)];
  // lengths[i * width + j]: lines that old from i on and now from j on have in common.
  const lengths = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--)
    for (let j = now.length - 1; j >= 0; j--)
      lengths[i * width + j] =
        old[i] === now[j]
          ? lengths[(i + 1) * width + j + 1]! + 1
          : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
  const lines: string[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      lines.push(` ${old[i]}`);
      i++;
      j++;
    } else if (j === now.length || (i < old.length && lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!))
      lines.push(`-${old[i++]}`);
    else lines.push(`+${now[j++]}`);
  }
  return lines;
}

function nearChanges(lines: readonly string[]): string[] {
  const isNear = lines.map((_, i) =>
    lines.slice(Math.max(0, i - AROUND), i + AROUND + 1).some((near) => near[0] !== ' '),
  );
  return lines.flatMap((line, i) => (isNear[i] === true ? [line] : i > 0 && isNear[i - 1] === true ? ['...'] : []));
}
