/**
 * Adding events to a stream of Redis. Events that come in one turn of the event loop are added by one call of one
 * script, in their order: a call for each would cost the client and the server more than the event itself. The script
 * knows repeated keys for ten minutes, removes what is too much and remembers the last entry that it removed, so that a
 * gap can be stated exactly.
 */
import type { RedisConnection } from '../../../base/redis.ts';
import { asBuffer } from './embedded.ts';
import { type NewEvent, type Published, type StreamSettings, within } from './engine.ts';

const KEYS_KNOWN_FOR_MS = 600_000;
/** Of one call: Redis does nothing else meanwhile. */
const MOST_EVENTS = 100;
const MOST_BYTES = 1024 ** 2;
const COMMAND = 'gatehouseAddEvents';

/**
 * KEYS: events, facts. ARGV: TTL of dedupe keys, most entries, most bytes, then four for each event: its dedupe key or
 * nothing, bytes, facts, data. Gives entry id and 1 for a repetition, for each. Dedupe keys lie in the slot of the two
 * others; were they KEYS, ioredis would need one command for each number of them to find their node.
 */
const ADD = `
local result = {}
local added = 0
for at = 4, #ARGV, 4 do
  local key = ARGV[at]
  local before = key ~= '' and redis.call('GET', key)
  if before then
    result[#result + 1] = before
    result[#result + 1] = 1
  else
    local id = redis.call('XADD', KEYS[1], '*', 'bytes', ARGV[at + 1], 'facts', ARGV[at + 2], 'data', ARGV[at + 3])
    if key ~= '' then redis.call('SET', key, id, 'PX', ARGV[1]) end
    added = added + tonumber(ARGV[at + 1])
    result[#result + 1] = id
    result[#result + 1] = 0
  end
end
local bytes = redis.call('HINCRBY', KEYS[2], 'bytes', added)
local most, mostBytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local count = redis.call('XLEN', KEYS[1])
while count > 1 and (count > most or bytes > mostBytes) do
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', KEYS[1], first[1])
  redis.call('HSET', KEYS[2], 'removed', first[1])
  if first[2][1] == 'bytes' then
    bytes = redis.call('HINCRBY', KEYS[2], 'bytes', -(tonumber(first[2][2]) or 0))
  end
  count = count - 1
end
return result`;

type Add = (...keysAndArgs: (string | number | Buffer)[]) => Promise<(string | number)[]>;

interface Waiting {
  /** All that it is beside its data, as JSON. */
  readonly facts: string;
  readonly data: Buffer;
  readonly dedupeId: string | null;
  readonly bytes: number;
  readonly resolve: (published: Published) => void;
  readonly reject: (reason: unknown) => void;
}

/** Once for each connection. */
export function defineAppend(redis: RedisConnection): void {
  redis.defineCommand(COMMAND, { lua: ADD, numberOfKeys: 2 });
}

/** What one stream's publishers add. `prefix` is that of its keys. */
export class RedisAppend {
  readonly #redis: RedisConnection;
  readonly #prefix: string;
  #waiting: Waiting[] = [];
  #bytes = 0;
  /** How long those that wait may take: one timer for all of them. */
  #withinMs = 0;
  #isPlanned = false;
  settings: StreamSettings;

  constructor(redis: RedisConnection, prefix: string, settings: StreamSettings) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.settings = settings;
  }

  /** Rejects with what Redis says, or with an `EngineFault` when that takes longer. */
  add(event: NewEvent, withinMs: number): Promise<Published> {
    if (withinMs !== this.#withinMs) this.#send();
    this.#withinMs = withinMs;
    return new Promise((resolve, reject) => {
      const { data, ...facts } = event;
      // One field for all of them: each costs a reader as much as the event itself.
      const written = JSON.stringify(facts);
      const bytes = data.byteLength + written.length;
      this.#waiting.push({ facts: written, data: asBuffer(data), dedupeId: facts.dedupeId, bytes, resolve, reject });
      this.#bytes += bytes;
      if (this.#waiting.length >= MOST_EVENTS || this.#bytes >= MOST_BYTES) this.#send();
      else if (!this.#isPlanned) {
        this.#isPlanned = true;
        setImmediate(() => {
          this.#isPlanned = false;
          this.#send();
        });
      }
    });
  }

  #send(): void {
    const batch = this.#waiting;
    if (batch.length === 0) return;
    this.#waiting = [];
    this.#bytes = 0;
    const { maxEvents, maxBytes } = this.settings;
    const prefix = this.#prefix;
    const args: (string | number | Buffer)[] = [`${prefix}log`, `${prefix}facts`, KEYS_KNOWN_FOR_MS];
    args.push(maxEvents, maxBytes);
    for (const { facts, data, dedupeId, bytes } of batch) {
      args.push(dedupeId === null ? '' : `${prefix}key:${dedupeId}`, bytes, facts, data);
    }
    const add = (this.#redis as unknown as Record<typeof COMMAND, Add>)[COMMAND](...args);
    within(add, this.#withinMs).then(
      (reply) => {
        for (const [i, { resolve }] of batch.entries()) {
          resolve({ position: String(reply[2 * i]), duplicate: reply[2 * i + 1] === 1 });
        }
      },
      (error: unknown) => {
        for (const { reject } of batch) reject(error);
      },
    );
  }
}
