/**
 * What another program wrote to a stream of a broker, by hand or by mistake: an event all the same, of whatever it is.
 * Were it none, readers would stand in front of it for ever.
 */
import type { NewEvent, StoredEvent } from './engine.ts';

/** Those who wrote it said no type. */
const BYTES = 'application/octet-stream';

type Facts = Omit<NewEvent, 'data'>;

/** What the gateway wrote beside the data of an event, as JSON; null where it is not of the gateway. */
export function readFacts<Kept extends Partial<Facts>>(text: string | undefined): Kept | null {
  try {
    const facts = JSON.parse(text ?? '') as Facts | null;
    const isWhole =
      typeof facts?.id === 'string' && typeof facts.contentType === 'string' && typeof facts.attributes === 'object';
    return isWhole && facts.attributes !== null ? (facts as unknown as Kept) : null;
  } catch {
    return null;
  }
}

/** Its place is its id. */
export function foreignEvent(
  stream: string,
  position: string,
  data: Uint8Array,
  { subject = stream, contentType = BYTES }: { readonly subject?: string; readonly contentType?: string } = {},
): StoredEvent {
  const id = `${stream}-${position}`;
  return { position, id, subject, key: subject, contentType, attributes: {}, data, dedupeId: null };
}
