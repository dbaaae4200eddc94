/**
 * The `Location` of a 202: a URL that tells what has become of the event. The token in it is signed with a secret of
 * the database, so that it works on every process and that nobody can ask about events that others published.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Store } from '../../store/store.ts';
import type { EventTables } from '../tables.ts';

export interface PublishedFacts {
  readonly id: string;
  readonly stream: string;
  readonly position: string | null;
  /** Of its row in the outbox, or null. */
  readonly number: number | null;
}

export class StatusTokens {
  readonly #secret: Buffer;
  /** Path in front of the token; null: there is no such endpoint. */
  path: string | null;

  constructor(secret: Buffer, path: string | null) {
    this.#secret = secret;
    this.path = path;
  }

  static async open(store: Store<EventTables>, path: string | null): Promise<StatusTokens> {
    return new StatusTokens(await sharedSecret(store, 'status-tokens'), path);
  }

  location(facts: PublishedFacts): string | null {
    if (this.path === null) return null;
    const text = Buffer.from(JSON.stringify([facts.id, facts.stream, facts.position, facts.number])).toString(
      'base64url',
    );
    return `${this.path}/published/${text}.${this.#sign(text)}`;
  }

  /** Null for what was not written here. */
  read(token: string): PublishedFacts | null {
    const [text = '', signature = ''] = token.split('.');
    const wanted = Buffer.from(this.#sign(text));
    const found = Buffer.from(signature);
    if (wanted.byteLength !== found.byteLength || !timingSafeEqual(wanted, found)) return null;
    const [id, stream, position, number] = JSON.parse(Buffer.from(text, 'base64url').toString()) as [
      string,
      string,
      string | null,
      number | null,
    ];
    return { id, stream, position, number };
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#secret).update(text).digest('base64url');
  }
}

/** The same for all processes on the database: whoever comes first makes it. */
async function sharedSecret(store: Store<EventTables>, name: string): Promise<Buffer> {
  await store.db
    .insertInto('event_meta')
    .values({ name, value: randomBytes(32).toString('base64url') })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const { value } = await store.db
    .selectFrom('event_meta')
    .select('value')
    .where('name', '=', name)
    .executeTakeFirstOrThrow();
  return Buffer.from(value, 'base64url');
}
