/**
 * What the queen writes, it writes behind a fence: each of its transactions carries its epoch, and one with an epoch
 * older than the newest that has written is refused whole. A queen that was stopped, cut off or slow can so never undo
 * what its successor did, whatever it believes. Works with any store of leases, since the fence lies beside the data.
 */
import type { Transaction } from 'kysely';
import type { Store } from '../store/store.ts';
import type { ClusterTables } from './tables.ts';

/** Thrown when another queen with a newer epoch has written already. */
export class FencedError extends Error {
  constructor(epoch: number) {
    super(`epoch ${epoch} is over: another node is the queen`);
  }
}

export class Fence {
  readonly #store: Store<ClusterTables>;
  readonly #name: string;

  constructor(store: Store<ClusterTables>, clusterName: string) {
    this.#store = store;
    this.#name = `${clusterName}/fence`;
  }

  /** The newest epoch that has written; 0 when none has. */
  async newest(): Promise<number> {
    const row = await this.#store.db
      .selectFrom('cluster_leases')
      .select('epoch')
      .where('name', '=', this.#name)
      .executeTakeFirst();
    return Number(row?.epoch ?? 0);
  }

  /** Runs `work` in one transaction as the queen of `epoch`. Rejects with a `FencedError`; nothing was written then. */
  async write<Result>(epoch: number, work: (trx: Transaction<ClusterTables>) => Promise<Result>): Promise<Result> {
    return await this.#store.transaction(async (trx) => {
      const passed = await trx
        .insertInto('cluster_leases')
        .values({ name: this.#name, holder: '', epoch, until: 0 })
        .onConflict((conflict) =>
          conflict.column('name').doUpdateSet({ epoch }).where('cluster_leases.epoch', '<=', epoch),
        )
        .returning('epoch')
        .execute();
      if (passed.length === 0) throw new FencedError(epoch);
      return await work(trx);
    });
  }
}
