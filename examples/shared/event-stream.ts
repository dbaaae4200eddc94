/**
 * Follows server-sent events of the gateway's `subscribe`: connects again by itself, from the position that the handler
 * has reached. A handler that throws has not seen the event: it comes again.
 */
import { setTimeout as delay } from 'node:timers/promises';

export interface StreamEvent {
  /** Position in the stream; null for `gap` and `end`. */
  readonly id: string | null;
  readonly type: string;
  readonly data: string;
}

export interface Following {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Position after which the next event is wanted, or null for the beginning. Asked at each connection. */
  position(): string | null;
  handle(event: StreamEvent): void | Promise<void>;
  readonly signal: AbortSignal;
}

const PAUSE_MS = 500;

/** Resolves when the signal ends it. */
export async function follow({ url, headers, position, handle, signal }: Following): Promise<void> {
  while (!signal.aborted) {
    try {
      const after = position();
      const response = await fetch(url, {
        headers: { Accept: 'text/event-stream', ...headers, ...(after === null ? {} : { 'Last-Event-ID': after }) },
        signal,
      });
      if (response.status !== 200 || response.body === null) {
        await response.arrayBuffer();
        throw new Error(`${url}: status ${response.status}`);
      }
      for await (const event of eventsOf(response.body)) await handle(event);
    } catch (error) {
      if (signal.aborted) return;
      if (process.env['LOG_LEVEL'] === 'debug') console.error(error);
    }
    await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
  }
}

/**
 * The stream as the HTML standard parses it (§9.2.6), less what the gateway does not send: carriage returns, `retry`.
 */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  let event = { id: null as string | null, type: 'message', data: [] as string[] };
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (event.data.length > 0) yield { ...event, data: event.data.join('\n') };
        event = { id: null, type: 'message', data: [] };
        continue;
      }
      const colon = line.indexOf(':');
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (name === 'id') event.id = value;
      else if (name === 'event') event.type = value;
      else if (name === 'data') event.data.push(value);
    }
  }
}
