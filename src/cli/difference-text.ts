/** What another configuration changes, as lines for people: `+` new, `-` gone, `~` different. */
import type { Difference, NamedChanges } from '../control/config/difference.ts';

export function differenceLines(difference: Difference): string {
  const lines = [
    ...named('listener', difference.listeners),
    ...named('service', difference.services),
    ...named('route', difference.routes),
    ...difference.settings.map((key) => `~ ${key}`),
    ...(difference.reordered ? ['~ the order of routes'] : []),
    ...(difference.secrets ? ['~ the value of a secret'] : []),
  ];
  return lines.length === 0 ? 'nothing would change\n' : `${lines.join('\n')}\n`;
}

function named(what: string, { added, removed, changed }: NamedChanges): string[] {
  return [
    ...added.map((id) => `+ ${what} ${id}`),
    ...removed.map((id) => `- ${what} ${id}`),
    ...changed.map(({ id, keys }) => `~ ${what} ${id}: ${keys.join(', ')}`),
  ];
}
