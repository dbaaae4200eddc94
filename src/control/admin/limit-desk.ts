/**
 * Asks the workers how the limits of one caller stand, and has them forgotten. The counters are in memory that workers
 * share, or in Redis, so whichever worker answers first says it for all. One question at a time.
 */
import type { LimitAnswer, LimitCaller, LimitQuestion, LimitState } from '../../data/contract/limit-look.ts';
import { LOOK_TOPIC, LOOKED_TOPIC } from '../../data/contract/limit-look.ts';
import type { RateLimitSettings } from '../../data/contract/limits.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';
import type { ControlBus } from '../bus.ts';

/** The state of one counter, and the routes that count in it. */
export interface RouteLimit extends LimitState {
  readonly routes: readonly string[];
}

const TIMEOUT_MS = 5_000;

export class LimitDesk {
  readonly #bus: ControlBus;
  #last: Promise<unknown> = Promise.resolve();
  #id = 0;
  #waiting: ((answer: LimitAnswer) => void) | undefined;

  constructor(bus: ControlBus) {
    this.#bus = bus;
    bus.onTell(LOOKED_TOPIC, (data) => {
      const answer = data as LimitAnswer;
      if (answer.id === this.#id) this.#waiting?.(answer);
    });
  }

  /** `route`: only that one. Rejects when no worker answers, or Redis does not. */
  async ask(snapshot: Snapshot, caller: LimitCaller, route: string | undefined, reset: boolean): Promise<RouteLimit[]> {
    const routesOf = new Map<string, string[]>();
    for (const { id, policies } of snapshot.routes) {
      if (route !== undefined && id !== route) continue;
      for (const { name, options } of policies) {
        if (name !== 'rate-limit') continue;
        const text = JSON.stringify(options);
        routesOf.set(text, [...(routesOf.get(text) ?? []), id]);
      }
    }
    if (routesOf.size === 0) return [];
    const settings = [...routesOf.keys()].map((text) => JSON.parse(text) as RateLimitSettings);
    const states = await this.#question({ caller, settings, reset });
    const byCounter = new Map<string, RouteLimit>();
    for (const [index, routes] of [...routesOf.values()].entries())
      for (const state of states[index] ?? []) {
        const known = byCounter.get(state.id);
        byCounter.set(state.id, { ...state, routes: [...new Set([...(known?.routes ?? []), ...routes])] });
      }
    return [...byCounter.values()];
  }

  async #question(
    question: Pick<LimitQuestion, 'caller' | 'settings' | 'reset'>,
  ): Promise<readonly (readonly LimitState[])[]> {
    const turn = this.#last.then(() => this.#send(question));
    this.#last = turn.catch(() => {});
    return await turn;
  }

  async #send(
    question: Pick<LimitQuestion, 'caller' | 'settings' | 'reset'>,
  ): Promise<readonly (readonly LimitState[])[]> {
    const id = ++this.#id;
    let timer: NodeJS.Timeout | undefined;
    const { states, problem } = await new Promise<LimitAnswer>((resolve) => {
      this.#waiting = resolve;
      timer = setTimeout(resolve, TIMEOUT_MS, { id, problem: 'no worker answers' });
      this.#bus.publish(LOOK_TOPIC, { ...question, id, askedAtMs: Date.now() } satisfies LimitQuestion);
    });
    clearTimeout(timer);
    this.#waiting = undefined;
    this.#bus.publish(LOOK_TOPIC, null);
    if (states === undefined) throw new Error(problem);
    return states;
  }
}
