/**
 * Compares candidates with one request and keeps the best. One object per router, used again for each request; it is
 * not re-entrant, which is safe because a match never waits. When nothing matched, the same walk is done once more as
 * a survey, to tell 405 and 406 from 404.
 */
import { type Candidate, matchesRegex, takesMethod } from './candidate.ts';
import { headersPass, queryPasses } from './field-tests.ts';
import type { RouterRequest } from './match-result.ts';
import { NO_RANK, type Visitor } from './path-table.ts';
import { FULL_QUALITY, VersionReader } from './requested-version.ts';

const NOBODY: RouterRequest = { method: '', host: '', path: '', query: '', header: () => null };
const CUSTOMARY = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

export class Search implements Visitor {
  /** Rank of `found`, or `NO_RANK`. Nothing that ranks lower can matter any more. */
  best = NO_RANK;
  found: Candidate | null = null;
  readonly #versions = new VersionReader();
  #request = NOBODY;
  #path = '';
  #survey: Survey | null = null;

  /** `path` is the reading to match, which may differ from the request's. */
  begin(request: RouterRequest, path: string): void {
    this.#request = request;
    this.#path = path;
    this.#survey = null;
    this.best = NO_RANK;
    this.found = null;
  }

  beginSurvey(): Survey {
    this.#survey = {
      allowed: new Set(),
      allowedInOtherVersions: new Set(),
      versionMissed: false,
      versionExists: false,
    };
    this.best = NO_RANK;
    return this.#survey;
  }

  /** Drops the request. */
  end(): void {
    this.#request = NOBODY;
    this.#path = '';
    this.#survey = null;
    this.found = null;
  }

  /** Candidates of one pattern, or all regular expressions of one host, by rank. */
  consider(candidates: readonly Candidate[]): void {
    if (this.#survey !== null) {
      this.#look(candidates, this.#survey);
      return;
    }
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!;
      if (candidate.rank >= this.best) return;
      const quality = this.#quality(candidate);
      if (quality === 0) continue;
      this.#keep(quality === FULL_QUALITY ? candidate : this.#preferred(candidates, i, quality));
      return;
    }
  }

  #keep(candidate: Candidate): void {
    this.found = candidate;
    this.best = candidate.rank;
  }

  /** Among neighbours that only the version tells apart, the one that the caller likes best; the first of equals. */
  #preferred(candidates: readonly Candidate[], first: number, quality: number): Candidate {
    let preferred = candidates[first]!;
    let most = quality;
    for (let i = first + 1; i < candidates.length && most < FULL_QUALITY; i++) {
      const candidate = candidates[i]!;
      if (candidate.group !== preferred.group) break;
      const other = this.#quality(candidate);
      if (other > most) {
        preferred = candidate;
        most = other;
      }
    }
    return preferred;
  }

  /** 0: does not match. */
  #quality(candidate: Candidate): number {
    if (!takesMethod(candidate, this.#request.method) || !this.#conditionsHold(candidate)) return 0;
    return candidate.version === null ? FULL_QUALITY : this.#versions.quality(candidate.version, this.#request);
  }

  #conditionsHold(candidate: Candidate): boolean {
    return (
      matchesRegex(candidate, this.#path) &&
      (candidate.headers.length === 0 || headersPass(candidate.headers, this.#request)) &&
      (candidate.query.length === 0 || queryPasses(candidate.query, this.#request.query))
    );
  }

  #look(candidates: readonly Candidate[], survey: Survey): void {
    for (const candidate of candidates) {
      if (!this.#conditionsHold(candidate)) continue;
      const versionFits = candidate.version === null || this.#versions.quality(candidate.version, this.#request) > 0;
      if (takesMethod(candidate, this.#request.method)) survey.versionMissed ||= !versionFits;
      else {
        const allowed = versionFits ? survey.allowed : survey.allowedInOtherVersions;
        survey.versionExists ||= versionFits && candidate.version !== null;
        for (const method of candidate.methods ?? []) allowed.add(method);
      }
    }
  }
}

/** What there is for a path, although not for the request. */
export interface Survey {
  /** Methods in the version that the request names, or without version. */
  readonly allowed: Set<string>;
  readonly allowedInOtherVersions: Set<string>;
  /** The method fits and the version does not. */
  versionMissed: boolean;
  /**
   * The version that the request names, or the default, is there for other methods. Routes without version do not
   * count.
   */
  versionExists: boolean;
}

/** `Allow` (RFC 9110 §10.2.1), the customary methods first, so that the same path always gives the same text. */
export function allowText(methods: ReadonlySet<string>): string {
  const others = [...methods].filter((method) => !CUSTOMARY.includes(method)).sort();
  return [...CUSTOMARY.filter((method) => methods.has(method)), ...others].join(', ');
}
