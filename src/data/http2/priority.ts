/**
 * Priorities of RFC 9218, as hints for the order in which waiting bodies go out: `u=0` to `u=7` and `i`. A structured
 * field dictionary (RFC 8941 §3.2) of which only these two are read; what cannot be read changes nothing.
 */

export interface Prioritized {
  urgency: number;
  incremental: boolean;
}

const URGENCY = /^u=([0-7])$/;
const INCREMENTAL = /^i(?:=\?([01]))?$/;

export function readPriority(value: string, of: Prioritized): void {
  if (value.length > 256) return;
  for (const part of value.split(',')) {
    const member = part.trim().split(';', 1)[0]!.trim();
    const urgency = URGENCY.exec(member);
    if (urgency !== null) of.urgency = Number(urgency[1]);
    const incremental = INCREMENTAL.exec(member);
    if (incremental !== null) of.incremental = incremental[1] !== '0';
  }
}
