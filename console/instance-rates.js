/**
 * What instances did a second between two readings of `/services`. An instance that was not in the reading before has
 * no rates yet: it is new, was not asked for, or is another process whose counts began anew.
 */
export class InstanceRates {
  /** What instances had counted when they were read last, and when that was, by id. */
  #counted = new Map();
  #rates = new Map();
  #at = 0;

  /** A reading; the same one again changes nothing. */
  take({ at, services }) {
    if (at === this.#at) return;
    this.#at = at;
    const before = this.#counted;
    this.#counted = new Map();
    this.#rates = new Map();
    for (const { instances, total } of services) {
      const since = instances.map(({ id, traffic }) => growth(before.get(id), traffic, at));
      // Of what is left out nothing is known, and then not what a part is of the whole.
      const isWhole = instances.length === total && !since.includes(null);
      const all = isWhole ? since.reduce((sum, { requests }) => sum + requests, 0) : null;
      for (const [index, { id, traffic }] of instances.entries()) {
        this.#counted.set(id, { ...traffic, at });
        if (since[index] !== null) this.#rates.set(id, ratesOf(since[index], all));
      }
    }
  }

  /** Each null where it is not known. */
  of(id) {
    return this.#rates.get(id) ?? NONE;
  }
}

const NONE = { perSecond: null, share: null, errors: null, meanMs: null };

/** Null: there is nothing to compare with. */
function growth(before, traffic, at) {
  if (before === undefined || at <= before.at) return null;
  const requests = traffic.requests - before.requests;
  const errors = traffic.errors - before.errors;
  const took = traffic.seconds - before.seconds;
  // A count that fell began anew.
  if (requests < 0 || errors < 0 || took < 0) return null;
  return { requests, errors, took, seconds: (at - before.at) / 1000 };
}

function ratesOf({ requests, errors, took, seconds }, all) {
  const perSecond = requests / seconds;
  if (requests === 0) return { ...NONE, perSecond };
  return {
    perSecond,
    share: all === null ? null : (100 * requests) / all,
    errors: (100 * errors) / requests,
    meanMs: (1000 * took) / requests,
  };
}
