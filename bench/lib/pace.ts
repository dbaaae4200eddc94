/**
 * Sends at a fixed rate, whether or not earlier ones were answered, so that a slow answer cannot hide by delaying the
 * next.
 */
export interface Pace {
  readonly perSecond: number;
  readonly seconds: number;
}

/**
 * Calls `send` with the time at which each was due, then `finish` half a second later with the seconds since the start.
 */
export function paced(
  { perSecond, seconds }: Pace,
  send: (dueAt: number) => void,
  finish: (seconds: number) => void,
): void {
  const startedAt = performance.now();
  const total = Math.round(perSecond * seconds);
  let sent = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    while (sent < total) {
      const dueAt = startedAt + (sent * 1000) / perSecond;
      if (dueAt > now) break;
      sent++;
      send(dueAt);
    }
    if (sent < total) return;
    clearInterval(timer);
    setTimeout(() => finish((performance.now() - startedAt) / 1000), 500);
  }, 1);
}
