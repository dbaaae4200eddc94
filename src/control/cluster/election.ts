/**
 * Keeps one node standing for election: asks for the lease, renews it, and steps down by its own monotonic clock when
 * it could not renew for too long, before the store's clock gives the lease to another. So at no moment two nodes
 * believe that they are the queen, except while one of them is stopped; what that one writes afterwards is fenced by
 * its epoch.
 */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { Cancel, Timers } from '../../base/system-timers.ts';
import { jittered } from '../../base/system-timers.ts';
import type { LeaseStore } from './lease.ts';

export interface ElectionSettings {
  /** How long the lease lasts without being renewed. */
  readonly leaseMs: number;
  readonly renewMs: number;
}

export interface ElectionParts {
  readonly leases: LeaseStore;
  readonly holder: string;
  readonly settings: ElectionSettings;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly random: () => number;
  /** How long a node that is not the queen waits before it asks again. Default: about `renewMs`. */
  readonly turnMs?: () => number;
  /** This node has become the queen, with this epoch, or (null) is it no longer. Must not throw. */
  readonly onChange: (epoch: number | null) => void;
}

/** Of the lease, the part after which a holder that could not renew steps down: well before the lease ends. */
const STEP_DOWN_SHARE = 0.7;

export class Election {
  readonly #parts: ElectionParts;
  #epoch: number | null = null;
  /**
   * When the last successful request for the lease was SENT, by the monotonic clock: the lease lasts at least from
   * then.
   */
  #renewedMs = 0;
  #cancel: Cancel = () => {};
  #cancelStepDown: Cancel = () => {};
  #isClosed = false;
  #asking: Promise<void> = Promise.resolve();

  constructor(parts: ElectionParts) {
    this.#parts = parts;
  }

  /** Null when this node is not the queen, or cannot be sure any more. */
  get epoch(): number | null {
    if (this.#epoch === null) return null;
    return this.#parts.clock.monotonicMs() - this.#renewedMs < this.#stepDownMs ? this.#epoch : null;
  }

  get #stepDownMs(): number {
    return this.#parts.settings.leaseMs * STEP_DOWN_SHARE;
  }

  start(): void {
    this.#asking = this.#ask();
  }

  async #ask(): Promise<void> {
    const { leases, holder, settings, clock, timers, log, random, turnMs } = this.#parts;
    const sentMs = clock.monotonicMs();
    try {
      const epoch = await leases.acquire(holder, settings.leaseMs);
      // A response that took longer than the lease says nothing about now.
      const isFresh = clock.monotonicMs() - sentMs < this.#stepDownMs;
      if (epoch !== null && isFresh && !this.#isClosed) {
        this.#renewedMs = sentMs;
        this.#cancelStepDown();
        this.#cancelStepDown = timers.after(this.#stepDownMs - (clock.monotonicMs() - sentMs), () =>
          this.#checkLease(),
        );
        this.#change(epoch);
      } else if (epoch === null) this.#change(null);
    } catch (error) {
      log.warn('the cluster store could not be asked for the lease', { reason: messageOf(error) });
    }
    if (this.#isClosed) return;
    const renewMs = jittered(settings.renewMs, 0.2, random);
    this.#cancel = timers.after(this.#epoch === null ? (turnMs?.() ?? renewMs) : renewMs, () => {
      this.#asking = this.#ask();
    });
  }

  /** The fence refused a write with this epoch: another node holds the lease, whatever was believed here. */
  stepDown(): void {
    this.#change(null);
  }

  #checkLease(): void {
    if (this.#epoch === null || this.epoch !== null) return;
    this.#parts.log.warn('this node is no longer the queen: the lease could not be renewed in time', {
      epoch: this.#epoch,
    });
    this.#change(null);
  }

  #change(epoch: number | null): void {
    if (this.#epoch === epoch) return;
    this.#epoch = epoch;
    this.#parts.onChange(epoch);
  }

  /** Gives the lease up, so that another node need not wait for its end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    this.#cancelStepDown();
    await this.#asking;
    this.#cancel();
    const held = this.#epoch !== null;
    this.#change(null);
    if (held) await this.#parts.leases.release(this.#parts.holder).catch(() => {});
  }
}
