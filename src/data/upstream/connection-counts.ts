/**
 * What became of the connections to a service's instances: words in shared memory, which all workers add to and metrics
 * and status pages read.
 */
import { SERVICE, serviceAt } from '../contract/instance-layout.ts';
import type { InstanceTable } from '../contract/instance-table.ts';
import type { ConnectionCounter } from '../contract/service-state.ts';
import { CONNECTION_COUNTERS } from '../contract/service-state.ts';

export class ConnectionCounts {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(table: InstanceTable, serviceSlot: number) {
    this.#words = table.words;
    this.#at = serviceAt(serviceSlot) + SERVICE.connections;
  }

  add(counter: ConnectionCounter): void {
    Atomics.add(this.#words, this.#at + CONNECTION_COUNTERS.indexOf(counter), 1);
  }
}
