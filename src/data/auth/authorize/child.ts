/**
 * What a token says about age and about what a parent allows. The claims are those of the identity service: `par` (the
 * parent's id, present for children only), `age_band`, `content_rating`, `blocked_topics`; other issuers may use `age`.
 * Where a claim is missing or has a wrong type, a child is refused: it never gains by what a token leaves out.
 */
import type { Identity } from '../../contract/policy.ts';

export function isChild({ claims }: Identity): boolean {
  return claims['par'] !== undefined || claims['minor'] === true;
}

/** The age that is certain: `age`, or the lower end of `age_band` (`13-15`, `18+`); undefined when nothing is. */
export function certainAge({ claims }: Identity): number | undefined {
  const { age, age_band: band } = claims;
  if (typeof age === 'number' && age >= 0) return age;
  const match = typeof band === 'string' ? /^(\d{1,3})(?:-\d{1,3}|\+)$/.exec(band) : null;
  return match === null ? undefined : Number(match[1]);
}

/** May content that is rated for `rating` years be shown? Who is no child and has no limit may see all. */
export function mayView(identity: Identity, rating: number): boolean {
  const limit = identity.claims['content_rating'];
  if (typeof limit === 'number') return rating <= limit;
  return limit === undefined && !isChild(identity);
}

/** Is none of the topics blocked? Topics compare in lower case. */
export function mayReadAbout(identity: Identity, topics: readonly string[]): boolean {
  const blocked = identity.claims['blocked_topics'];
  if (blocked === undefined) return true;
  if (!Array.isArray(blocked)) return topics.length === 0;
  return !topics.some((topic) => blocked.includes(topic.toLowerCase()));
}
