/**
 * `cors`: which pages of other sites may read this route's responses (WHATWG Fetch §3.2). It informs browsers and does
 * not guard: a client that is no browser is not stopped by it, which is what `auth` is for. Responses to preflights are
 * made here, before authentication, because preflights never carry credentials. Every other response, also a refusal of
 * the gateway, gets its fields in `responseHead`; CORS fields of the service are replaced, so that no two contradict.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { FieldBlock, NO_FIELDS } from '../contract/field-block.ts';
import { FieldNames } from '../contract/field-names.ts';
import { definePolicy, type PolicyContext, type Reply } from '../contract/policy.ts';

export interface CorsSettings {
  /** `*`, exact origins such as `https://app.example`, or with one leading wildcard label: `https://*.example`. */
  readonly allowedSites: readonly string[];
  /** Upper case; `*` allows any (never together with credentials). */
  readonly methods: readonly string[];
  /** Lower case; `*` allows any (never together with credentials, and never `authorization`). */
  readonly headers: readonly string[];
  readonly exposedHeaders: readonly string[];
  readonly credentials: boolean;
  /** How long a browser may remember a preflight, seconds; 0 sends nothing. */
  readonly maxAgeSeconds: number;
  /** Answer `Access-Control-Request-Private-Network` with yes. */
  readonly privateNetwork: boolean;
  /** Refuse requests of browsers on other sites with 403 instead of only not sharing the response. */
  readonly refuseOthers: boolean;
}

/** Fields of a response that only this policy may write. */
const CORS_FIELDS = new FieldNames([
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-max-age',
]);
const VARY_ORIGIN = new FieldBlock(['Vary'], ['Origin']);

export const cors = definePolicy<CorsSettings>({
  name: 'cors',
  phases: ['authenticate', 'responseHead'],
  create(settings) {
    const allows = siteTest(settings.allowedSites);
    const anySite = settings.allowedSites.includes('*') && !settings.credentials;
    const exposed = settings.exposedHeaders.join(', ');
    const preflights = new Preflights(settings, anySite);
    const shared = new SharedFields(settings, exposed);
    const otherSite = new Fault(FAULTS.insufficientPermissions, { cause: 'cors' });

    return {
      preflight: (exchange) => preflights.answer(exchange, allows),

      ...(settings.refuseOthers && {
        authenticate: (exchange) => {
          const site = exchange.header('origin');
          const own = site === null || site.slice(site.indexOf('://') + 3) === exchange.header('host');
          return own || allows(site) ? undefined : otherSite;
        },
      }),

      refusalFields: (origin) => {
        const fields: Record<string, string> = anySite ? {} : { Vary: 'Origin' };
        if (anySite) fields['Access-Control-Allow-Origin'] = '*';
        else if (origin === null || !allows(origin)) return fields;
        else fields['Access-Control-Allow-Origin'] = origin;
        if (settings.credentials) fields['Access-Control-Allow-Credentials'] = 'true';
        if (exposed !== '') fields['Access-Control-Expose-Headers'] = exposed;
        return fields;
      },

      responseHead: (exchange) => {
        // The response to a preflight was made above, whole.
        if (isPreflight(exchange)) return;
        exchange.removeServiceFields(CORS_FIELDS);
        // A cache must not give one site's response to another (Fetch §3.2.5), nor the response made without one.
        if (!anySite) addVary(exchange);
        const site = anySite ? '*' : exchange.header('origin');
        if (site !== null && allows(site)) exchange.setResponseFields(shared.of(site));
      },
    };
  },
});

/** The fields that share a response with one site; most callers of a route are pages of one. */
class SharedFields {
  readonly #constant: readonly (readonly [name: string, value: string])[];
  #site = '';
  #fields = NO_FIELDS;

  constructor({ credentials }: CorsSettings, exposed: string) {
    this.#constant = [
      ...(credentials ? [['Access-Control-Allow-Credentials', 'true'] as const] : []),
      ...(exposed === '' ? [] : [['Access-Control-Expose-Headers', exposed] as const]),
    ];
  }

  of(site: string): FieldBlock {
    if (site !== this.#site) {
      this.#fields = FieldBlock.of([['Access-Control-Allow-Origin', site], ...this.#constant]);
      this.#site = site;
    }
    return this.#fields;
  }
}

