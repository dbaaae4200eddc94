/**
 * Load that does not wait for its answers: so many requests a second, whatever becomes of them, as the world outside
 * sends them. For overload, which callers that wait for each other can never make.
 */
import { Agent, request } from 'node:http';

export interface OpenOutcome {
  /** 0 when there was no answer. */
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: string;
  readonly tookMs: number;
}

/** Sends for `forMs` and resolves with all outcomes when the last one is there. */
export async function openLoad(port: number, perSecond: number, forMs: number): Promise<OpenOutcome[]> {
  const agent = new Agent({ keepAlive: true });
  const asked: Promise<OpenOutcome>[] = [];
  const beganMs = performance.now();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsedMs = Math.min(forMs, performance.now() - beganMs);
      while (asked.length < (elapsedMs * perSecond) / 1_000) asked.push(ask(port, agent, asked.length));
      if (elapsedMs < forMs) return;
      clearInterval(timer);
      resolve();
    }, 5);
  });
  const outcomes = await Promise.all(asked);
  agent.destroy();
  return outcomes;
}

function ask(port: number, agent: Agent, number: number): Promise<OpenOutcome> {
  const beganMs = performance.now();
  return new Promise((resolve) => {
    const end = (status: number, retryAfter: string | undefined, body: string): void =>
      resolve({ status, retryAfter, body, tookMs: performance.now() - beganMs });
    const asked = request({ port, host: '127.0.0.1', path: `/w/${number}`, agent }, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += String(part);
      });
      response.on('end', () => end(response.statusCode ?? 0, response.headers['retry-after'], text));
      response.on('error', (error) => end(0, undefined, error.message));
    });
    asked.on('error', (error) => end(0, undefined, error.message));
    asked.end();
  });
}

/** `share` from 0 to 1; 0 of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
