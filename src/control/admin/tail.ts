/**
 * The live tail for those who watch: asks the workers for the records that anybody wants, only while somebody does, and
 * gives each watcher its own. A record is a line of the access log: no bodies, no query, no fields besides the user
 * agent, and nothing that the access log hides.
 */
import { FAULTS } from '../../base/errors.ts';
import { outcomeOf } from '../../base/grpc-status.ts';
import type { Redaction } from '../../base/redaction.ts';
import { asciiJson, jsonText } from '../../base/text.ts';
import { isWanted, TAIL_LINES_TOPIC, TAIL_TOPIC, type TailFilter, type TailLines } from '../../data/contract/tail.ts';
import type { ControlBus } from '../bus.ts';

/** Records a second that all workers together send; a reader sees no more. */
export const MOST_A_SECOND = 200;

export interface TailRecord {
  readonly time: string;
  readonly status: number;
  readonly grpc_status?: number;
  readonly fault?: string;
  readonly [field: string]: unknown;
}

export interface TailBatch {
  readonly requests: readonly TailRecord[];
  /** How many were left out before these, because there were too many. */
  readonly dropped: number;
}

export interface TailWish {
  /** Id of a route. */
  readonly route?: string | undefined;
  /** `404`, `5xx`, or `errors` (400 and above). Of a gRPC call the one that its own status means. */
  readonly status?: string | undefined;
  readonly text?: string | undefined;
}

interface Watcher {
  readonly filter: TailFilter;
  /** False: it is too slow, and the batch is lost. */
  readonly take: (batch: TailBatch) => boolean;
  lost: number;
}

/** What `status` may be. */
export const STATUS_PATTERN = /^([1-5]\d\d|[1-5]xx|errors)$/;

export class TailHub {
  readonly #bus: ControlBus;
  readonly #workers: () => number;
  readonly #redaction: () => Redaction;
  readonly #watchers = new Set<Watcher>();

  /** `redaction`: what records hide at the moment. */
  constructor(bus: ControlBus, workers: () => number, redaction: () => Redaction) {
    this.#bus = bus;
    this.#redaction = redaction;
    this.#workers = workers;
    bus.onTell(TAIL_LINES_TOPIC, (data) => this.#onLines(data as TailLines));
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Returns what ends it. */
  watch(wish: TailWish, take: Watcher['take']): () => void {
    const watcher: Watcher = { filter: filterOf(wish), take, lost: 0 };
    this.#watchers.add(watcher);
    this.#order();
    return () => {
      if (this.#watchers.delete(watcher)) this.#order();
    };
  }

  #order(): void {
    const filters = [...this.#watchers].map(({ filter }) => filter);
    const perSecond = Math.ceil(MOST_A_SECOND / Math.max(1, this.#workers()));
    this.#bus.publish(TAIL_TOPIC, filters.length === 0 ? null : { filters, perSecond });
  }

  #onLines({ lines, dropped }: TailLines): void {
    if (this.#watchers.size === 0) return;
    const texts = Buffer.from(lines).toString('latin1').split('\n').filter(Boolean);
    const redaction = this.#redaction();
    const records = texts.map((text) => {
      const whole = JSON.parse(text) as TailRecord;
      if (redaction.isEmpty) return { text, record: whole };
      const { time, ...rest } = whole;
      const record = { time, ...redaction.value(rest) } as TailRecord;
      // Watchers look for their text in this one: else they could guess what is hidden.
      return { text: asciiJson(record), record };
    });
    for (const watcher of this.#watchers) {
      const { filter } = watcher;
      const wanted = records
        .filter(({ record }) => isWanted(filter, String(record['route'] ?? ''), outcomeOfRecord(record)))
        .filter(({ text }) => filter.text === null || text.includes(filter.text));
      const batch = { requests: wanted.map(({ record }) => record), dropped: dropped + watcher.lost };
      if (batch.requests.length === 0 && batch.dropped === 0) continue;
      watcher.lost = watcher.take(batch) ? 0 : batch.dropped + batch.requests.length;
    }
  }
}

const FAULT_STATUSES: ReadonlyMap<string, number> = new Map(
  Object.values(FAULTS).map(({ reason, status }) => [reason, status]),
);

/** As workers see it (exchange/report.ts). */
function outcomeOfRecord({ status, grpc_status: code = -1, fault }: TailRecord): number {
  return outcomeOf(status, code, fault === undefined ? 0 : (FAULT_STATUSES.get(fault) ?? 0));
}

function filterOf({ route, status, text }: TailWish): TailFilter {
  const [leastStatus, mostStatus] = statusesOf(status);
  return {
    route: route === undefined || route === '' ? null : route,
    leastStatus,
    mostStatus,
    // As the record has it: escaped, without its quotes.
    text: text === undefined || text === '' ? null : jsonText(text).slice(1, -1),
  };
}

function statusesOf(status: string | undefined): readonly [number, number] {
  if (status === undefined || status === '') return [0, 999];
  if (status === 'errors') return [400, 999];
  if (status.endsWith('xx')) return [Number(status[0]) * 100, Number(status[0]) * 100 + 99];
  return [Number(status), Number(status)];
}
