/**
 * A subscription as server-sent events (WHATWG HTML, section "Server-sent events"). It begins with the position it
 * stands at, so that a client that reconnects before its first event misses nothing.
 */
import type { SubscribeSettings } from '../../../data/contract/events.ts';
import { compilePattern } from '../../../data/contract/subjects.ts';
import { eventLines } from '../event-json.ts';
import type { ChannelRequest } from '../link/request.ts';
import { cursorOf, writeCursor } from './cursor.ts';
import type { Feed } from './feed.ts';
import type { FeedEntry } from './feed-entry.ts';
import { SseStream } from './sse-stream.ts';
import type { Admitted, EndReason, Subscriptions, Transport } from './subscriptions.ts';

const HEARTBEAT = Buffer.from(':\n\n');
/** What is made of an event for each format. */
const NAMES = { cloudevent: 'sse cloudevent', data: 'sse data' };

export function openSse(
  subscriptions: Subscriptions,
  { channel, call }: ChannelRequest,
  settings: SubscribeSettings,
  admitted: Admitted,
  feed: Feed,
): void {
  const { tag, start, isLost } = admitted;
  const stream = new SseStream(channel);
  const transport = new SseTransport(stream, subscriptions);
  subscriptions.add(transport, call, settings, admitted);
  stream.onClose(() => subscriptions.end(transport, 'gone'));
  const at = start === undefined ? feed.head : start;
  // An id without data moves the client's position and is no event (WHATWG HTML, "dispatch the event").
  transport.write(`retry: ${settings.retryMs}\n${at === null ? '' : `id: ${writeCursor(tag, at)}\n`}\n`);
  const gap = (): void => {
    subscriptions.gaps++;
    transport.write(`event: gap\ndata: ${JSON.stringify({ stream: settings.stream })}\n\n`);
  };
  if (isLost) gap();
  const sink = {
    event: (entry: FeedEntry): boolean => {
      subscriptions.sent++;
      return transport.write(frameOf(entry, settings.format, tag));
    },
    gap,
    tooSlow: () => subscriptions.end(transport, 'too_slow'),
  };
  const reader = feed.read(start, compilePattern(call.subject), sink, settings.slow);
  subscriptions.reads(transport, reader);
  stream.onDrain(() => reader.resume());
}

class SseTransport implements Transport {
  readonly #stream: SseStream;
  readonly #subscriptions: Subscriptions;
  lastWriteMs = 0;

  constructor(stream: SseStream, subscriptions: Subscriptions) {
    this.#stream = stream;
    this.#subscriptions = subscriptions;
  }

  write(bytes: Buffer | string): boolean {
    this.lastWriteMs = this.#subscriptions.now();
    return this.#stream.write(bytes);
  }

  heartbeat(): void {
    this.write(HEARTBEAT);
  }

  end(reason: EndReason): void {
    this.#stream.end(`event: end\ndata: ${JSON.stringify({ reason })}\n\n`);
  }
}

function frameOf(entry: FeedEntry, format: SubscribeSettings['format'], tag: string): Buffer {
  return entry.once(NAMES[format], (event) => eventLines(`id: ${cursorOf(tag, event)}\n`, event, format));
}
