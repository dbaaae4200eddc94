/**
 * How a configuration reaches the workers: who gets it first, and what it means when one refuses it, or ends while it
 * takes it. Who the workers are is the business of workers.ts.
 */
import type { Logger } from '../base/log.ts';
import { inSlices } from '../base/slices.ts';
import type { ToWorker } from '../data/contract/messages.ts';
import type { Secrets, ServiceSettings, Snapshot } from '../data/contract/snapshot.ts';
import type { Received } from '../data/contract/snapshot-parts.ts';
import { packSteps } from './packed-snapshot.ts';
import { APPLY_TIMEOUT_MS, confirms } from './worker-confirms.ts';
import type { Member } from './worker-member.ts';

type Send = (member: Member) => void | Promise<void>;
/** Decides what is wrong when a worker has ended before it said what it thinks of a configuration. */
type Ended = (how: string, member: Member) => string | undefined | Promise<string | undefined>;
const NOTHING: Send = () => {};

/** The workers as they are at the moment. */
export interface Crew {
  readonly log: Logger;
  /** What a thread that starts now begins with. */
  newest(): Received;
  /** From now on it begins with this. */
  setNewest(newest: Received): void;
  spare(): Member | null;
  /** All of them end: none that has ended is replaced. */
  isEnding(): boolean;
  /** Workers, and last the spare; none that has ended. */
  all(): Member[];
  /** Who has this place; null: nobody yet. */
  inPlace(index: number): Member | null;
  /** Called when a worker starts, ends, or takes a configuration. Returns what ends that. */
  onChange(listener: () => void): () => void;
  /** Its state is not to be trusted any more. */
  replace(member: Member): void;
}

export class Publishing {
  readonly #crew: Crew;

  constructor(crew: Crew) {
    this.#crew = crew;
  }

  /**
   * Sends a snapshot to all; resolves with the problems of those that refused it (none: it is live everywhere). One
   * takes it before the others do, the spare if there is one: what ends its thread ends no other.
   */
  async snapshot(snapshot: Snapshot, secrets: Secrets): Promise<string[]> {
    const crew = this.#crew;
    const newest = { snapshot, secrets };
    const { version } = snapshot;
    const send: Send = async (member) => {
      const { sent } = member;
      member.sent = newest;
      const { head, parts } = await inSlices(packSteps(newest, sent));
      member.worker.postMessage({ kind: 'snapshot', snapshot: head, parts } satisfies ToWorker, [parts]);
    };
    const first = crew.all().at(-1);
    if (first !== undefined) {
      const problem = await this.#confirmed(first, version, send, (how) => how);
      if (problem !== undefined) return [problem];
    }
    crew.setNewest(newest);
    const others = crew.all().filter((member) => member !== first);
    return this.#to(others, version, send);
  }

  /**
   * The same for a snapshot in which only these services are others. The spare has no requests that would wait for
   * them, and takes seconds to start where there are thousands of routes: it is not waited for.
   */
  async instances(snapshot: Snapshot, services: readonly ServiceSettings[]): Promise<string[]> {
    const crew = this.#crew;
    const { version } = snapshot;
    crew.setNewest({ ...crew.newest(), snapshot });
    const send: Send = (member) => {
      // As the worker puts it together: the very objects of routes and services.
      member.sent = { ...member.sent, snapshot };
      member.worker.postMessage({ kind: 'instances', version, services } satisfies ToWorker);
    };
    const spare = crew.spare();
    if (spare !== null) void this.#spareTakes(spare, version, send);
    const members = crew.all().filter((member) => member !== spare);
    return this.#to(members, version, send);
  }

  /** One that does not take what workers have taken is made anew, whatever it is by then. */
  async #spareTakes(spare: Member, version: number, send: Send): Promise<void> {
    const problem = await this.#confirmed(spare, version, send, () => undefined);
    if (problem === undefined) return;
    this.#crew.log.warn('the spare worker did not take other instances and is replaced', { problem });
    this.#crew.replace(spare);
  }

  async #to(members: readonly Member[], version: number, send: Send): Promise<string[]> {
    const ended: Ended = (how, member) => this.#judgedBySuccessor(how, member, version);
    const problems = await Promise.all(members.map((member) => this.#confirmed(member, version, send, ended)));
    return problems.filter((problem) => problem !== undefined);
  }

  #confirmed(member: Member, version: number, send: Send, ended: Ended): Promise<string | undefined> {
    return confirms({
      worker: member.worker,
      name: member.isSpare ? 'the spare worker' : `worker ${member.index}`,
      version,
      send: () => send(member),
      ended: (how) => ended(how, member),
    });
  }

  /**
   * A worker that ended while it took a configuration that another has taken may have ended for any reason. Its
   * successor begins with the same: what becomes of that counts. A spare is made anew in its time.
   */
  async #judgedBySuccessor(how: string, ended: Member, version: number): Promise<string | undefined> {
    if (ended.isSpare) return undefined;
    const successor = await this.#inPlaceOf(ended);
    if (successor === null) return `${how}, and nothing took its place in time`;
    if (successor.listening && successor.version >= version) return undefined;
    return this.#confirmed(successor, version, NOTHING, () => `${how}, and so did the one in its place`);
  }

  /** Resolves with null when there is none in time, or none will come because all of them end. */
  #inPlaceOf(ended: Member): Promise<Member | null> {
    const crew = this.#crew;
    return new Promise((resolve) => {
      const done = (member: Member | null): void => {
        clearTimeout(late);
        stopLooking();
        resolve(member);
      };
      const look = (): void => {
        const member = crew.inPlace(ended.index);
        if (member !== null && member !== ended) done(member);
        else if (crew.isEnding()) done(null);
      };
      const late = setTimeout(() => done(null), APPLY_TIMEOUT_MS);
      const stopLooking = crew.onChange(look);
      look();
    });
  }
}
