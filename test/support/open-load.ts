/**
 * Load that does not wait for its answers: so many requests a second, whatever becomes of them, as the world outside
 * sends them. For overload, which callers that wait for each other can never make.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { Agent, request } from 'node:http';

export interface OpenOutcome {
  /** 0 when there was no answer. */
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: string;
  readonly tookMs: number;
  /** How many were in hand at a busy instance when it came there; NaN where nobody says. */
  readonly ahead: number;
  /** How many that were sent later had their answers earlier. */
  readonly overtaken: number;
}

/** Sends for `forMs` and resolves with all outcomes when the last one is there. */
export async function openLoad(port: number, perSecond: number, forMs: number): Promise<OpenOutcome[]> {
  const agent = new Agent({ keepAlive: true });
  const asked: Promise<OpenOutcome>[] = [];
  const answered: number[] = [];
  const beganMs = performance.now();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsedMs = Math.min(forMs, performance.now() - beganMs);
      while (asked.length < (elapsedMs * perSecond) / 1_000) asked.push(ask(port, agent, asked.length, answered));
      if (elapsedMs < forMs) return;
      clearInterval(timer);
      resolve();
    }, 5);
  });
  const outcomes = await Promise.all(asked);
  agent.destroy();
  return outcomes;
}

function ask(port: number, agent: Agent, number: number, answered: number[]): Promise<OpenOutcome> {
  const beganMs = performance.now();
  return new Promise((resolve) => {
    const end = (status: number, headers: IncomingHttpHeaders, body: string): void => {
      const overtaken = answered.filter((other) => other > number).length;
      answered.push(number);
      const ahead = Number(headers['x-ahead'] ?? Number.NaN);
      const tookMs = performance.now() - beganMs;
      resolve({ status, retryAfter: headers['retry-after'], body, tookMs, ahead, overtaken });
    };
    const asked = request({ port, host: '127.0.0.1', path: `/w/${number}`, agent }, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += String(part);
      });
      response.on('end', () => end(response.statusCode ?? 0, response.headers, text));
      response.on('error', (error) => end(0, {}, error.message));
    });
    asked.on('error', (error) => end(0, {}, error.message));
    asked.end();
  });
}

/** `share` from 0 to 1; 0 of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
