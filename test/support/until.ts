/**
 * Waits for something that happens elsewhere (a socket, a file) by looking again: at once at first, and after a
 * twentieth of the time waited so far later on. Who looks each millisecond for seconds, say at the metrics, keeps a
 * core busy that what is waited for may need.
 */
const SHORTEST_MS = 1;
const LONGEST_MS = 25;
const SHARE = 1 / 20;

export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 15_000,
): Promise<void> {
  const beganMs = performance.now();
  while (!(await condition())) {
    const waitedMs = performance.now() - beganMs;
    if (waitedMs > deadlineMs) throw new Error(`it did not happen within ${deadlineMs} ms: ${what}`);
    const pauseMs = Math.min(Math.max(waitedMs * SHARE, SHORTEST_MS), LONGEST_MS);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