/** Fetch §3.2.2: OPTIONS with both fields; nothing else is one. */
function isPreflight(exchange: PolicyContext): boolean {
  return (
    exchange.method === 'OPTIONS' &&
    exchange.header('access-control-request-method') !== null &&
    exchange.header('origin') !== null
  );
}

/** `Vary: Origin`, unless the upstream says it or `*` already. */
function addVary(exchange: PolicyContext): void {
  const vary = exchange.responseHeader('vary');
  if (vary !== null && (vary === '*' || /(?:^|,)\s*origin\s*(?:,|$)/i.test(vary))) return;
  exchange.addResponseFields(VARY_ORIGIN);
}

/** Origins compare as bytes: browsers send them in one spelling (RFC 6454 §6.2). */
function siteTest(sites: readonly string[]): (site: string) => boolean {
  if (sites.includes('*')) return () => true;
  const exact = new Set(sites.filter((site) => !site.includes('*')));
  const wild = sites.filter((site) => site.includes('*')).map((site) => site.split('*') as [string, string]);
  return (site) => {
    if (exact.has(site)) return true;
    for (const [before, after] of wild) {
      if (site.length <= before.length + after.length || !site.startsWith(before) || !site.endsWith(after)) continue;
      const labels = site.slice(before.length, site.length - after.length);
      // `*` stands for whole labels, so neither a port nor user info can hide in it.
      if (/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(labels)) return true;
    }
    return false;
  };
}

const REQUESTED = 'Access-Control-Request-Method, Access-Control-Request-Headers';
/** RFC 9110 §5.6.2, what a browser could list as header names. */
const NAME_LIST = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:\s*,\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*$/;

/** Answers to preflights: always 204, and what is not allowed is simply not said, as the browser expects. */
class Preflights {
  readonly #settings: CorsSettings;
  readonly #anySite: boolean;
  readonly #methods: string;
  readonly #vary: string;

  constructor(settings: CorsSettings, anySite: boolean) {
    this.#settings = settings;
    this.#anySite = anySite;
    this.#methods = settings.methods.join(', ');
    this.#vary = anySite ? REQUESTED : `Origin, ${REQUESTED}`;
  }

  answer(exchange: PolicyContext, allows: (site: string) => boolean): Reply {
    const headers: Record<string, string> = {};
    // A preflight that shares nothing says so with no CORS field at all.
    const site = exchange.header('origin');
    if (site !== null && allows(site)) this.#grant(exchange, site, headers);
    headers['Vary'] = this.#vary;
    return { status: 204, headers, body: '' };
  }

  #grant(exchange: PolicyContext, site: string, headers: Record<string, string>): void {
    const { credentials, maxAgeSeconds, methods, privateNetwork } = this.#settings;
    headers['Access-Control-Allow-Origin'] = this.#anySite ? '*' : site;
    if (credentials) headers['Access-Control-Allow-Credentials'] = 'true';
    const method = exchange.header('access-control-request-method');
    // `*` is a name, not a wildcard, in requests with credentials (Fetch §3.2.3), so what was asked for is echoed.
    headers['Access-Control-Allow-Methods'] = methods.includes('*') ? (method ?? '*') : this.#methods;
    const names = this.#allowedNames(exchange.header('access-control-request-headers'));
    if (names !== '') headers['Access-Control-Allow-Headers'] = names;
    if (maxAgeSeconds > 0) headers['Access-Control-Max-Age'] = String(maxAgeSeconds);
    if (privateNetwork && exchange.header('access-control-request-private-network') === 'true') {
      headers['Access-Control-Allow-Private-Network'] = 'true';
    }
  }

  #allowedNames(requested: string | null): string {
    const allowed = this.#settings.headers;
    if (!allowed.includes('*')) return allowed.join(', ');
    if (requested === null || requested.length > 1_024 || !NAME_LIST.test(requested)) return '';
    // Fetch §4.8: `authorization` must be named by the server on purpose, never by a wildcard.
    const names = requested.split(',').map((name) => name.trim().toLowerCase());
    return names.filter((name) => name !== 'authorization' || allowed.includes(name)).join(', ');
  }
}
