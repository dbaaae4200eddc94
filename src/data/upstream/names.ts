/**
 * Addresses of host names, asked of the system (hosts file, search domains and all) and remembered. The system's
 * resolver occupies one of Node's four threads for as long as a name server is silent, so a few questions are under way
 * at most, one for each name; and what is known goes on being used while the answer is missing. Owner: the worker's
 * thread.
 *
 *   known, fresh: at once
 *   known, old: at once, and asked anew
 *   connecting failed: asked anew, waited for a moment
 */

import type { LookupAddress, LookupOptions } from 'node:dns';
import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import { systemClock } from '../../base/clock.ts';
import { systemTimers } from '../../base/system-timers.ts';

const FRESH_MS = 5_000;
/** A name whose addresses do not work is asked for at most so often. */
const ASK_AGAIN_MS = 1_000;
/** How long a new answer is waited for where there is an old one. */
const PATIENCE_MS = 500;
/** Leaves threads for everything else. */
const MOST_QUESTIONS = 2;
/** Names remembered; there are as many as instances have. */
const MOST_NAMES = 10_000;

type Answer = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;
type Ask = (name: string, answer: Answer) => void;

interface Name {
  readonly name: string;
  addresses: LookupAddress[] | null;
  askedMs: number;
  freshUntilMs: number;
  isAsked: boolean;
  readonly waiting: Set<Answer>;
}

const ask: Ask = (name, answer) => systemLookup(name, { all: true }, answer);

export class Names {
  readonly #ask: Ask;
  readonly #clock: Clock;
  readonly #names = new Map<string, Name>();
  readonly #queue: Name[] = [];
  #questions = 0;

  constructor(askSystem: Ask = ask, clock: Clock = systemClock) {
    this.#ask = askSystem;
    this.#clock = clock;
  }

  /** For `net.connect`. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    this.find(hostname, (error, addresses) => give(error, addresses, options, callback as never));
  };

  find(hostname: string, answer: Answer): void {
    const name = this.#nameOf(hostname);
    const nowMs = this.#clock.monotonicMs();
    const { addresses } = name;
    if (addresses !== null && nowMs < name.freshUntilMs) {
      process.nextTick(answer, null, addresses);
      return;
    }
    const isSuspect = name.freshUntilMs === 0;
    if (addresses === null) name.waiting.add(answer);
    else if (isSuspect) this.#waitAMoment(name, answer, addresses);
    else process.nextTick(answer, null, addresses);
    this.#question(name);
  }

  /** No connection could be made to what was found: the name may have moved. */
  failed(hostname: string): void {
    const name = this.#names.get(hostname);
    if (name === undefined || this.#clock.monotonicMs() - name.askedMs < ASK_AGAIN_MS) return;
    name.freshUntilMs = 0;
  }

  #nameOf(hostname: string): Name {
    let name = this.#names.get(hostname);
    if (name === undefined) {
      if (this.#names.size >= MOST_NAMES) this.#forgetOne();
      name = {
        name: hostname,
        addresses: null,
        askedMs: -Infinity,
        freshUntilMs: 0,
        isAsked: false,
        waiting: new Set(),
      };
      this.#names.set(hostname, name);
    }
    return name;
  }

  #forgetOne(): void {
    for (const [hostname, { isAsked }] of this.#names) {
      if (isAsked) continue;
      this.#names.delete(hostname);
      return;
    }
  }

  #waitAMoment(name: Name, answer: Answer, known: LookupAddress[]): void {
    const settle: Answer = (_error, addresses) => {
      cancel();
      name.waiting.delete(settle);
      answer(null, addresses.length === 0 ? known : addresses);
    };
    const cancel = systemTimers.after(PATIENCE_MS, () => settle(null, known));
    name.waiting.add(settle);
  }

  #question(name: Name): void {
    if (name.isAsked) return;
    name.isAsked = true;
    this.#queue.push(name);
    this.#next();
  }

  #next(): void {
    if (this.#questions >= MOST_QUESTIONS) return;
    const name = this.#queue.shift();
    if (name === undefined) return;
    this.#questions++;
    name.askedMs = this.#clock.monotonicMs();
    this.#ask(name.name, (error, addresses) => this.#onAnswer(name, error, addresses ?? []));
  }

  #onAnswer(name: Name, error: NodeJS.ErrnoException | null, addresses: LookupAddress[]): void {
    this.#questions--;
    name.isAsked = false;
    if (error === null && addresses.length > 0) {
      name.addresses = addresses;
      name.freshUntilMs = this.#clock.monotonicMs() + FRESH_MS;
    } else if (name.addresses !== null) {
      // Better than nothing, and not asked for with every connection.
      name.freshUntilMs = this.#clock.monotonicMs() + ASK_AGAIN_MS;
    }
    const waiting = [...name.waiting];
    name.waiting.clear();
    for (const answer of waiting) answer(error, addresses);
    this.#next();
  }
}

/** What the caller asked for: all addresses or one, of both families or of one. */
function give(
  error: NodeJS.ErrnoException | null,
  addresses: LookupAddress[],
  { all, family }: LookupOptions,
  callback: (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void,
): void {
  const wanted = family === 4 || family === 6 ? addresses.filter((each) => each.family === family) : addresses;
  const [first] = wanted;
  if (error !== null || first === undefined) {
    const none: NodeJS.ErrnoException = error ?? Object.assign(new Error('no such address'), { code: 'ENOTFOUND' });
    callback(none, all === true ? [] : '');
  } else if (all === true) callback(null, wanted);
  else callback(null, first.address, first.family);
}

/** Those of this thread. */
export const names: Names = new Names();
