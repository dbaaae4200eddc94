/**
 * A user's own TypeScript function as the last word of `authorize`. Loaded once per version of its file and worker; a
 * file that cannot be loaded, a throw, or an answer that is none closes the route and is logged, it never opens it. The
 * function runs on the worker's event loop, so a slow one slows everything: it is bounded in time, not in processor.
 */

import { pathToFileURL } from 'node:url';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { hookUserModules } from '../../../base/own-modules.ts';
import { systemTimers } from '../../../base/system-timers.ts';
import type { PolicyContext } from '../../contract/policy.ts';

/** What the function sees. */
export type AuthorizeRequest = Pick<
  PolicyContext,
  | 'requestId'
  | 'routeId'
  | 'method'
  | 'path'
  | 'query'
  | 'host'
  | 'scheme'
  | 'address'
  | 'params'
  | 'header'
  | 'cookie'
  | 'contentLength'
  | 'identity'
  | 'clientCertificate'
>;

/** `true` lets the request on, `false` is 403, `'not-found'` is the 404 of a resource that is not there. */
export type AuthorizeDecision = boolean | 'not-found';

export type AuthorizeFunction = (request: AuthorizeRequest) => AuthorizeDecision | Promise<AuthorizeDecision>;

/** Types a function for `authorize.function`: `export default defineAuthorizer((request) => ...)`. */
export function defineAuthorizer(decide: AuthorizeFunction): AuthorizeFunction {
  return decide;
}

export interface AuthorizerFile {
  /** Absolute path of a module whose default export is an `AuthorizeFunction`. */
  readonly file: string;
  /** Changes with the file's text: a reload loads a changed file anew. Modules it imports are loaded once. */
  readonly version: string;
  readonly timeoutMs: number;
}

export type Decided = AuthorizeDecision | 'failed';

export class Authorizer {
  readonly #settings: AuthorizerFile;
  readonly #log: Logger;
  #decide: AuthorizeFunction | null = null;
  readonly #loading: Promise<AuthorizeFunction | null>;

  constructor(settings: AuthorizerFile, log: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.#loading = this.#load();
  }

  /** Never rejects. */
  decide(request: AuthorizeRequest): Decided | Promise<Decided> {
    if (this.#decide === null)
      return this.#loading.then((decide) => (decide === null ? 'failed' : this.#run(decide, request)));
    return this.#run(this.#decide, request);
  }

  #run(decide: AuthorizeFunction, request: AuthorizeRequest): Decided | Promise<Decided> {
    try {
      const decision = decide(request);
      if (!(decision instanceof Promise)) return this.#checked(decision);
      return this.#inTime(decision);
    } catch (error) {
      return this.#failed(messageOf(error));
    }
  }

  #inTime(decision: Promise<AuthorizeDecision>): Promise<Decided> {
    return new Promise((resolve) => {
      const { timeoutMs } = this.#settings;
      const cancel = systemTimers.after(timeoutMs, () => resolve(this.#failed(`no decision within ${timeoutMs} ms`)));
      decision
        .then(
          (late) => resolve(this.#checked(late)),
          (error: unknown) => resolve(this.#failed(messageOf(error))),
        )
        .finally(cancel);
    });
  }

  #checked(decision: unknown): Decided {
    if (typeof decision === 'boolean' || decision === 'not-found') return decision;
    return this.#failed(`the function must return true, false or 'not-found', not ${typeof decision}`);
  }

  #failed(problem: string): 'failed' {
    this.#log.error('an authorize function failed', { file: this.#settings.file, problem });
    return 'failed';
  }

  async #load(): Promise<AuthorizeFunction | null> {
    const { file, version } = this.#settings;
    try {
      hookUserModules();
      const module = (await import(`${pathToFileURL(file).href}?v=${version}`)) as { readonly default?: unknown };
      if (typeof module.default !== 'function') throw new TypeError('the default export is no function');
      this.#decide = module.default as AuthorizeFunction;
    } catch (error) {
      this.#failed(messageOf(error));
    }
    return this.#decide;
  }
}
