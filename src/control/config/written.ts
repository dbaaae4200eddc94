/**
 * Written by tools/generate-reference.ts from the schema: change that. What a configuration may say, as it is written;
 * `N` are the names that a document gives. The types that people use are in define.ts.
 */

/** Names that a document gives, and its other keys refer to. */
export interface Names {
  readonly services: string;
  readonly issuers: string;
}

type Issuers = {
  /** Value of `iss`, compared exactly; several have the same keys, and then `jwks` says where those are. `{tid}` in it stands for the claim of that name, as providers with many tenants have it: `https://login.microsoftonline.com/{tid}/v2.0`. May be absent only with `secret`: then it takes tokens of no other issuer. Values: text, or list of text (at most 20). */
  readonly issuer?: string | readonly string[] | undefined;
  /** Values of the claim in `issuer` that count. `any` takes tokens of every tenant of the provider, so of anybody who makes one there: allowed, but say so. Must be given with a claim in `issuer`. Values: `any`, or text, or list of text (at most 1000). */
  readonly tenants?: 'any' | string | readonly string[] | undefined;
  /** Values of `aud` of which a token must have one. `any` takes every token of the issuer, also those made for others: allowed, but say so. Must be given unless the issuer is a `secret`. Values: `any`, or text, or list of text (at most 20). */
  readonly audience?: 'any' | string | readonly string[] | undefined;
  /** Its keys: the URL of a JWK set, a file with one, or the set itself. Default: what the metadata of `issuer` names. */
  readonly jwks?: string | {
    /** The keys. */
    readonly keys: readonly Readonly<Record<string, unknown>>[];
  } | undefined;
  /** Its key instead: a public key or certificate in PEM, or a file with one. */
  readonly publicKey?: string | undefined;
  /** Its key instead: a secret of 32 bytes or more that it shares with the gateway (HS256). */
  readonly secret?: string | undefined;
  /** `kid` that tokens under `secret` or `publicKey` must have. Default: any. */
  readonly keyId?: string | undefined;
  /** Signature algorithms that count. Default: HS256 with `secret`, all that have a public key without. Values: list of `ES256`, `ES384`, `ES512`, `EdDSA`, `Ed25519`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `HS256`, `HS384`, `HS512`. */
  readonly algorithms?: readonly ('ES256' | 'ES384' | 'ES512' | 'EdDSA' | 'Ed25519' | 'RS256' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512' | 'HS256' | 'HS384' | 'HS512')[] | undefined;
  /** Values of `typ` that count, in any case; `absent` for tokens without one. `[at+jwt]` takes RFC 9068 access tokens only. Default: `at+jwt`, `JWT`, `absent`. */
  readonly types?: readonly string[] | undefined;
  /** How far the clocks may differ. Values: duration (at most 5m). Default: `5s`. */
  readonly leeway?: string | number | undefined;
  /** Greatest age of a token since `iat`, whatever its `exp` says. Values: duration (at least 1s), or `off`. Default: `off`. */
  readonly maxAge?: string | number | undefined;
  /** Claims that hold what the gateway needs, in order of preference. A name with dots is looked for whole, then a dot goes one level down. Default: its defaults. */
  readonly claims?: {
    /** Who it is. Default: `sub`. Values: text, or list of text (at most 10). */
    readonly subject?: string | readonly string[] | undefined;
    /** Its roles: a list, or one text that is one role, such as `realm_access.roles`. Default: `roles`, then `role`. Values: text, or list of text (at most 10). */
    readonly roles?: string | readonly string[] | undefined;
    /** Its scopes, a list or words in one text. Default: `scope`, then `scp`, then `scopes`. Values: text, or list of text (at most 10). */
    readonly scopes?: string | readonly string[] | undefined;
    /** Its plan, for limits. Default: `plan`, then `tier`, then `rate_limit_tier`. Values: text, or list of text (at most 10). */
    readonly plan?: string | readonly string[] | undefined;
  } | undefined;
  /** How often published keys are fetched, in the background. Values: duration (at least 10s). Default: `10m`. */
  readonly refreshInterval?: string | number | undefined;
  /** How long fetched keys count when the issuer stays out of reach. Values: duration (at least 1m). Default: `1d`. */
  readonly maxStale?: string | number | undefined;
  /** Least time between two fetches that tokens with unknown key ids cause. Values: duration (at least 1s). Default: `30s`. */
  readonly refreshCooldown?: string | number | undefined;
  /** Longest time for one fetch of keys. Values: duration (at least 100ms, at most 1m). Default: `5s`. */
  readonly fetchTimeout?: string | number | undefined;
};

type From = readonly ('authorization' | {
  /** Field that holds the bare token. */
  readonly header: string;
} | {
  /** Cookie that holds the token. */
  readonly cookie: string;
  /** Other sites whose pages may change something with this cookie. The own site always may. Values: text, or list of text (at most 200). */
  readonly trustedSites?: string | readonly string[] | undefined;
})[];

type Roles = string | readonly string[];

type Auth<N extends Names> = 'public' | {
  /** JSON Web Tokens, verified in the worker. */
  readonly jwt?: {
    /** Whose tokens count: names from `issuers` at the top, `identity`, or issuers written here. Default: all that there are. */
    readonly issuers?: readonly (N['issuers'] | 'identity' | Issuers)[] | undefined;
    /** Values of `aud` of which a token must have one, instead of what its issuer says. Values: text, or list of text (at most 20). */
    readonly audience?: string | readonly string[] | undefined;
    /** Where the token is, in order: `authorization` (Bearer), `{ header: name }`, `{ cookie: name }`. Default: [authorization], and the session cookie with `identity.cookies`. */
    readonly from?: From | undefined;
    /** Longest token; a longer one is refused unread. Values: size (at least 256b, at most 16kb). Default: `8kb`. */
    readonly maxTokenSize?: string | number | undefined;
    /** How long an answer counts, at most 30 s; `off` asks every time. Values: duration (at most 30s), or `off`. Default: `30s`. */
    readonly cacheTtl?: string | number | undefined;
    /** Answers kept in each worker; 0 keeps none. Values: whole number, 0 to 1000000. Default: `20000`. */
    readonly cacheEntries?: number | undefined;
  } | undefined;
  /** Opaque tokens, asked for at their issuer. Beside `jwt` it judges what is no JWT of a known issuer. */
  readonly introspect?: {
    /** Introspection endpoint of the issuer (RFC 7662). */
    readonly url: string;
    /** Name of the gateway at the endpoint. */
    readonly clientId?: string | undefined;
    /** Its password there. */
    readonly clientSecret?: string | undefined;
    /** How name and password are sent. Values: `basic`, `post`. Default: `basic`. */
    readonly clientAuth?: 'basic' | 'post' | undefined;
    /** A bearer token for the endpoint, instead of name and password. */
    readonly token?: string | undefined;
    /** Values of `aud` of which a token must have one. Default: any. Values: text, or list of text (at most 20). */
    readonly audience?: string | readonly string[] | undefined;
    /** Where the token is, in order: `authorization` (Bearer), `{ header: name }`, `{ cookie: name }`. Default: [authorization], and the session cookie with `identity.cookies`. */
    readonly from?: From | undefined;
    /** Longest token; a longer one is refused unread. Values: size (at least 256b, at most 16kb). Default: `8kb`. */
    readonly maxTokenSize?: string | number | undefined;
    /** Longest wait for an answer; then 503. Values: duration (at least 50ms, at most 1m). Default: `2s`. */
    readonly timeout?: string | number | undefined;
    /** How long an answer counts, at most 30 s; `off` asks every time. Values: duration (at most 30s), or `off`. Default: `10s`. */
    readonly cacheTtl?: string | number | undefined;
    /** Answers kept in each worker; 0 keeps none. Values: whole number, 0 to 1000000. Default: `10000`. */
    readonly cacheEntries?: number | undefined;
  } | undefined;
  /** API keys in `X-API-Key`: of the environment (`API_KEY_1="key:user:scope,scope:plan"`), of the identity service, or written here. */
  readonly apiKey?: {
    /** Field that holds the key. Default: `X-API-Key`. */
    readonly header?: string | undefined;
    /** Query parameter that may hold the key too. Security: queries end up in logs and browser histories. Default: none. */
    readonly query?: string | undefined;
    /** Keys beside API_KEY_n of the environment and those of the identity service. */
    readonly keys?: readonly ({
      /** The key itself, at least 16 characters. Only its digest is kept. Values: secret text, at least 16 characters. */
      readonly key: string;
      /** Whose key it is. */
      readonly subject: string;
      /** Roles of who has it. Default: none. Values: text, or list of text (at most 200). */
      readonly roles?: string | readonly string[] | undefined;
      /** Scopes of who has it. Default: none. Values: text, or list of text (at most 200). */
      readonly scopes?: string | readonly string[] | undefined;
      /** Plan, for limits. Default: none. */
      readonly plan?: string | undefined;
    })[] | undefined;
    /** Longest wait for the identity service; then 503. Values: duration (at least 50ms, at most 1m). Default: `2s`. */
    readonly timeout?: string | number | undefined;
    /** How long an answer counts, at most 30 s; `off` asks every time. Values: duration (at most 30s), or `off`. Default: `10s`. */
    readonly cacheTtl?: string | number | undefined;
    /** How long a bad key is known to be bad. Values: duration (at most 30s), or `off`. Default: `5s`. */
    readonly refusedCacheTtl?: string | number | undefined;
    /** Answers kept in each worker; 0 keeps none. Values: whole number, 0 to 1000000. Default: `10000`. */
    readonly cacheEntries?: number | undefined;
  } | undefined;
  /** Name and password (RFC 7617) from a file, for small setups. */
  readonly basic?: {
    /** File with one user a line, `name:hash roles=a,b scopes=c plan=d`; hashes are argon2id or scrypt (PHC). */
    readonly users: string;
    /** How long an answer counts, at most 30 s; `off` asks every time. Values: duration (at most 30s), or `off`. Default: `30s`. */
    readonly cacheTtl?: string | number | undefined;
    /** Answers kept in each worker; 0 keeps none. Values: whole number, 0 to 1000000. Default: `1000`. */
    readonly cacheEntries?: number | undefined;
  } | undefined;
  /** Client certificates. The listener must ask for them (`tls.clientCertificate`). */
  readonly mtls?: {
    /** Which certificates may call and as whom; the first rule that agrees counts. Default: all that chain to `clientCa`, by their common name. */
    readonly certificates?: readonly ({
      /** Attributes of its subject, such as `{ CN: billing, O: Example }`; all must agree. */
      readonly subject?: { readonly [name: string]: string } | undefined;
      /** SHA-256 of the certificate, of which one must agree. Values: text, or list of text (at most 200). */
      readonly fingerprint?: string | readonly string[] | undefined;
      /** Alternative names of which the certificate must have one, such as `URI:spiffe://example/billing`. Values: text, or list of text (at most 200). */
      readonly san?: string | readonly string[] | undefined;
      /** Who the caller then is: its common name, its whole subject, its fingerprint, or `{ name: ... }`. Default: `cn`. */
      readonly as?: 'cn' | 'subject' | 'fingerprint' | {
        /** The name itself. */
        readonly name: string;
      } | undefined;
      /** Roles of the caller. Default: none. Values: text, or list of text (at most 200). */
      readonly roles?: string | readonly string[] | undefined;
      /** Scopes of the caller. Default: none. Values: text, or list of text (at most 200). */
      readonly scopes?: string | readonly string[] | undefined;
      /** Plan, for limits. Default: none. */
      readonly plan?: string | undefined;
    })[] | undefined;
  } | undefined;
  /** An outside authorizer decides (forward authentication). */
  readonly external?: {
    /** The authorizer: it gets a GET with `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`. */
    readonly url: string;
    /** Request fields that it sees. Values: text, or list of text (at most 50). Default: `authorization`, `cookie`, `x-api-key`. */
    readonly sendHeaders?: string | readonly string[] | undefined;
    /** Fields of its answer that the service gets; copies that callers send are removed. Default: none. Values: text, or list of text (at most 50). */
    readonly copyHeaders?: string | readonly string[] | undefined;
    /** Field of its answer that says who the caller is, such as `Remote-User`. */
    readonly subject?: string | undefined;
    /** Field of its answer with the roles, separated by commas; a role may hold blanks. */
    readonly roles?: string | undefined;
    /** Field of its answer with the scopes, separated by blanks. */
    readonly scopes?: string | undefined;
    /** Whether the caller gets its own refusal (a redirect to a login page, for instance) instead of the gateway’s 401 or 403. Default: `false`. */
    readonly passRefusal?: boolean | undefined;
    /** Longest wait for an answer; then 503. Values: duration (at least 50ms, at most 1m). Default: `2s`. */
    readonly timeout?: string | number | undefined;
    /** How long an answer counts, at most 30 s; `off` asks every time. Values: duration (at most 30s), or `off`. Default: `off`. */
    readonly cacheTtl?: string | number | undefined;
    /** Answers kept in each worker; 0 keeps none. Values: whole number, 0 to 1000000. Default: `10000`. */
    readonly cacheEntries?: number | undefined;
  } | undefined;
  /** Whether a WebSocket or an event stream may come with a ticket of a route with the action `ticket` instead of a credential: `?ticket=...`. Only tickets of callers who came by the same methods count. Default: off. */
  readonly tickets?: 'off' | {
    /** Query parameter that holds the ticket; it is taken off before the service sees the query. Default: `ticket`. */
    readonly parameter?: string | undefined;
  } | undefined;
  /** With several methods: `any`, the first that finds a credential decides, in the order jwt, introspect, apiKey, basic, mtls, external; `all`, each must find a good one, and the first names the caller. Default: any. Values: `any`, `all`. */
  readonly mode?: 'any' | 'all' | undefined;
  /** Lets requests without any credential pass, without an identity. A bad credential is always refused. Default: false. */
  readonly optional?: boolean | undefined;
  /** Scopes that the caller must have, all of them. Values: text, or list of text (at most 200). */
  readonly scopes?: string | readonly string[] | undefined;
  /** Roles of which the caller must have one. Values: text, or list of text (at most 200). */
  readonly roles?: Roles | undefined;
  /** Whether the caller must have shown a second factor (`mfa_verified`, or `mfa` in `amr`). Default: true for tokens when `identity.mfa.required` or REQUIRE_MFA is set. */
  readonly mfa?: boolean | undefined;
  /** Longest time since the caller last signed in (`auth_time`); later is answered with 401 as RFC 9470 says. Default: off. Values: duration (at least 1s), or `off`. */
  readonly maxAuthAge?: string | number | undefined;
  /** Name of what is protected, in `WWW-Authenticate`. Default: gatehouse. */
  readonly realm?: string | undefined;
  /** How the identity reaches the service: `plain`, as `X-Auth-Subject`, `-Roles`, `-Scopes`, `-Plan` and `-Method`; `none`; or `{ signed: ... }`, for services that others than the gateway can reach. Copies that callers send are always removed. Default: plain. */
  readonly identity?: 'plain' | 'none' | {
    /** One signed field, `X-Auth-Identity`, which the service can verify. */
    readonly signed: {
      /** Signature. Values: `HS256`, `ES256`, `EdDSA`. Default: `HS256`. */
      readonly algorithm?: 'HS256' | 'ES256' | 'EdDSA' | undefined;
      /** For HS256: a secret of 32 bytes or more that the service knows too. Values: secret text, at least 32 characters. */
      readonly secret?: string | undefined;
      /** For ES256 and EdDSA: the private key in PEM, or a file with it. */
      readonly key?: string | undefined;
      /** `kid` of the header. Default: none. */
      readonly keyId?: string | undefined;
      /** `iss` of the header. Default: `gatehouse`. */
      readonly issuer?: string | undefined;
      /** `aud` of the header; empty for none. Default: empty. */
      readonly audience?: string | undefined;
      /** How long a service may believe one header. Values: duration (at least 1m, at most 1h). Default: `1m`. */
      readonly lifetime?: string | number | undefined;
    };
  } | undefined;
  /** Whether the field or cookie with the credential is kept from the service. Default: false. A key in the query is never hidden. */
  readonly hideCredentials?: boolean | undefined;
  /** How long a WebSocket, an event stream or a gRPC stream lasts at most: until its token or key expires, or until that is revoked (signing out, a new password). Either way revoking ends it at once. Default: untilExpiry. Values: `untilExpiry`, `untilRevoked`. */
  readonly streams?: 'untilExpiry' | 'untilRevoked' | undefined;
};

type Spans = {
  /** Days of the week. Default: all. Values: list of `sun`, `mon`, `tue`, `wed`, `thu`, `fri`, `sat`. */
  readonly days?: readonly ('sun' | 'mon' | 'tue' | 'wed' | 'thu' | 'fri' | 'sat')[] | undefined;
  /** From this time on. */
  readonly from: string;
  /** Up to this time; 24:00 is the end of the day. */
  readonly to: string;
};

type Authorize = {
  /** `user`: every authenticated caller. `admin`, `service`: callers with the role of this name. `public`: also anonymous callers. Values: `public`, `user`, `admin`, `service`. Default: `user`. */
  readonly level?: 'public' | 'user' | 'admin' | 'service' | undefined;
  /** Scopes that the caller must have, all of them. Values: text, or list of text (at most 200). */
  readonly scopes?: string | readonly string[] | undefined;
  /** Roles of which the caller must have one. Values: text, or list of text (at most 200). */
  readonly roles?: Roles | undefined;
  /** Whether the caller must have shown a second factor (`mfa_verified`, or `mfa` in `amr`). Default: true for tokens when `identity.mfa.required` or REQUIRE_MFA is set. */
  readonly mfa?: boolean | undefined;
  /** Longest time since the caller last signed in (`auth_time`); later is answered with 401 as RFC 9470 says. Default: off. Values: duration (at least 1s), or `off`. */
  readonly maxAuthAge?: string | number | undefined;
  /** Claims and the values of which each must have one, such as `{ tenant: acme, org.tier: [gold, silver] }`. A name with dots is looked for whole first. */
  readonly claims?: { readonly [name: string]: string | number | boolean | readonly (string | number | boolean)[] } | undefined;
  /** Whose resource it is: `params.userId == auth.sub`. When it is false the answer is 404, as for a resource that does not exist. */
  readonly owns?: string | undefined;
  /** Roles that need not own, such as admin. Default: none. Values: text, or list of text (at most 200). */
  readonly ownsExcept?: string | readonly string[] | undefined;
  /** Any other condition on the request and the caller; when it is false the answer is 403. */
  readonly when?: string | undefined;
  /** Least age in years, by the claims `age` or `age_band`. Default: any. Values: whole number, 0 to 150. */
  readonly minAge?: number | undefined;
  /** What `minAge` does with callers whose age is not known. A child is refused either way. Values: `refuse`, `allow`. Default: `refuse`. */
  readonly unknownAge?: 'refuse' | 'allow' | undefined;
  /** Age rating of what the route serves; refused when the claim `content_rating` is lower. Values: whole number, 0 to 21. */
  readonly rating?: number | undefined;
  /** Where the rating is, such as `query.rating`, when it is not the same for all. What has none counts as rated highest. */
  readonly ratingFrom?: string | undefined;
  /** Topics of what the route serves; refused when the claim `blocked_topics` has one of them. Values: text, or list of text (at most 200). */
  readonly topics?: string | readonly string[] | undefined;
  /** Where the topic is, such as `params.topic`. */
  readonly topicFrom?: string | undefined;
  /** Hours at which child accounts (or everybody) may call. The hours that a parent sets are in the child’s token itself. */
  readonly hours?: {
    /** Times of day at which callers may come. */
    readonly spans: Spans | readonly Spans[];
    /** Whose clock it is. Default: `UTC`. */
    readonly timeZone?: string | undefined;
    /** Child accounts only, or everybody. Values: `children`, `all`. Default: `children`. */
    readonly for?: 'children' | 'all' | undefined;
  } | undefined;
  /** A function of your own has the last word: `(request) => true | false | "not-found"`. */
  readonly function?: {
    /** Module whose default export decides, relative to the configuration file. It runs inside the gateway with all its rights. */
    readonly file: string;
    /** Longest wait for its decision; then 500. Values: duration (at least 1ms, at most 1m). Default: `1s`. */
    readonly timeout?: string | number | undefined;
  } | undefined;
};

type Cache = 'off' | {
  /** Who shares responses: `everyone`, the callers of one `plan`, or none: each `user` has its own responses, and `private` ones are stored too. Values: `everyone`, `user`, `plan`. Default: `everyone`. */
  readonly by?: 'everyone' | 'user' | 'plan' | undefined;
  /** What tells requests apart, beside scheme, host and path. Default: its defaults. */
  readonly key?: {
    /** What of the query counts: `all` of it as it stands, `{ only: [page] }` or `{ without: [utm_source] }`, where the order of parameters does not count either. Default: `all`. */
    readonly query?: 'all' | {
      /** Parameters that count; all others are ignored. Values: list of text (at most 100). */
      readonly only: readonly string[];
    } | {
      /** Parameters that are ignored. Values: list of text (at most 100). */
      readonly without: readonly string[];
    } | undefined;
    /** Request fields that count beside those that `Vary` of the response names. Values: list of text (at most 20). Default: empty. */
    readonly headers?: readonly string[] | undefined;
    /** Cookies that count. Values: list of text (at most 20). Default: empty. */
    readonly cookies?: readonly string[] | undefined;
  } | undefined;
  /** How long responses are fresh that do not say so themselves, by status: `{ 200: 1m, 404: 10s }`. Default: they are not stored, or validated at each use if they have a validator. Default: its defaults. */
  readonly lifetimes?: { readonly [name: string]: string | number } | undefined;
  /** How long responses are fresh that say nothing and have no lifetime above: this share of the time between `Last-Modified` and `Date`, such as `10%`, a day at most (RFC 9111 §4.2.2). Default: no guesses. Values: `off`, or share (at least 0.1%, at most 100%). Default: `off`. */
  readonly heuristics?: 'off' | string | number | undefined;
  /** A response that has been stale for less than this is sent at once and refreshed beside, if it does not say otherwise (RFC 5861). Default: `0s`. */
  readonly staleWhileRevalidate?: string | number | undefined;
  /** A response that has been stale for less than this is sent when the service fails, if it does not say otherwise (RFC 5861). Default: `0s`. */
  readonly staleIfError?: string | number | undefined;
  /** Largest body that is stored; never more than an eighth of `stores.cacheMemory`. Values: size (at least 1kb, at most 1gb). Default: `8mb`. */
  readonly maxObjectSize?: string | number | undefined;
  /** Response fields that replace `Cache-Control` and `Expires` for this cache; the first that is valid holds (RFC 9213). Values: list of text (at most 10). Default: `Gatehouse-Cache-Control`, `CDN-Cache-Control`. */
  readonly targetedFields?: readonly string[] | undefined;
  /** `ignore`: `Cache-Control` of requests changes nothing, so that clients cannot make the service work. RFC 9111 §5.2.1 wants `obey`. Values: `obey`, `ignore`. Default: `obey`. */
  readonly requestDirectives?: 'obey' | 'ignore' | undefined;
  /** `store`: responses with `Set-Cookie` are stored and the cookie is given to everyone who gets them. Security: a session cookie in one makes all of them one user. Values: `refuse`, `store`. Default: `refuse`. */
  readonly setCookie?: 'refuse' | 'store' | undefined;
  /** Says in the field `Cache-Status` how the cache handled the request (RFC 9211). Default: `true`. */
  readonly cacheStatus?: boolean | undefined;
  /** How long a request waits for another that fetches the same; `0s`: every one fetches for itself. Values: duration (at most 1m). Default: `10s`. */
  readonly wait?: string | number | undefined;
  /** `false`: requests that are answered from memory do not count in the limits and quotas of callers, and are answered when these are used up. Limits that are checked before authentication count all; `phase: limit` moves one behind it. Default: `true`. */
  readonly countHits?: boolean | undefined;
  /** `memory`: of this machine. `redis`: there too (`stores.redis`), so that all gateways share what one of them fetched; while Redis is away responses come from memory and the service. Values: `memory`, `redis`. Default: `memory`. */
  readonly store?: 'memory' | 'redis' | undefined;
  /** How long requests for a URL do not wait for each other after its response could not be stored. Values: duration (at most 1h). Default: `2m`. */
  readonly passFor?: string | number | undefined;
};

type Compression = {
  /** Codings that are offered. The client’s weights decide (`Accept-Encoding`); of those it likes equally the first. Values: list of `zstd`, `br`, `gzip` (at most 3). Default: `zstd`, `br`, `gzip`. */
  readonly codings?: readonly ('zstd' | 'br' | 'gzip')[] | undefined;
  /** Content types that are packed, such as `text/*` or `application/*+json`. Values: list of text (at most 100). Default: `text/*`, `application/json`, `application/*+json`, `application/x-ndjson`, `application/javascript`, `application/xml`, `application/*+xml`, `application/wasm`, `application/yaml`, `image/svg+xml`, `font/ttf`, `font/otf`. */
  readonly types?: readonly string[] | undefined;
  /** A body that is known to be shorter stays as it is. Values: size (at most 1gb). Default: `1kb`. */
  readonly minSize?: string | number | undefined;
  /** Effort of gzip: 1 is fastest, 9 smallest. Values: whole number, 1 to 9. Default: `6`. */
  readonly gzipLevel?: number | undefined;
  /** Effort of br: 0 is fastest, 11 smallest and very slow. Values: whole number, 0 to 11. Default: `4`. */
  readonly brotliLevel?: number | undefined;
  /** Effort of zstd: 1 is fastest, 15 smallest. Values: whole number, 1 to 15. Default: `3`. */
  readonly zstdLevel?: number | undefined;
};

type Cors = {
  /** Sites whose pages may read answers: origins such as `https://app.example.com`, `https://*.example.com` for all hosts below, or `*` for all. Values: `*`, or text, or list of `*`, or text (at most 1000). */
  readonly origins: '*' | (string & {}) | readonly ('*' | (string & {}))[];
  /** Methods that they may use; `*` for all. Values: `*`, or text, or list of `*`, or text (at most 50). Default: `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`. */
  readonly methods?: '*' | (string & {}) | readonly ('*' | (string & {}))[] | undefined;
  /** Request fields that they may send; `*` for all but `Authorization`, which must be named. Values: `*`, or text, or list of `*`, or text (at most 200). Default: `authorization`, `content-type`, `x-api-key`, `x-request-id`. */
  readonly headers?: '*' | (string & {}) | readonly ('*' | (string & {}))[] | undefined;
  /** Fields of answers that their scripts may read. Values: text, or list of text (at most 200). Default: `X-Request-ID`, `RateLimit`, `RateLimit-Policy`, `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset`, `Retry-After`. */
  readonly exposedHeaders?: string | readonly string[] | undefined;
  /** Whether cookies and certificates count in their requests. Not with `origins: "*"`. Default: `false`. */
  readonly credentials?: boolean | undefined;
  /** How long browsers may remember a preflight, at most a day. Values: duration (at most 1d), or `off`. Default: `10m`. */
  readonly maxAge?: string | number | undefined;
  /** Whether public sites may reach this gateway in a private network. Default: `false`. */
  readonly privateNetwork?: boolean | undefined;
  /** Refuses requests of browsers on other sites with 403, WebSockets too, instead of only not sharing the answer. Default: `false`. */
  readonly refuseOthers?: boolean | undefined;
};

type Decompression = {
  /** Codings that are unpacked; a body with another one is 415. Values: list of `zstd`, `br`, `gzip`, `deflate` (at most 4). Default: `zstd`, `br`, `gzip`, `deflate`. */
  readonly codings?: readonly ('zstd' | 'br' | 'gzip' | 'deflate')[] | undefined;
  /** Largest body, unpacked; beyond it is 413. `maxRequestSize` bounds the packed one. Values: size (at least 1b). Default: `10mb`. */
  readonly maxSize?: string | number | undefined;
  /** How many times as long as the packed body the unpacked one may be (from 64 KB on); beyond it is 413. Values: whole number, 2 to 10000. Default: `100`. */
  readonly maxRatio?: number | undefined;
};

type Set = { readonly [name: string]: string };

type Add = { readonly [name: string]: string };

type Headers = {
  /** Changes of the request that the service gets. */
  readonly request?: {
    /** Old names and new ones; done first. Default: its defaults. */
    readonly rename?: { readonly [name: string]: string } | undefined;
    /** Fields that are taken out. Values: text, or list of text (at most 200). */
    readonly remove?: string | readonly string[] | undefined;
    /** Fields and their values, instead of all that are there. One whose placeholder has no value is taken out. Default: its defaults. */
    readonly set?: Set | undefined;
    /** Fields beside those that are there. Default: its defaults. */
    readonly add?: Add | undefined;
  } | undefined;
  /** Changes of the answer that the caller gets. */
  readonly response?: {
    /** Old names and new ones; done first. Default: its defaults. */
    readonly rename?: { readonly [name: string]: string } | undefined;
    /** Fields that are taken out. Values: text, or list of text (at most 200). */
    readonly remove?: string | readonly string[] | undefined;
    /** Fields and their values, instead of all that are there. One whose placeholder has no value is taken out. Default: its defaults. */
    readonly set?: Set | undefined;
    /** Fields beside those that are there. Default: its defaults. */
    readonly add?: Add | undefined;
  } | undefined;
};

type Hygiene = {
  /** Content types that a body may have, such as `application/json` or `image/*`; others are 415. Default: any. Values: list of text (at most 50). */
  readonly contentTypes?: readonly string[] | undefined;
  /** Most characters of the query, beyond which it is 414. 0, the default, leaves it to the limit of the head. Values: whole number, 0 to 65536. Default: `0`. */
  readonly maxQueryLength?: number | undefined;
  /** Most query parameters. 0, the default, is any. Values: whole number, 0 to 10000. Default: `0`. */
  readonly maxQueryParameters?: number | undefined;
  /** A query parameter that stands twice, which one service reads as the first and another as the last. Values: `pass`, `refuse`. Default: `pass`. */
  readonly duplicateParameters?: 'pass' | 'refuse' | undefined;
  /** Takes fields such as `Server` and `X-Powered-By` out of responses of services. Default: `false`. */
  readonly hideServer?: boolean | undefined;
};

type IpFilter = {
  /** Only these blocks or addresses may come: `[10.0.0.0/8, "2001:db8::/32"]`. Values: list of CIDR block (at most 100000). */
  readonly allow?: readonly string[] | undefined;
  /** These may not come, also if `allow` lists them. Values: list of CIDR block (at most 100000). */
  readonly deny?: readonly string[] | undefined;
  /** File with more of `allow`, one block or address a line; `#` begins a comment. Read again when it changes. */
  readonly allowFile?: string | undefined;
  /** File with more of `deny`. */
  readonly denyFile?: string | undefined;
};

type Limits2 = {
  /** Requests, or units of cost, per window. Values: whole number, 1 to 16000000. */
  readonly limit: number;
  /** Length of the window, up to 31 days. Values: duration (at least 100ms, at most 31d). */
  readonly window: string | number;
  /** `gcra` lets `burst` requests through at once and then one per window/limit; `sliding` counts the last window by the share that still overlaps; `fixed` starts anew at each full window of the day. Default: that of the block, then `gcra`. Values: `gcra`, `sliding`, `fixed`. */
  readonly algorithm?: 'gcra' | 'sliding' | 'fixed' | undefined;
  /** Requests at once, for `gcra`. Default: the limit. Values: whole number, 1 to 16000000. */
  readonly burst?: number | undefined;
};

type Limits = string | Limits2;

type RateLimit2 = {
  /** Whose counter a request goes to; several keys together make one. What a request lacks falls back: API key to user, user and header to address. IPv6 addresses count by /64. Default: `user` with `plan`, else `ip`. Values: `ip`, `user`, `apiKey`, `plan`, `method`, `route`, `service`, `all`, or text, or list of `ip`, `user`, `apiKey`, `plan`, `method`, `route`, `service`, `all`, or text (at most 4). */
  readonly by?: 'ip' | 'user' | 'apiKey' | 'plan' | 'method' | 'route' | 'service' | 'all' | (string & {}) | readonly ('ip' | 'user' | 'apiKey' | 'plan' | 'method' | 'route' | 'service' | 'all' | (string & {}))[] | undefined;
  /** Limits that all hold: `[60/1m, 1000/1h]`. */
  readonly limits?: readonly Limits[] | undefined;
  /** Also the limits of the caller’s plan (key `plans`), counted over all routes together. Default false. */
  readonly plan?: boolean | undefined;
  /** One limit in the form of other gateways: requests per `windowMs`. Default 1000 when `windowMs` is given. Values: whole number, 1 to 16000000. */
  readonly max?: number | undefined;
  /** The window of `max`. Default 15 minutes when `max` is given. Values: duration (at least 100ms, at most 31d). */
  readonly windowMs?: string | number | undefined;
  /** One limit of so many requests a minute. Values: whole number, 1 to 16000000. */
  readonly perMinute?: number | undefined;
  /** For limits that do not name their own. Values: `gcra`, `sliding`, `fixed`. Default: `gcra`. */
  readonly algorithm?: 'gcra' | 'sliding' | 'fixed' | undefined;
  /** Only for these methods; `read` is GET, HEAD and OPTIONS, `write` is POST, PUT, PATCH and DELETE. Default: all. Values: `read`, `write`, or list of text (at most 16). */
  readonly methods?: 'read' | 'write' | readonly string[] | undefined;
  /** What one request counts for. Values: whole number, 1 to 10000. Default: `1`. */
  readonly cost?: number | undefined;
  /** Field of the service’s answer with what the request cost in the end; the part above `cost` is charged then. */
  readonly costHeader?: string | undefined;
  /** Limits with the same name share their counters, wherever they are written. */
  readonly name?: string | undefined;
  /** `limit` checks after authorization; `authenticate` before it, so that guessing is limited too; `arrival` before the route is known, on the gateway only and for every request. Default: `authenticate` when the key needs no identity, else `limit`. Values: `arrival`, `authenticate`, `limit`. */
  readonly phase?: 'arrival' | 'authenticate' | 'limit' | undefined;
  /** Message of its 429; `{plan}` is the plan of the caller, with `plan: true`. The first block decides. */
  readonly message?: string | undefined;
  /** Fields of the answer: `X-RateLimit-*` (legacy), `RateLimit` and `RateLimit-Policy` (standard). The first block decides. Values: `all`, `legacy`, `standard`, `off`. Default: `all`. */
  readonly headers?: 'all' | 'legacy' | 'standard' | 'off' | undefined;
};

type RateLimit = RateLimit2 | readonly RateLimit2[];

type SecurityHeaders = {
  /** `Strict-Transport-Security`, on answers over HTTPS only. Default: its defaults. */
  readonly strictTransportSecurity?: 'off' | {
    /** How long browsers insist on HTTPS. Values: duration (at least 0ms). Default: `365d`. */
    readonly maxAge?: string | number | undefined;
    /** Also for all hosts below. Default: `true`. */
    readonly includeSubDomains?: boolean | undefined;
    /** Consent to the lists in browsers. Hard to take back. Default: `false`. */
    readonly preload?: boolean | undefined;
  } | undefined;
  /** `X-Content-Type-Options`. Values: `off`, or `nosniff`. Default: `nosniff`. */
  readonly contentTypeOptions?: 'off' | 'nosniff' | undefined;
  /** `X-Frame-Options`. Values: `off`, or `DENY`, `SAMEORIGIN`. Default: `DENY`. */
  readonly frameOptions?: 'off' | 'DENY' | 'SAMEORIGIN' | undefined;
  /** `Referrer-Policy`. Values: `off`, or text. Default: `strict-origin-when-cross-origin`. */
  readonly referrerPolicy?: 'off' | (string & {}) | undefined;
  /** `Content-Security-Policy`; for an API that serves no pages `default-src 'none'; frame-ancestors 'none'` is a good one. Values: `off`, or text. Default: `off`. */
  readonly contentSecurityPolicy?: 'off' | (string & {}) | undefined;
  /** `Permissions-Policy`. Values: `off`, or text. Default: `off`. */
  readonly permissionsPolicy?: 'off' | (string & {}) | undefined;
  /** `Cross-Origin-Opener-Policy`. Values: `off`, or `same-origin`, `same-origin-allow-popups`, `unsafe-none`. Default: `same-origin`. */
  readonly crossOriginOpenerPolicy?: 'off' | 'same-origin' | 'same-origin-allow-popups' | 'unsafe-none' | undefined;
  /** `Cross-Origin-Resource-Policy`. Values: `off`, or `same-origin`, `same-site`, `cross-origin`. Default: `off`. */
  readonly crossOriginResourcePolicy?: 'off' | 'same-origin' | 'same-site' | 'cross-origin' | undefined;
  /** Fields of the service that are not passed on. Values: text, or list of text (at most 50). Default: `Server`, `X-Powered-By`. */
  readonly remove?: string | readonly string[] | undefined;
  /** Replaces what the service says of itself; by default it stays. Default: `false`. */
  readonly override?: boolean | undefined;
};

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

type Use = string | readonly (string | {
  /** Module whose default export is made with `definePolicy`, relative to the configuration file. Security: it runs inside the gateway with all its rights; name only files that you trust. */
  readonly policy: string;
  readonly options?: Json | undefined;
  /** Longest wait for a promise of one of its hooks; then 504. Values: duration (at least 1ms, at most 5m). Default: `1s`. */
  readonly timeout?: string | number | undefined;
  /** What happens to requests after the policy was taken out of use, because it did not return several times: 503, or the policy is left out. `skip` is refused for a policy that guards (arrival, authenticate, authorize, limit). Values: `fail`, `skip`. Default: `fail`. */
  readonly onBroken?: 'fail' | 'skip' | undefined;
})[];

export interface WrittenGateway<N extends Names> {
  /** Name of this gateway in logs, health and traces. Default: `gatehouse`. */
  readonly name?: string | undefined;
  /** Version that the health endpoint reports. Default: the version of Gatehouse. */
  readonly version?: string | undefined;
  /** Port to listen on; 0 lets the system choose. Not with `listeners`. Values: whole number, 0 to 65535. Default: `8000`. */
  readonly port?: number | undefined;
  /** Address to listen on. Not with `listeners`. Default: `0.0.0.0`. */
  readonly host?: string | undefined;
  /** Several addresses, TLS, PROXY protocol; instead of `port` and `host`. */
  readonly listeners?: readonly ({
    /** Name in logs and status. Default: address and port. */
    readonly name?: string | undefined;
    /** Port to listen on; 0 lets the system choose. Values: whole number, 0 to 65535. */
    readonly port: number;
    /** Address to listen on. Default: `0.0.0.0`. */
    readonly host?: string | undefined;
    /** HTTPS on this address; `auto` is short for `{ auto: true }`. */
    readonly tls?: 'auto' | {
      /** Certificates that the gateway gets and renews itself by ACME (section `acme`): `true` for the hosts of the routes, or names. Names in `certificates` are left out. Values: true or false, or list of text (at most 1000). */
      readonly auto?: boolean | readonly string[] | undefined;
      /** Certificates by server name. The first one also answers when no name fits. Needed without `auto`. */
      readonly certificates?: readonly ({
        /** File with the certificate and its chain, PEM. */
        readonly cert: string;
        /** File with its private key, PEM, not encrypted. */
        readonly key: string;
        /** Server names (SNI) that get this certificate; `*.example.com` is possible. Default: the names in the certificate. Values: list of text (at most 1000). */
        readonly names?: readonly string[] | undefined;
      })[] | undefined;
      /** Oldest version of TLS. Values: `1.2`, `1.3`. Default: `1.2`. */
      readonly minVersion?: '1.2' | '1.3' | undefined;
      /** Whether callers are asked for a certificate, and may go on without one. Values: `off`, `optional`, `required`. Default: `off`. */
      readonly clientCertificate?: 'off' | 'optional' | 'required' | undefined;
      /** File with the authorities that client certificates must chain to, PEM. Needed unless `clientCertificate` is off. */
      readonly clientCa?: string | undefined;
    } | undefined;
    /** What clients may speak here: HTTP/2, HTTP/1.1 or both. With TLS the first one that the client offers as well is used (ALPN); without it HTTP/2 is taken from clients that begin with it (prior knowledge). Values: list of `h2`, `h1` (at most 2). Default: `h2`, `h1`. */
    readonly protocols?: readonly ('h2' | 'h1')[] | undefined;
    /** Reads a PROXY protocol header (v1 or v2) first; then only peers in `gateway.trustProxy` may connect. Default: `false`. */
    readonly proxyProtocol?: boolean | undefined;
  })[] | undefined;
  /** Worker threads that serve traffic. `auto` is one for each processor; where the system cannot share a port between threads (macOS, Windows) it is one. Values: `auto`, or whole number, 1 to 64. Default: `auto`. */
  readonly workers?: 'auto' | number | undefined;
  /** Where there is one worker thread, another one stands by, ready but for its sockets (about 17 MB), so that the death of the worker costs what it had in flight and no start. Read at start. Default: `true`. */
  readonly spareWorker?: boolean | undefined;
  /** `false` is one worker thread, whatever `workers` says; `true` goes by `workers`. */
  readonly clusterMode?: boolean | undefined;
  /** Folder for everything the gateway keeps: control socket, databases, keys. Made when it is missing. Default: `./data`. */
  readonly dataDir?: string | undefined;
  /** Reload when the configuration, or a file that it names, changes. `false` waits for `gatehouse reload`. Default: `true`. */
  readonly watch?: boolean | undefined;
  /** Least level of the process log on standard error. Values: `debug`, `info`, `warn`, `error`, `silent`. Default: `info`. */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent' | undefined;
  /** Least level of areas that have one of their own: `{ discovery: debug }`. Default: `logLevel`. */
  readonly logLevels?: { readonly [name: string]: 'debug' | 'info' | 'warn' | 'error' | 'silent' } | undefined;
  /** Where the access log goes, one JSON object a line: `off`, `stdout`, or `{ file: ... }`. Default: `off`. */
  readonly accessLog?: 'off' | 'stdout' | {
    /** File that lines are added to. */
    readonly file: string;
  } | undefined;
  /** Who may see how the gateway is. `/health`, `/health/live` and `/health/ready` are open to all. Default: its defaults. */
  readonly operations?: {
    /** Blocks of addresses that may read health in detail, status and metrics on the listeners of the gateway; others get 403. They tell versions, instances and routes. Behind a proxy on this machine, name it in `trustProxy`, or all its clients come from here. Values: list of CIDR block (at most 1000). Default: `127.0.0.0/8`, `::1/128`. */
    readonly from?: readonly string[] | undefined;
    /** Port of a listener of its own for all endpoints. Health in detail, status and metrics are then on no other. Values: whole number, 0 to 65535. */
    readonly port?: number | undefined;
    /** Address of that listener. Default: `127.0.0.1`. */
    readonly host?: string | undefined;
  } | undefined;
  /** What `endpoints.metrics` answers where `Accept` names neither `text/plain` nor `application/json`. Values: `prometheus`, `json`. Default: `prometheus`. */
  readonly metricsFormat?: 'prometheus' | 'json' | undefined;
  /** Gives a Prometheus that asks for protobuf the native histograms of durations too, each bucket 9 % wide. A Prometheus of before 2.45 then keeps no classic buckets, which the generated dashboards read. Default: `false`. */
  readonly nativeHistograms?: boolean | undefined;
  /** Shape of error bodies where `Accept` does not decide: `problem` (RFC 9457), `nested` or `flat`. Values: `problem`, `nested`, `flat`. Default: `problem`. */
  readonly errorFormat?: 'problem' | 'nested' | 'flat' | undefined;
  /** Blocks of addresses whose `X-Forwarded-*`, `Forwarded`, `X-Request-ID` and PROXY headers are believed. Security: list only proxies of your own. Values: list of CIDR block (at most 10000). Default: empty. */
  readonly trustProxy?: readonly string[] | undefined;
  /** Name of the gateway in `Via` fields (RFC 9110 §7.6.3); `off` sends none. Default: `gatehouse`. */
  readonly via?: string | undefined;
  /** Fields about the client that services get beside `X-Forwarded-For`, `-Proto`, `-Host`, `-Prefix` and `Forwarded`. */
  readonly forwarded?: {
    /** `X-Real-IP`: the address of the client, one without a list. Default: `false`. */
    readonly realIp?: boolean | undefined;
    /** `X-Forwarded-Port`: the port that the client asked. What a proxy in `trustProxy` says of it passes in any case. Default: `false`. */
    readonly port?: boolean | undefined;
  } | undefined;
  /** How long a gateway that stops goes on accepting while readiness already fails, so that balancers in front stop sending first. Each response says meanwhile that it is the last of its connection. Values: duration (at most 10m). Default: `0s`. */
  readonly shutdownDelay?: string | number | undefined;
  /** How long requests in flight may take to finish when the gateway stops, or a reload takes their listener away. Values: duration (at most 1h). Default: `30s`. */
  readonly shutdownTimeout?: string | number | undefined;
  /** Largest request body, counted while it streams; a larger one is answered with 413. Routes may say otherwise. Values: size, or `unlimited`. Default: `10mb`. */
  readonly maxRequestSize?: string | number | undefined;
  /** How long a service may take to start its answer, for services that set neither `timeout` nor `timeouts.firstByte`. Values: duration (at least 1ms, at most 24d), or `off`. Default: `30s`. */
  readonly serviceTimeout?: string | number | undefined;
  /** Sizes and counts granted to downstream connections. Default: its defaults. */
  readonly limits?: {
    /** Largest request head: request line and header fields together. A larger one is answered with 431. Values: size (at least 1kb, at most 1mb). Default: `32kb`. */
    readonly maxHeadSize?: string | number | undefined;
    /** Longest request target (path and query). A longer one is answered with 414. Values: size (at least 256b, at most 64kb). Default: `8kb`. */
    readonly maxTargetSize?: string | number | undefined;
    /** Most header fields of a request; more are answered with 431. Values: whole number, 10 to 1000. Default: `100`. */
    readonly maxFields?: number | undefined;
    /** Most open downstream connections for each worker. Further ones are answered with 503 and closed. Values: whole number, 1 to 1000000. Default: `20000`. */
    readonly maxConnections?: number | undefined;
    /** What one address may hold of a worker, so that others always have a part. An IPv6 address counts with its /64. Clients of `trustProxy` count by their own address, the proxies not at all. Default: its defaults. */
    readonly perAddress?: {
      /** Share of `maxConnections` that one address may have open; further ones are closed unread. `100%` is no limit. Values: share (at least 0.1%). Default: `75%`. */
      readonly connections?: string | number | undefined;
      /** Most request bodies of one address that come at less than 8 KB a second, for each worker; of more, the slowest are answered with 408. Values: whole number, 1 to 1000000. Default: `256`. */
      readonly slowBodies?: number | undefined;
    } | undefined;
    /** Most open tunnels (WebSocket) for each worker. Values: whole number, 0 to 1000000. Default: `10000`. */
    readonly maxTunnels?: number | undefined;
    /** After this many requests a connection is closed, which lets load spread anew. Values: whole number, 1 to 1000000000. Default: `100000`. */
    readonly maxRequestsPerConnection?: number | undefined;
    /** Least average size per second of a request body, after a grace of `timeouts.bodyIdle`; slower ones are answered with 408. 0 turns it off. Values: size (at most 1gb). Default: `240b`. */
    readonly minBodyRate?: string | number | undefined;
    /** Least average size per second that a client takes of a response while bytes wait for it, over `timeouts.write`; the connection of a slower one is closed. 0: any byte in that time will do. Values: size (at most 1gb). Default: `240b`. */
    readonly minReadRate?: string | number | undefined;
  } | undefined;
  /** What one downstream HTTP/2 connection may have at a time. Default: its defaults. */
  readonly http2?: {
    /** Most requests in flight on one connection; a client that opens more has them refused, unprocessed. Values: whole number, 1 to 10000. Default: `100`. */
    readonly maxConcurrentStreams?: number | undefined;
    /** How much of one request body may wait here for a slow service. Larger is faster over long distances. Values: size (at least 65535b, at most 64mb). Default: `256kb`. */
    readonly streamWindow?: string | number | undefined;
    /** The same for all request bodies of one connection together; never less than `streamWindow`. Values: size (at least 65535b, at most 256mb). Default: `1mb`. */
    readonly connectionWindow?: string | number | undefined;
  } | undefined;
  /** Deadlines of downstream connections. Default: its defaults. */
  readonly timeouts?: {
    /** From the first byte of a request to the end of its head; later is answered with 408. Values: duration (at least 100ms, at most 24d), or `off`. Default: `10s`. */
    readonly head?: string | number | undefined;
    /** Longest pause between two requests on one connection. Values: duration (at least 100ms, at most 24d), or `off`. Default: `75s`. */
    readonly keepAlive?: string | number | undefined;
    /** Longest pause inside a request body; longer is answered with 408. Values: duration (at least 100ms, at most 24d), or `off`. Default: `30s`. */
    readonly bodyIdle?: string | number | undefined;
    /** Longest time that a caller may leave written bytes unread before the connection is closed. Values: duration (at least 100ms, at most 24d), or `off`. Default: `60s`. */
    readonly write?: string | number | undefined;
    /** Longest pause, in both directions, in a tunnel (WebSocket). Values: duration (at least 100ms, at most 24d), or `off`. Default: `1h`. */
    readonly tunnelIdle?: string | number | undefined;
  } | undefined;
  /** Paths of the built-in endpoints; `off` turns one, or all of them, off. Default: its defaults. */
  readonly endpoints?: 'off' | {
    /** Health of the gateway and its services in short. Values: `off`, or text. Default: `/health`. */
    readonly health?: 'off' | (string & {}) | undefined;
    /** Liveness: answers as long as the process works. Values: `off`, or text. Default: `/health/live`. */
    readonly live?: 'off' | (string & {}) | undefined;
    /** Readiness: fails while the gateway starts, drains or lacks what it needs. Values: `off`, or text. Default: `/health/ready`. */
    readonly ready?: 'off' | (string & {}) | undefined;
    /** Health in detail: instances, balancers, breakers. Values: `off`, or text. Default: `/health/detailed`. */
    readonly detailed?: 'off' | (string & {}) | undefined;
    /** What runs: version, workers, uptime. Values: `off`, or text. Default: `/status`. */
    readonly status?: 'off' | (string & {}) | undefined;
    /** Metrics, as Prometheus text or JSON: as `Accept` asks for, else as `metricsFormat` says. Values: `off`, or text. Default: `/metrics`. */
    readonly metrics?: 'off' | (string & {}) | undefined;
    /** Metrics as Prometheus text. Values: `off`, or text. Default: `/metrics/prometheus`. */
    readonly prometheus?: 'off' | (string & {}) | undefined;
    /** Answers `grpc.health.v1.Health` (`Check`, `Watch`): readiness of the gateway for the empty name, else the service of that name. Default: `false`. */
    readonly grpcHealth?: boolean | undefined;
  } | undefined;
  /** What the access log says, and how. Default: the JSON record of the guide. */
  readonly accessRecords?: {
    /** `json` or `logfmt` with `fields`, or `combined`, Apache's own form, whose fields are fixed. Values: `json`, `logfmt`, `combined`. Default: `json`. */
    readonly format?: 'json' | 'logfmt' | 'combined' | undefined;
    /** Fields in their order; also `query`, `referer` and `header:NAME` of the request. Default: those of the usual record. With `combined`, `query` adds the query to the path. Values: list of `time`, `request_id`, `trace_id`, `address`, `method`, `host`, `path`, `query`, `protocol`, `status`, `duration_ms`, `upstream_ms`, `grpc_status`, `bytes_in`, `bytes_out`, `route`, `service`, `instance`, `attempts`, `subject`, `user_agent`, `referer`, `fault`, `cause`, or text (at most 100). */
    readonly fields?: readonly ('time' | 'request_id' | 'trace_id' | 'address' | 'method' | 'host' | 'path' | 'query' | 'protocol' | 'status' | 'duration_ms' | 'upstream_ms' | 'grpc_status' | 'bytes_in' | 'bytes_out' | 'route' | 'service' | 'instance' | 'attempts' | 'subject' | 'user_agent' | 'referer' | 'fault' | 'cause' | (string & {}))[] | undefined;
    /** Share of the requests below 400 that are written. Others are always written. Default: `100%`. */
    readonly successes?: string | number | undefined;
    /** What is written as `***`. Default: its defaults. */
    readonly redact?: {
      /** Query parameters and header fields whose values are hidden, besides those that usually hold secrets. Values: list of text (at most 1000). Default: empty. */
      readonly names?: readonly string[] | undefined;
      /** Regular expressions; what they match is hidden in every text, also in paths, and in the live tail, security events and paths of spans. Values: list of text (at most 100). Default: empty. */
      readonly patterns?: readonly string[] | undefined;
    } | undefined;
    /** Rotation of the file of `accessLog`. Default: none; SIGUSR1 opens a file that was moved anew. */
    readonly rotate?: {
      /** Size at which the file is moved away. Values: size (at least 1kb). */
      readonly size?: string | number | undefined;
      /** Age at which it is moved away, such as `1d`, counted from its first line. Values: duration (at least 1s). */
      readonly every?: string | number | undefined;
      /** Moved files that stay; older ones are deleted. Values: whole number, 1 to 10000. Default: `7`. */
      readonly keep?: number | undefined;
    } | undefined;
  } | undefined;
  /** What is granted to policies in files of your own (`use`). */
  readonly policies?: {
    /** A policy that runs so long without returning is taken for an endless loop: its worker is ended and replaced, which breaks the connections of that worker. After three times in ten minutes the policy is out of use until its file changes. Values: duration (at least 200ms, at most 1m). Default: `2s`. */
    readonly loopTimeout?: string | number | undefined;
    /** Heap of a worker (JavaScript objects, not buffers of bodies). A policy that takes more and more memory ends its worker there, which is replaced, and not the machine. Holds for workers that start from then on. Default: what Node.js gives by the size of the machine. Values: size (at least 32mb, at most 64gb). */
    readonly memory?: string | number | undefined;
  } | undefined;
  /** Security events as a stream of their own, one JSON object a line: failed sign-ins, credentials and messages refused, bans, what operators did. Default: none. */
  readonly securityEvents?: {
    /** `stdout`, where each line has `"log":"security"`, or `{ file: ... }`. Default: `stdout`. */
    readonly to?: 'stdout' | {
      /** File that lines are added to. */
      readonly file: string;
    } | undefined;
    /** Events that are not written, by name, or as `session.*` by the beginning of names. Values: list of text (at most 200). Default: empty. */
    readonly leaveOut?: readonly string[] | undefined;
    /** Rotation of the file. Default: none. */
    readonly rotate?: {
      /** Size at which the file is moved away. Values: size (at least 1kb). */
      readonly size?: string | number | undefined;
      /** Age at which it is moved away, such as `1d`, counted from its first line. Values: duration (at least 1s). */
      readonly every?: string | number | undefined;
      /** Moved files that stay; older ones are deleted. Values: whole number, 1 to 10000. Default: `7`. */
      readonly keep?: number | undefined;
    } | undefined;
  } | undefined;
  /** Traces by OpenTelemetry (OTLP). Default: off. */
  readonly tracing?: {
    /** `false`: nothing is traced, whatever else is set. Default: `true`. */
    readonly enabled?: boolean | undefined;
    /** Collector that takes OTLP, such as `http://127.0.0.1:4318`; over HTTP `/v1/traces` is added where it has no path. Default: none, and nothing is traced. */
    readonly endpoint?: string | undefined;
    /** How OTLP is sent. Values: `http/protobuf`, `grpc`. Default: `http/protobuf`. */
    readonly protocol?: 'http/protobuf' | 'grpc' | undefined;
    /** Fields of each export, such as an API key of the collector. Default: its defaults. */
    readonly headers?: { readonly [name: string]: string } | undefined;
    /** Longest time of an export, retries included. Values: duration (at least 100ms, at most 1m). Default: `10s`. */
    readonly timeout?: string | number | undefined;
    /** Coding of exports. `gzip` takes an eighth of the bytes, and more time than all else that a trace costs. Values: `none`, `gzip`. Default: `none`. */
    readonly compression?: 'none' | 'gzip' | undefined;
    /** File with the authority that signed the certificate of an `https` collector, PEM. Default: those that Node.js knows. */
    readonly ca?: string | undefined;
    /** File with the certificate by which the collector knows the gateway, PEM. Goes with `key`. */
    readonly cert?: string | undefined;
    /** File with the private key of `cert`, PEM without a passphrase. */
    readonly key?: string | undefined;
    /** Share of traces that are sampled where no caller has decided; by the id of the trace, so that all gateways decide alike. Default: `1%`. */
    readonly ratio?: string | number | undefined;
    /** Whose `sampled` flag is followed: that of peers in `trustProxy`, every client’s, or none. The trace itself goes on in each case. Security: with `always` any client decides how much is traced. Values: `trusted`, `always`, `never`. Default: `trusted`. */
    readonly parent?: 'trusted' | 'always' | 'never' | undefined;
    /** Also records exchanges that ended with 5xx or broke off, though they were not sampled. Default: `true`. */
    readonly errors?: boolean | undefined;
    /** Also records exchanges that took longer. Routes with an objective for latency use its bound instead. Values: duration (at least 1ms), or `off`. Default: `off`. */
    readonly slowerThan?: string | number | undefined;
    /** Policies that waited so long for something, such as Redis, get a span, and in sampled traces those that computed so long. Questions to introspection endpoints and authorizers always get one. Values: duration (at least 0ms). Default: `5ms`. */
    readonly policies?: string | number | undefined;
    /** `service.name` of the resource. Default: `gateway.name`. */
    readonly serviceName?: string | undefined;
    /** Further attributes of the resource, such as `deployment.environment.name`. Default: its defaults. */
    readonly attributes?: { readonly [name: string]: string } | undefined;
    /** Spans that may wait for the collector; more are dropped and counted. Values: whole number, 512 to 1000000. Default: `8192`. */
    readonly maxQueue?: number | undefined;
  } | undefined;
  /** Keeps banned callers out and counts what they do wrong, by the rules of the top-level key `abuse`. A route with `off` does neither. */
  readonly abuse?: 'on' | undefined;
  /** Who may call. `public`: everybody. `{}` or absent: callers with a token or key that this gateway knows. Default: `{}`. */
  readonly auth?: Auth<N> | undefined;
  /** What a caller, once known, may do here. */
  readonly authorize?: Authorize | undefined;
  /** Stores responses of the service, handler or aggregation and sends them again (RFC 9111). `{}`: by the rules of the RFC alone. */
  readonly cache?: Cache | undefined;
  /** Packs responses for clients that say in `Accept-Encoding` that they want that. Security: a secret in a response beside text that an attacker chooses can be guessed by the packed length (BREACH); leave such routes out. */
  readonly compression?: Compression | undefined;
  /** Which pages of other sites may read answers (CORS). */
  readonly cors?: Cors | undefined;
  /** Unpacks request bodies with `Content-Encoding` before anything looks at them; the service gets them unpacked. */
  readonly decompression?: Decompression | undefined;
  /** Sets, adds, removes and renames header fields. */
  readonly headers?: Headers | undefined;
  /** Refuses what no request of an API needs, and hides what responses tell about the software behind. */
  readonly hygiene?: Hygiene | undefined;
  /** Who may come, by address. On the gateway for every request; services and routes can narrow it further. */
  readonly ipFilter?: IpFilter | undefined;
  /** Limits of requests per time. Several blocks hold together; a request is charged to all of them or to none. */
  readonly rateLimit?: RateLimit | undefined;
  /** Fields that make browsers careful. */
  readonly securityHeaders?: SecurityHeaders | undefined;
  /** Policies in files of your own, run after the built-in ones of the same phase: those of the gateway first, then of the service, then of the route, each in the order written. */
  readonly use?: Use | undefined;
}

type Headers2 = { readonly [name: string]: string };

type Authorize2 = 'off' | Authorize;

type Cache2 = 'off' | Cache;

type Compression2 = 'off' | Compression;

type Cors2 = 'off' | Cors;

type Decompression2 = 'off' | Decompression;

type FaultInjection = {
  /** Only these requests. Default: all. */
  readonly when?: {
    /** Field that a request must have. */
    readonly header: string;
    /** Its value. Default: any. */
    readonly value?: string | undefined;
  } | undefined;
  /** Makes requests slow. */
  readonly delay?: {
    /** How long the request waits here before it goes on. Values: duration (at least 1ms, at most 1m). */
    readonly time: string | number;
    /** Share of the requests; each is drawn by itself. Default: `100%`. */
    readonly share?: string | number | undefined;
  } | undefined;
  /** Makes requests fail, after the delay if they have one. */
  readonly abort?: {
    /** Status of the response; the service is not asked. Values: whole number, 400 to 599. Default: `503`. */
    readonly status?: number | undefined;
    /** Share of the requests; each is drawn by itself. Default: `100%`. */
    readonly share?: string | number | undefined;
  } | undefined;
};

type Headers3 = 'off' | Headers;

type Hygiene2 = 'off' | Hygiene;

type Idempotency = {
  /** A request without `Idempotency-Key` is answered 400. Default: `false`. */
  readonly required?: boolean | undefined;
  /** Methods of requests whose keys count. Values: list of `POST`, `PUT`, `PATCH`, `DELETE` (at most 4). Default: `POST`, `PATCH`. */
  readonly methods?: readonly ('POST' | 'PUT' | 'PATCH' | 'DELETE')[] | undefined;
  /** How long the same key gets the first response. Values: duration (at least 1s, at most 30d). Default: `24h`. */
  readonly keepFor?: string | number | undefined;
  /** A request that has not ended after this has died with its gateway: its key may be used again. Values: duration (at least 1s, at most 1d). Default: `5m`. */
  readonly inProgress?: string | number | undefined;
  /** Whose a key is on public routes: of the address that sent it (IPv6: of its /64), or of each client that knows it. `byKey` works also when a client changes its address, and needs keys that cannot be guessed: a client that has one gets the response. Values: `byAddress`, `byKey`. Default: `byAddress`. */
  readonly strangers?: 'byAddress' | 'byKey' | undefined;
  /** Largest body of a request with a key; it is held in memory. Beyond it is 413. Values: size (at least 1b, at most 64mb). Default: `1mb`. */
  readonly maxRequestSize?: string | number | undefined;
  /** Largest response that is kept. The same key after a longer one is 409. Values: size (at least 1b, at most 16mb). Default: `1mb`. */
  readonly maxResponseSize?: string | number | undefined;
  /** Where keys and responses are kept: `sql` in `stores.sql` (over several gateways with PostgreSQL), `redis` in `stores.redis`, over all gateways that share it. Values: `sql`, `redis`. Default: `sql`. */
  readonly store?: 'sql' | 'redis' | undefined;
  /** Response fields that are kept beside those that say how a response is to be read. Values: list of text (at most 50). Default: empty. */
  readonly headers?: readonly string[] | undefined;
};

type IpFilter2 = 'off' | IpFilter;

type Openapi = string | {
  /** OpenAPI 3.0 or 3.1 document, relative to the configuration file. */
  readonly file: string;
  /** What requests have before the paths of the document. Default: the path of its first server. */
  readonly basePath?: string | undefined;
  /** Requests for paths and methods that the document does not have: 404 or 405, or unchecked. Values: `refuse`, `pass`. Default: `refuse`. */
  readonly unknownOperations?: 'refuse' | 'pass' | undefined;
  /** Query parameters that the operation does not have. Values: `refuse`, `pass`. Default: `pass`. */
  readonly unknownQuery?: 'refuse' | 'pass' | undefined;
  /** `report` lets a wrong request pass and says in the access record (`invalid`) what is wrong with it. Values: `refuse`, `report`. Default: `refuse`. */
  readonly mode?: 'refuse' | 'report' | undefined;
  /** Largest JSON or form body: it is held in memory while it is checked. Others are streamed. Values: size (at least 1b, at most 64mb). Default: `1mb`. */
  readonly maxBodySize?: string | number | undefined;
  /** Checks responses too: status, fields, content types and JSON bodies. Default: they are not looked at. */
  readonly response?: 'refuse' | 'report' | {
    /** What becomes of a wrong response: 502 in its place, or `invalid_response` in the access record while it passes. `refuse` holds bodies back until they are known to be right. Values: `refuse`, `report`. Default: `refuse`. */
    readonly mode?: 'refuse' | 'report' | undefined;
    /** Statuses that the operation does not have. Values: `refuse`, `pass`. Default: `pass`. */
    readonly unknownStatuses?: 'refuse' | 'pass' | undefined;
    /** Largest JSON body of a response: it is held in memory while it is checked. A longer one is wrong. Values: size (at least 1b, at most 64mb). Default: `1mb`. */
    readonly maxBodySize?: string | number | undefined;
  } | undefined;
};

type RateLimit3 = 'off' | RateLimit;

type SecurityHeaders2 = 'off' | SecurityHeaders;

type Script = string | {
  /** Module whose default export is made with `defineTransform`, relative to the configuration file. Security: it runs inside the gateway with all its rights; name only files that you trust. */
  readonly file: string;
  readonly options?: Json | undefined;
  /** Longest wait for a promise of it; then 504. Values: duration (at least 1ms, at most 5m). Default: `1s`. */
  readonly timeout?: string | number | undefined;
};

type Set2 = { readonly [name: string]: Json };

type Transform = {
  /** What the service gets. A body is changed when validation has found it right. */
  readonly request?: {
    /** Changes of the query that the service gets. */
    readonly query?: {
      /** Parameters and their new names. Default: its defaults. */
      readonly rename?: { readonly [name: string]: string } | undefined;
      /** Parameters that are taken out. Values: list of text (at most 200). Default: empty. */
      readonly remove?: readonly string[] | undefined;
      /** Parameters and their values, in place of those that are there. Texts are templates; one without value is left out. Default: its defaults. */
      readonly set?: { readonly [name: string]: string | number | boolean } | undefined;
      /** Parameters and their values, beside those that are there. Default: its defaults. */
      readonly add?: { readonly [name: string]: string | number | boolean } | undefined;
    } | undefined;
    /** A function in a file of your own makes the new value; a text is the file. */
    readonly script?: Script | undefined;
    /** A JMESPath expression; the body becomes what it gives, such as `items[?price > \`10\`].{id: id}`. */
    readonly select?: string | undefined;
    /** Only these fields stay. A step `*` is every member or item. Values: list of text (at most 500). */
    readonly pick?: readonly string[] | undefined;
    /** Fields that are taken out. Values: list of text (at most 500). */
    readonly omit?: readonly string[] | undefined;
    /** Fields and their new names, in the same place: `{ /user_name: userName }`. */
    readonly rename?: { readonly [name: string]: string } | undefined;
    /** Fields and their values, also new ones; texts are templates such as `{auth.sub}` or `{body.id}`. One without value is left as it is. */
    readonly set?: Set2 | undefined;
    readonly envelope?: Json | undefined;
    /** Largest body, or largest line or event: it is held in memory while it is changed. Values: size (at least 1b, at most 64mb). Default: `1mb`. */
    readonly maxSize?: string | number | undefined;
    /** Deepest nesting of JSON. Values: whole number, 1 to 1000. Default: `64`. */
    readonly maxDepth?: number | undefined;
    /** Bodies that are not JSON: 415, or they pass unchanged. Only where the body is changed. Values: `refuse`, `pass`. Default: `refuse`. */
    readonly otherTypes?: 'refuse' | 'pass' | undefined;
  } | undefined;
  /** What the client gets. */
  readonly response?: {
    /** Statuses of the service and those that the client gets: `{ 404: 410 }`. Default: its defaults. */
    readonly status?: { readonly [name: string]: number } | undefined;
    /** Whether only bodies of 2xx are changed. `hide` and `show` hold for all. Values: `success`, `all`. Default: `success`. */
    readonly statuses?: 'success' | 'all' | undefined;
    /** Fields that only some roles see. */
    readonly hide?: readonly ({
      /** Fields that are taken out. Values: list of text (at most 500). */
      readonly fields: readonly string[];
      /** Roles that see them. Default: none. Values: list of text (at most 100). Default: empty. */
      readonly except?: readonly string[] | undefined;
    })[] | undefined;
    /** The only fields that callers see: the first entry that fits the caller holds, without one nothing is seen. */
    readonly show?: readonly ({
      /** For callers with one of these roles. Default: for all. Values: list of text (at most 100). */
      readonly roles?: readonly string[] | undefined;
      /** Fields that they see; `/*` is everything. Values: list of text (at most 500). */
      readonly fields: readonly string[];
    })[] | undefined;
    /** A function in a file of your own makes the new value; a text is the file. */
    readonly script?: Script | undefined;
    /** A JMESPath expression; the body becomes what it gives, such as `items[?price > \`10\`].{id: id}`. */
    readonly select?: string | undefined;
    /** Only these fields stay. A step `*` is every member or item. Values: list of text (at most 500). */
    readonly pick?: readonly string[] | undefined;
    /** Fields that are taken out. Values: list of text (at most 500). */
    readonly omit?: readonly string[] | undefined;
    /** Fields and their new names, in the same place: `{ /user_name: userName }`. */
    readonly rename?: { readonly [name: string]: string } | undefined;
    /** Fields and their values, also new ones; texts are templates such as `{auth.sub}` or `{body.id}`. One without value is left as it is. */
    readonly set?: Set2 | undefined;
    readonly envelope?: Json | undefined;
    /** Largest body, or largest line or event: it is held in memory while it is changed. Values: size (at least 1b, at most 64mb). Default: `1mb`. */
    readonly maxSize?: string | number | undefined;
    /** Deepest nesting of JSON. Values: whole number, 1 to 1000. Default: `64`. */
    readonly maxDepth?: number | undefined;
    /** Bodies that are not JSON: they pass unchanged, or 502. Default: `refuse` beside `hide` and `show`, else `pass`. Values: `refuse`, `pass`. */
    readonly otherTypes?: 'refuse' | 'pass' | undefined;
  } | undefined;
};

type Use2 = 'off' | Use;

type Validate = {
  /** JSON Schema (2020-12) of the body. Keywords that are not supported are refused. */
  readonly body?: boolean | { readonly [name: string]: Json } | undefined;
  /** What a `multipart/form-data` body must be. It passes while it is checked: files are not held, fields are, all together up to `maxBodySize`. */
  readonly multipart?: {
    /** Parts by name. */
    readonly parts: { readonly [name: string]: {
      /** A file; otherwise a field, whose text `schema` is about. Default: `false`. */
      readonly file?: boolean | undefined;
      /** JSON Schema of the field. Of an object: it is sent as JSON; of a list: by several parts of the name. */
      readonly schema?: boolean | { readonly [name: string]: Json } | undefined;
      /** A body without this part is wrong. Default: `false`. */
      readonly required?: boolean | undefined;
      /** How many parts may have this name. Values: whole number, 1 to 1000. Default: `1`. */
      readonly max?: number | undefined;
      /** Most bytes of one of them. Default: any. Values: size (at least 1b, at most 1024gb). */
      readonly maxSize?: string | number | undefined;
      /** Content types that a file may declare, such as `image/*`. Default: any. Values: list of text (at most 50). */
      readonly types?: readonly string[] | undefined;
      /** Ends that the name of a file may have, such as `.png`. Default: any. Values: list of text (at most 50). */
      readonly extensions?: readonly string[] | undefined;
    } };
    /** Parts that `parts` does not have. Values: `refuse`, `pass`. Default: `refuse`. */
    readonly unknownParts?: 'refuse' | 'pass' | undefined;
    /** Most parts of one body. Values: whole number, 1 to 10000. Default: `100`. */
    readonly maxParts?: number | undefined;
  } | undefined;
  /** Content types that a body may have, such as `application/json` or `image/*`; others are answered 415. Default: `application/json` and `application/*+json` where there is a schema of the body, else any. Values: list of text (at most 50). */
  readonly contentTypes?: readonly string[] | undefined;
  /** A request without body is wrong, where there is a schema of the body. Default: `true`. */
  readonly bodyRequired?: boolean | undefined;
  /** JSON Schemas of query parameters by name. Texts become numbers or switches where the schema wants them. Default: its defaults. */
  readonly query?: { readonly [name: string]: boolean | { readonly [name: string]: Json } } | undefined;
  /** JSON Schemas of parameter of the paths by name. Texts become numbers or switches where the schema wants them. Default: its defaults. */
  readonly params?: { readonly [name: string]: boolean | { readonly [name: string]: Json } } | undefined;
  /** JSON Schemas of header fields by name. Texts become numbers or switches where the schema wants them. Default: its defaults. */
  readonly headers?: { readonly [name: string]: boolean | { readonly [name: string]: Json } } | undefined;
  /** JSON Schemas of cookies by name. Texts become numbers or switches where the schema wants them. Default: its defaults. */
  readonly cookies?: { readonly [name: string]: boolean | { readonly [name: string]: Json } } | undefined;
  /** Parameters that must be there, such as `query.limit`. Those of the path always are. Values: list of text (at most 100). Default: empty. */
  readonly required?: readonly string[] | undefined;
  /** Query parameters that `query` does not have. Values: `refuse`, `pass`. Default: `pass`. */
  readonly unknownQuery?: 'refuse' | 'pass' | undefined;
  /** `report` lets a wrong request pass and says in the access record (`invalid`) what is wrong with it. Values: `refuse`, `report`. Default: `refuse`. */
  readonly mode?: 'refuse' | 'report' | undefined;
  /** Largest JSON or form body: it is held in memory while it is checked. Values: size (at least 1b, at most 64mb). Default: `1mb`. */
  readonly maxBodySize?: string | number | undefined;
  /** Deepest nesting of a JSON body. Values: whole number, 1 to 1000. Default: `64`. */
  readonly maxDepth?: number | undefined;
  /** Refuses integers beyond 2^53, which some readers round and others do not. Default: `false`. */
  readonly safeIntegers?: boolean | undefined;
  /** What responses must be. */
  readonly response?: {
    /** JSON Schema (2020-12) of the body of a 2xx response. Keywords that are not supported are refused. */
    readonly body?: boolean | { readonly [name: string]: Json } | undefined;
    /** JSON Schemas of bodies by status: `{ 200: {}, 4XX: {}, default: {} }`; the nearest holds. Default: its defaults. */
    readonly bodies?: { readonly [name: string]: boolean | { readonly [name: string]: Json } } | undefined;
    /** JSON Schema (2020-12) of each line of a 2xx response of NDJSON, and of the data of each server-sent event if that is JSON. They are checked one by one as they come, each up to `maxBodySize`. */
    readonly records?: boolean | { readonly [name: string]: Json } | undefined;
    /** JSON Schemas of header field of the responses by name. Texts become numbers or switches where the schema wants them. Default: its defaults. */
    readonly headers?: { readonly [name: string]: boolean | { readonly [name: string]: Json } } | undefined;
    /** Content types that a body with a schema may have. Default: `application/json` and `application/*+json`. Values: list of text (at most 50). */
    readonly contentTypes?: readonly string[] | undefined;
    /** What becomes of a wrong response: 502 in its place, or `invalid_response` in the access record while it passes. `refuse` holds bodies back until they are known to be right. Values: `refuse`, `report`. Default: `refuse`. */
    readonly mode?: 'refuse' | 'report' | undefined;
    /** Statuses for which there is no schema. Values: `refuse`, `pass`. Default: `pass`. */
    readonly unknownStatuses?: 'refuse' | 'pass' | undefined;
    /** Largest JSON body of a response: it is held in memory while it is checked. A longer one is wrong. Values: size (at least 1b, at most 64mb). Default: `1mb`. */
    readonly maxBodySize?: string | number | undefined;
  } | undefined;
};

export interface WrittenService<N extends Names> {
  /** Where the service runs; a text is `{ url: ... }`. Default: empty. */
  readonly instances?: readonly (string | {
    /** Address: `http://host:port`, `https://host:port` or `unix:/path/of.sock`; a path in it goes before the path of every request. */
    readonly url: string;
    /** Share of the traffic, against the other weights; 0 takes no new traffic. Values: number, 0 to 1000. Default: `1`. */
    readonly weight?: number | undefined;
    /** State before the first result of a health check; the state for ever without one. Default: `true`. */
    readonly healthy?: boolean | undefined;
    /** Zone that the instance is in, for `zone`. */
    readonly zone?: string | undefined;
    /** Facts about the instance, for algorithms and for people. Default: its defaults. */
    readonly metadata?: { readonly [name: string]: string } | undefined;
  })[] | undefined;
  /** How an instance is chosen. Default: `weighted-round-robin`, which takes turns where all weights are equal. */
  readonly loadBalancing?: {
    /** How an instance is chosen for each request. Default: `weighted-round-robin`. */
    readonly algorithm: 'consistent-hash';
    /** Time between active health checks; the short form of `healthCheck: { interval: ... }`. Values: duration (at least 100ms, at most 24d). */
    readonly healthCheckInterval?: string | number | undefined;
    /** What keeps requests together: `path`, `user`, `{ header: X-Tenant }`, `{ cookie: basket }` or `{ query: id }`. A request without it goes by its address. */
    readonly by: 'path' | 'user' | {
      /** Field of the request by whose value they are kept together. */
      readonly header: string;
    } | {
      /** Cookie by whose value. */
      readonly cookie: string;
    } | {
      /** Parameter of the query by whose value. */
      readonly query: string;
    };
    /** How many times its fair share of the requests in flight one instance may take before further keys go to their next choice. `off` keeps every key where it is, however uneven that is. Values: `off`, or number, 1.05 to 10. Default: `1.25`. */
    readonly loadFactor?: number | 'off' | undefined;
  } | {
    /** How an instance is chosen for each request. Default: `weighted-round-robin`. */
    readonly algorithm: 'custom';
    /** Time between active health checks; the short form of `healthCheck: { interval: ... }`. Values: duration (at least 100ms, at most 24d). */
    readonly healthCheckInterval?: string | number | undefined;
    /** Module whose default export is made with `defineBalancer`, relative to the configuration file. It runs inside the gateway with all its rights: name only files that you trust. */
    readonly file: string;
    /** Handed to the algorithm’s `create` as written. The gateway does not look inside. Default: its defaults. */
    readonly options?: { readonly [name: string]: Json } | undefined;
  } | {
    /** How an instance is chosen for each request. Default: `weighted-round-robin`. */
    readonly algorithm: 'ip-hash';
    /** Time between active health checks; the short form of `healthCheck: { interval: ... }`. Values: duration (at least 100ms, at most 24d). */
    readonly healthCheckInterval?: string | number | undefined;
  } | {
    /** How an instance is chosen for each request. Default: `weighted-round-robin`. */
    readonly algorithm: 'least-connections';
    /** Time between active health checks; the short form of `healthCheck: { interval: ... }`. Values: duration (at least 100ms, at most 24d). */
    readonly healthCheckInterval?: string | number | undefined;
  } | {
    /** How an instance is chosen for each request. Default: `weighted-round-robin`. */
    readonly algorithm: 'peak-ewma';
    /** Time between active health checks; the short form of `healthCheck: { interval: ... }`. Values: duration (at least 100ms, at most 24d). */
    readonly healthCheckInterval?: string | number | undefined;
  } | {
    /** How an instance is chosen for each request. Default: `weighted-round-robin`. */
    readonly algorithm: 'random';
    /** Time between active health checks; the short form of `healthCheck: { interval: ... }`. Values: duration (at least 100ms, at most 24d). */
    readonly healthCheckInterval?: string | number | undefined;
  } | {
    /** How an instance is chosen for each request. Default: `weighted-round-robin`. */
    readonly algorithm: 'round-robin';
    /** Time between active health checks; the short form of `healthCheck: { interval: ... }`. Values: duration (at least 100ms, at most 24d). */
    readonly healthCheckInterval?: string | number | undefined;
  } | {
    /** How an instance is chosen for each request. Default: `weighted-round-robin`. */
    readonly algorithm?: 'weighted-round-robin' | undefined;
    /** Time between active health checks; the short form of `healthCheck: { interval: ... }`. Values: duration (at least 100ms, at most 24d). */
    readonly healthCheckInterval?: string | number | undefined;
  } | undefined;
  /** What the instances speak: `h1` is HTTP/1.1; `h2` is HTTP/2, which https instances must choose by ALPN and http ones must know from the first byte (`h2c` says that they all are http); `auto` is what an https instance chooses of the two by ALPN, and HTTP/1.1 for http ones; `grpc` is `h2` for gRPC. Values: `h1`, `h2`, `h2c`, `auto`, `grpc`. Default: `h1`. */
  readonly protocol?: 'h1' | 'h2' | 'h2c' | 'auto' | 'grpc' | undefined;
  /** What responses over HTTP/1.1 may do against the grammar, each by name; the gateway writes it anew in the right form. `lengthBesideChunked`: a Content-Length beside `Transfer-Encoding: chunked` is dropped, and the connection not used again. `anyStatus`: statuses from 600 to 999 pass, and count as faults of the service. `lineFeeds`: lines that end with a line feed alone. `folding`: field values over several lines. `blankBeforeColon`: blanks between the name of a field and its colon. `chunkPadding`: blanks between the size of a chunk and the end of its line. Security: an attacker who can put bytes into responses of the service gains more by these; name only what the service needs. Default: nothing. Equal copies of Content-Length are one in any case. Values: list of `lengthBesideChunked`, `anyStatus`, `lineFeeds`, `folding`, `blankBeforeColon`, `chunkPadding`. */
  readonly lenient?: readonly ('lengthBesideChunked' | 'anyStatus' | 'lineFeeds' | 'folding' | 'blankBeforeColon' | 'chunkPadding')[] | undefined;
  /** Short form of `timeouts: { firstByte: ... }`. Values: duration (at least 1ms, at most 24d), or `off`. */
  readonly timeout?: string | number | undefined;
  /** Deadlines of the upstream side; missed ones are answered with 504. Default: its defaults. */
  readonly timeouts?: {
    /** To make a connection, TLS included. Values: duration (at least 1ms, at most 24d), or `off`. Default: `3s`. */
    readonly connect?: string | number | undefined;
    /** From the last byte of the request to the first one of the answer. Default: `gateway.serviceTimeout`. Values: duration (at least 1ms, at most 24d), or `off`. */
    readonly firstByte?: string | number | undefined;
    /** Longest pause inside the body of a response; event streams (`text/event-stream`) have none. Set `off` for long polls. Values: duration (at least 1ms, at most 24d), or `off`. Default: `60s`. */
    readonly idle?: string | number | undefined;
    /** The whole exchange, all tries and the body together. Event streams and large downloads need `off`. Values: duration (at least 1ms, at most 24d), or `off`. Default: `off`. */
    readonly total?: string | number | undefined;
  } | undefined;
  /** When a request is tried again; a number is `{ attempts: N }`. Default: its defaults. */
  readonly retries?: number | {
    /** Further tries after the first; 0 never tries again. Values: whole number, 0 to 10. Default: `1`. */
    readonly attempts?: number | undefined;
    /** Faults that are tried again, within what is safe: once bytes were sent, only idempotent requests are. Default: all but `first_byte_timeout`, which is among them when `perTry` is set: what is slow is not made to do the work twice. Values: list of `connect_failed`, `connect_timeout`, `upstream_tls_failed`, `upstream_refused`, `upstream_reset`, `first_byte_timeout`, `upstream_malformed` (at most 20). */
    readonly faults?: readonly ('connect_failed' | 'connect_timeout' | 'upstream_tls_failed' | 'upstream_refused' | 'upstream_reset' | 'first_byte_timeout' | 'upstream_malformed')[] | undefined;
    /** Statuses of the service that are tried again, for idempotent requests. Values: list of whole number, 100 to 599 (at most 50). Default: empty. */
    readonly statuses?: readonly number[] | undefined;
    /** Methods that count as idempotent (RFC 9110 §9.2.2). An `Idempotency-Key` field makes any other one so. Values: list of text (at most 20). Default: `GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE`. */
    readonly methods?: readonly string[] | undefined;
    /** Deadline of each single try to its first byte; `off` goes by `timeouts.firstByte`. Values: duration (at least 1ms, at most 24d), or `off`. Default: `off`. */
    readonly perTry?: string | number | undefined;
    /** Pauses between tries: exponential, with full jitter. Default: its defaults. */
    readonly backoff?: {
      /** Longest pause before the first further try; doubled for each next one. The pause is drawn between 0 and that. Values: duration (at most 1m). Default: `25ms`. */
      readonly base?: string | number | undefined;
      /** Longest pause at all. Values: duration (at most 1m). Default: `1s`. */
      readonly max?: string | number | undefined;
    } | undefined;
    /** Retries and hedges as a share of requests, over ten seconds and all workers; 100% is no limit. Default: `20%`. */
    readonly budget?: string | number | undefined;
    /** Retries per second that are always allowed, so that a quiet service can be tried again at all. Values: number, 0 to 10000. Default: `3`. */
    readonly budgetMinimum?: number | undefined;
    /** Request bodies up to this size are kept, so that they can be sent again; requests with larger ones are not tried again once part of the body was sent. Values: size (at most 64mb). Default: `64kb`. */
    readonly maxReplaySize?: string | number | undefined;
  } | undefined;
  /** Stops asking a service, or an instance, that fails, and tries it again after a while. */
  readonly circuitBreaker?: {
    /** A response that starts later than this counts as an error. Values: duration (at least 1ms, at most 24d), or `off`. Default: `off`. */
    readonly timeout?: string | number | undefined;
    /** Opens when this share of the responses in the window are errors, in percent. Values: number, 1 to 100. Default: `50`. */
    readonly errorThresholdPercentage?: number | undefined;
    /** How long it stays open before it lets probes through. Values: duration (at least 1ms, at most 24d). Default: `30s`. */
    readonly resetTimeout?: string | number | undefined;
    /** Length of the window in which responses are counted. Values: duration (at least 100ms, at most 1h). Default: `10s`. */
    readonly rollingCountTimeout?: string | number | undefined;
    /** Parts of the window; the oldest part is forgotten as a new one begins. Values: whole number, 1 to 60. Default: `10`. */
    readonly rollingCountBuckets?: number | undefined;
    /** Fewest responses in the window before it may open. Values: whole number, 1 to 1000000. Default: `10`. */
    readonly volumeThreshold?: number | undefined;
    /** Requests let through at once while it is half open; the rest are answered with 503. Values: whole number, 1 to 1000. Default: `3`. */
    readonly halfOpenProbes?: number | undefined;
    /** Statuses of the service that count as errors; `5xx` is all from 500 to 599. Faults of the upstream side always count. Values: list of `5xx`, or whole number, 400 to 599 (at most 100). Default: `5xx`. */
    readonly errorStatuses?: readonly (number | '5xx')[] | undefined;
    /** Whether the service as a whole has a breaker, each of its instances has one, or both. Values: `service`, `instance`, `both`. Default: `both`. */
    readonly scope?: 'service' | 'instance' | 'both' | undefined;
  } | undefined;
  /** Takes instances out of the traffic that answer worse than the others, for a while. Without this key three lost connections in a row take an instance out for 10 s; `off` never does. */
  readonly ejection?: 'off' | {
    /** What counts: lost connections only (refused, reset, timed out, broken off), or every failure, error statuses and slow responses included. Values: `connections`, `failures`. Default: `failures`. */
    readonly counts?: 'connections' | 'failures' | undefined;
    /** Faults in a row that eject an instance; 0 turns this off. Values: whole number, 0 to 10000. Default: `5`. */
    readonly consecutiveFaults?: number | undefined;
    /** Ejects an instance whose share of errors is above the mean of the service by this many standard deviations; 0 turns this off. Values: number, 0 to 10. Default: `0`. */
    readonly deviationFactor?: number | undefined;
    /** Least requests of an instance in an interval before its share of errors is looked at. Values: whole number, 1 to 1000000. Default: `20`. */
    readonly minimumRequests?: number | undefined;
    /** Time between two looks at the shares of errors. Values: duration (at least 100ms, at most 24d). Default: `10s`. */
    readonly interval?: string | number | undefined;
    /** How long the first ejection lasts; each further one lasts that much longer. Values: duration (at least 100ms, at most 24d). Default: `30s`. */
    readonly baseEjection?: string | number | undefined;
    /** How long an ejection lasts at most. Values: duration (at least 100ms, at most 24d). Default: `5m`. */
    readonly maxEjection?: string | number | undefined;
    /** Largest share of the instances that may be ejected at one time. Default: `50%`. */
    readonly maxEjected?: string | number | undefined;
  } | undefined;
  /** How many requests may be in flight. */
  readonly concurrency?: {
    /** Requests in flight for the service, over all workers. Values: `unlimited`, or whole number, 1 to 10000000. Default: `unlimited`. */
    readonly maxPerService?: 'unlimited' | number | undefined;
    /** Requests in flight for each instance, over all workers. Values: `unlimited`, or whole number, 1 to 10000000. Default: `unlimited`. */
    readonly maxPerInstance?: 'unlimited' | number | undefined;
    /** Requests that may wait for their turn; more are answered with 503. Values: whole number, 0 to 1000000. Default: `0`. */
    readonly maxQueued?: number | undefined;
    /** Longest wait. Values: duration (at least 1ms, at most 24d). Default: `1s`. */
    readonly queueTimeout?: string | number | undefined;
    /** Lowers and raises the limit by how the service answers; the numbers above are then the most. Default: `false`. */
    readonly adaptive?: boolean | undefined;
  } | undefined;
  /** A second try while the first is slow, within the budget of `retries`; the slower one is cancelled. */
  readonly hedge?: {
    /** Sends a second request to another instance after this long without an answer. Values: duration (at least 1ms, at most 24d). */
    readonly delay?: string | number | undefined;
    /** The same, when a response takes longer than this share of recent ones; instead of `delay`. Values: share (at least 50%, at most 99.99%). */
    readonly percentile?: string | number | undefined;
    /** Methods that may be sent twice. A request with a body is not. Values: list of text (at most 10). Default: `GET`, `HEAD`. */
    readonly methods?: readonly string[] | undefined;
  } | undefined;
  /** How long the share of a new or recovered instance grows to its full weight. Values: duration (at least 100ms, at most 1h), or `off`. Default: `off`. */
  readonly slowStart?: string | number | undefined;
  /** When every instance is down: answer 503 at once (`fail`), or `try` them anyway. Values: `fail`, `try`. Default: `fail`. */
  readonly whenAllDown?: 'fail' | 'try' | undefined;
  /** Keeps a caller on the instance that it got first, by a signed cookie, whatever the algorithm. */
  readonly sticky?: {
    /** Name of the cookie. Default: `gatehouse_instance`. */
    readonly cookie?: string | undefined;
    /** How long the cookie lives. Values: duration (at least 1s). Default: `1h`. */
    readonly ttl?: string | number | undefined;
    /** Key that signs the cookie, at least 16 characters; the same on all gateways that share the traffic. Values: secret text, at least 16 characters. */
    readonly key: string;
    /** Path of the cookie. Default: `/`. */
    readonly path?: string | undefined;
    /** `Secure` of the cookie. Default: true if a listener has TLS. */
    readonly secure?: boolean | undefined;
    /** `SameSite` of the cookie; `None` needs `secure`. Values: `Lax`, `Strict`, `None`. Default: `Lax`. */
    readonly sameSite?: 'Lax' | 'Strict' | 'None' | undefined;
  } | undefined;
  /** Prefers instances of the same zone. */
  readonly zone?: {
    /** Zone that this gateway is in. */
    readonly local: string;
    /** Traffic leaves the zone when a smaller share of its instances is healthy. Default: `50%`. */
    readonly minHealthy?: string | number | undefined;
    /** Traffic leaves the zone when its instances have more than this many requests in flight each. Values: `unlimited`, or whole number, 1 to 10000000. Default: `unlimited`. */
    readonly maxInFlightPerInstance?: 'unlimited' | number | undefined;
  } | undefined;
  /** What is done when no instance is left or the breaker is open. */
  readonly fallback?: {
    /** Service that is asked instead. */
    readonly service: N['services'];
  } | {
    /** Response that is sent instead. */
    readonly respond: {
      /** Status of the answer. Values: whole number, 200 to 599. Default: `200`. */
      readonly status?: number | undefined;
      /** Header fields of the answer. Default: its defaults. */
      readonly headers?: Headers2 | undefined;
      /** Body, as text; `text/plain` unless `headers` says otherwise. */
      readonly body?: string | undefined;
      /** Body, as JSON; instead of `body`. */
      readonly json?: unknown | undefined;
    };
  } | undefined;
  /** Connections to the instances. Default: its defaults. */
  readonly pool?: {
    /** Most connections for each instance and worker. Over HTTP/2 as many again may be finishing their requests. Values: whole number, 1 to 65535. Default: `256`. */
    readonly maxConnections?: number | undefined;
    /** Requests that may wait for a connection, for each instance and worker; more are answered with 503. Values: whole number, 0 to 1000000. Default: `1024`. */
    readonly maxQueued?: number | undefined;
    /** Longest wait for a connection. Values: duration (at least 1ms, at most 24d). Default: `5s`. */
    readonly queueTimeout?: string | number | undefined;
    /** Share of `maxConnections` (over HTTP/2: of their streams) and of `maxQueued` that requests of one address may hold; further ones wait, or are answered with 503. An IPv6 address counts with its /64. `100%` is no limit. Values: share (at least 0.1%). Default: `75%`. */
    readonly perAddress?: string | number | undefined;
    /** Idle connections are closed after this long. Keep it below the keep-alive timeout of the service. Values: duration (at least 100ms, at most 24d). Default: `4s`. */
    readonly idleTimeout?: string | number | undefined;
    /** A connection this old takes no new request and ends when its last one is done, so that names are resolved anew and balancers in between can spread. Each ends up to a tenth earlier, so that not all do at once. `off`: no limit. Values: duration (at least 1s, at most 24d), or `off`. Default: `1h`. */
    readonly maxAge?: string | number | undefined;
    /** An HTTP/2 connection on which nothing arrived for this long is sent a PING; HTTP/1.1 has none. Default: `15s`; with `protocol: grpc` `6m`, since gRPC servers end connections that send one more often than every five minutes. `off`: never. Values: duration (at least 1s, at most 24d), or `off`. */
    readonly pingAfter?: string | number | undefined;
    /** A connection on which nothing arrives for this long after a PING is lost, with the requests on it. Values: duration (at least 1s, at most 24d). Default: `15s`. */
    readonly pingTimeout?: string | number | undefined;
  } | undefined;
  /** A connection to an instance is asked for when so much of the request body is here, or all of it: who sends slowly holds none. Not for gRPC, upgrades and clients that wait for `100 Continue`. `off` sends the head at once, for services that read while the client is still thinking. Values: size (at least 1b, at most 1mb), or `off`. Default: `64kb`. */
  readonly requestBuffer?: string | number | undefined;
  /** `Host` of upstream requests: the caller’s (`preserve`), the instance’s own (`instance`), or `{ fixed: name }`. Default: `preserve`. */
  readonly host?: 'preserve' | 'instance' | {
    /** The authority to send. */
    readonly fixed: string;
  } | undefined;
  /** TLS to `https` instances. */
  readonly tls?: {
    /** Name sent (SNI) and checked instead of the host of the instance. */
    readonly serverName?: string | undefined;
    /** File with the authorities to trust instead of the system’s, PEM. */
    readonly ca?: string | undefined;
    /** File with the certificate of the gateway, for services that ask for one, PEM. */
    readonly cert?: string | undefined;
    /** File with the private key of `cert`, PEM. */
    readonly key?: string | undefined;
    /** `false` accepts any certificate. Security: then anybody on the way can read and change everything. Default: `true`. */
    readonly verify?: boolean | undefined;
  } | undefined;
  /** Where the instances come from, beside or instead of `instances`. */
  readonly discovery?: {
    /** Instances from DNS. */
    readonly dns?: {
      /** Name to look up; for SRV the whole name, such as `_http._tcp.projects.internal`. Without `servers` the hosts file and the search domains of the machine count; a name that ends with a dot is complete. */
      readonly name: string;
      /** Kind of record: IPv4 addresses, IPv6 addresses, or SRV, which brings ports, weights and priorities. Values: `A`, `AAAA`, `SRV`. Default: `A`. */
      readonly type?: 'A' | 'AAAA' | 'SRV' | undefined;
      /** Port of every instance. Needed for A and AAAA; SRV records carry their own. Values: whole number, 1 to 65535. */
      readonly port?: number | undefined;
      /** Scheme of the instance URLs. With https, set `tls.serverName` too. Values: `http`, `https`. Default: `http`. */
      readonly scheme?: 'http' | 'https' | undefined;
      /** Shortest time between two look-ups, also when the record says less. Values: duration (at least 100ms). Default: `5s`. */
      readonly minTtl?: string | number | undefined;
      /** Longest time between two look-ups, also when the record says more. Values: duration (at least 100ms). Default: `5m`. */
      readonly maxTtl?: string | number | undefined;
      /** Time between two look-ups of an SRV name, or of a name without records, whose TTL Node does not tell. Values: duration (at least 100ms). Default: `30s`. */
      readonly interval?: string | number | undefined;
      /** Time that one name server gets to answer; each is tried twice. Values: duration (at least 10ms, at most 1m). Default: `2s`. */
      readonly timeout?: string | number | undefined;
      /** Name servers as `address` or `address:port`; they are asked for the name as it is written. Default: those of the machine. Values: list of text (at most 8). Default: empty. */
      readonly servers?: readonly string[] | undefined;
      /** When the name has no records any more: keep the last ones, or take the instances away. Values: `keep`, `remove`. Default: `keep`. */
      readonly whenEmpty?: 'keep' | 'remove' | undefined;
      /** Weight of each instance of an A or AAAA name. Values: number, 0 to 1000. Default: `1`. */
      readonly weight?: number | undefined;
      /** Zone of the instances, for zone-aware balancing. */
      readonly zone?: string | undefined;
    } | undefined;
    /** Instances from a watched file: its path, or `{ path, pollInterval }`. */
    readonly file?: string | {
      /** YAML or JSON file with a list of instances; relative to the configuration file. */
      readonly path: string;
      /** How often the file is looked at where the system does not tell of changes, such as on network drives. Values: duration (at least 100ms). Default: `5s`. */
      readonly pollInterval?: string | number | undefined;
    } | undefined;
    /** Instances that register themselves with the gateway: `true`, or `{ allow, maxInstances }`. */
    readonly registry?: boolean | {
      /** Addresses that may be registered, as CIDR blocks; host names are refused then. Empty allows all but link-local ones. Values: list of CIDR block (at most 256). Default: empty. */
      readonly allow?: readonly string[] | undefined;
      /** Most instances that may be registered at once. Values: whole number, 1 to 1024. Default: `256`. */
      readonly maxInstances?: number | undefined;
    } | undefined;
    /** Instances from the EndpointSlices of a Kubernetes Service. */
    readonly kubernetes?: {
      /** Name of the Kubernetes Service whose EndpointSlices are watched. */
      readonly service: string;
      /** Namespace of the Service. Default: the one that the gateway runs in. */
      readonly namespace?: string | undefined;
      /** Port of the pods, by name or number. May be left out when the Service has one port. Values: whole number, 1 to 65535, or text. */
      readonly port?: number | string | undefined;
      /** Scheme of the instance URLs. Default: https when the port’s appProtocol says so, else http. Values: `http`, `https`. */
      readonly scheme?: 'http' | 'https' | undefined;
      /** Zone of an instance: the one that its topology hint names, where there is a hint, or always the one it runs in. Values: `hints`, `endpoint`. Default: `hints`. */
      readonly zones?: 'hints' | 'endpoint' | undefined;
      /** URL of the API server. Default: that of the cluster that the gateway runs in. */
      readonly apiServer?: string | undefined;
      /** File with the bearer token, read anew for each request. Default: that of the service account. */
      readonly tokenFile?: string | undefined;
      /** PEM file with the authority of the API server. Default: that of the service account. */
      readonly caFile?: string | undefined;
    } | undefined;
  } | undefined;
  /** Asks every instance again and again whether it is well; one that is not gets no requests until it is. */
  readonly healthCheck?: {
    /** What is asked: an HTTP response (`http`, `https`), a TCP connection (`tcp`), or `grpc.health.v1.Health/Check` (`grpc`, with TLS when the instance has it). Default: http or https, as the instance URL says. Values: `http`, `https`, `tcp`, `grpc`. */
    readonly kind?: 'http' | 'https' | 'tcp' | 'grpc' | undefined;
    /** Path and query that HTTP probes ask for, behind the path of the instance URL if it has one. Default: `/health`. */
    readonly path?: string | undefined;
    /** Method of HTTP probes. Values: `GET`, `HEAD`. Default: `GET`. */
    readonly method?: 'GET' | 'HEAD' | undefined;
    /** Time from the start of one probe of an instance to the start of the next. Values: duration (at least 100ms, at most 24d). Default: `10s`. */
    readonly interval?: string | number | undefined;
    /** A probe without its whole answer after this long has failed. Default 2s, or the interval if that is shorter. Values: duration (at least 10ms, at most 24d). */
    readonly timeout?: string | number | undefined;
    /** Random share by which each interval is made longer or shorter, so that probes do not march in step. Values: share (at most 50%). Default: `10%`. */
    readonly jitter?: string | number | undefined;
    /** Good responses in a row that bring an instance back. The very first needs no second. Values: whole number, 1 to 100. Default: `2`. */
    readonly healthyThreshold?: number | undefined;
    /** Failures in a row that take an instance out. Values: whole number, 1 to 100. Default: `3`. */
    readonly unhealthyThreshold?: number | undefined;
    /** Statuses that count as good: a number, a range such as `200-299`, or a list of both. HTTP only. Values: whole number, 100 to 599, or text, or list of whole number, 100 to 599, or text (at most 32). Default: `200-299`. */
    readonly expectStatus?: number | string | readonly (number | string)[] | undefined;
    /** Text that the body must contain, or `{ regex: ... }` that must be found in its first 8 KiB. HTTP only. */
    readonly expectBody?: string | {
      /** What must be found in the first 8 KiB of the body. */
      readonly regex: string;
    } | undefined;
    /** How much of the body is read; `expectBody` looks at no more than this. Values: size (at least 1b, at most 1mb). Default: `64kb`. */
    readonly maxBody?: string | number | undefined;
    /** Fields that HTTP and gRPC probes send. `Host` replaces the instance’s own authority. Default: its defaults. */
    readonly headers?: { readonly [name: string]: string } | undefined;
    /** Port to probe, when it is not the one that takes the traffic. Values: whole number, 1 to 65535. */
    readonly port?: number | undefined;
    /** Service name that gRPC probes ask about; empty asks about the server as a whole. Default: empty. */
    readonly grpcService?: string | undefined;
  } | undefined;
  /** Who may call. `public`: everybody. `{}` or absent: callers with a token or key that this gateway knows. Default: `{}`. */
  readonly auth?: Auth<N> | undefined;
  /** What a caller, once known, may do here. */
  readonly authorize?: Authorize2 | undefined;
  /** Stores responses of the service, handler or aggregation and sends them again (RFC 9111). `{}`: by the rules of the RFC alone. */
  readonly cache?: Cache2 | undefined;
  /** Packs responses for clients that say in `Accept-Encoding` that they want that. Security: a secret in a response beside text that an attacker chooses can be guessed by the packed length (BREACH); leave such routes out. */
  readonly compression?: Compression2 | undefined;
  /** Which pages of other sites may read answers (CORS). */
  readonly cors?: Cors2 | undefined;
  /** Unpacks request bodies with `Content-Encoding` before anything looks at them; the service gets them unpacked. */
  readonly decompression?: Decompression2 | undefined;
  /** Makes requests slow or fail on purpose, to try out clients, time-outs and alerts. `check` and start warn of it. */
  readonly faultInjection?: FaultInjection | undefined;
  /** Sets, adds, removes and renames header fields. */
  readonly headers?: Headers3 | undefined;
  /** Refuses what no request of an API needs, and hides what responses tell about the software behind. */
  readonly hygiene?: Hygiene2 | undefined;
  /** Carries out a request with an `Idempotency-Key` once: the same request gets the first response, another one with that key is 422, one that comes meanwhile 409. */
  readonly idempotency?: Idempotency | undefined;
  /** Who may come, by address. On the gateway for every request; services and routes can narrow it further. */
  readonly ipFilter?: IpFilter2 | undefined;
  /** Checks requests against an OpenAPI document: paths, parameters, headers, bodies. */
  readonly openapi?: Openapi | undefined;
  /** Limits of requests per time. Several blocks hold together; a request is charged to all of them or to none. */
  readonly rateLimit?: RateLimit3 | undefined;
  /** Fields that make browsers careful. */
  readonly securityHeaders?: SecurityHeaders2 | undefined;
  /** Changes query, status and JSON bodies (also NDJSON and server-sent events, one by one) on the way. */
  readonly transform?: Transform | undefined;
  /** Policies in files of your own, run after the built-in ones of the same phase: those of the gateway first, then of the service, then of the route, each in the order written. */
  readonly use?: Use2 | undefined;
  /** What a request must be; a wrong one is answered 400 with each field, its value and what was expected. */
  readonly validate?: Validate | undefined;
}

type Headers4 = string | {
  /** The whole value. */
  readonly equals: string;
} | {
  /** A regular expression that matches the whole value. */
  readonly regex: string;
} | {
  /** `true`: must be there; `false`: must not be there. */
  readonly present: boolean;
};

type Quota = string | {
  /** A quota that the key `quotas` defines. */
  readonly name: string;
  /** How much one request reserves. Values: whole number, 1 to 1000000. Default: `1`. */
  readonly cost?: number | undefined;
  /** Field of the service’s answer that tells what the request cost in the end; it is charged instead of `cost`. */
  readonly costHeader?: string | undefined;
  /** Which requests count: those answered below 400, below 500, or all. The others give back what they reserved. Values: `success`, `answered`, `always`. Default: `success`. */
  readonly counts?: 'success' | 'answered' | 'always' | undefined;
  /** Longest wait for the count, when it is not known here. Values: duration (at least 10ms, at most 30s). Default: `2s`. */
  readonly timeout?: string | number | undefined;
  /** When the count cannot be had: let requests pass uncounted, or refuse them with 503. Values: `open`, `closed`. Default: `closed`. */
  readonly whenAway?: 'open' | 'closed' | undefined;
  /** Tell callers with `RateLimit` and `RateLimit-Policy`. Default: `true`. */
  readonly headers?: boolean | undefined;
};

export interface WrittenRoute<N extends Names> {
  /** Name in logs and metrics; keeps counts together when the match changes. Default: made from `match`. */
  readonly name?: string | undefined;
  /** Which requests the route takes. */
  readonly match: {
    /** Path: literal segments, `:name` for one segment, a final `/*` for the rest (also nothing); or `{ regex: ... }`. This or `grpc`. */
    readonly path?: string | {
      /** A regular expression that matches the whole path; named groups become parameters. */
      readonly regex: string;
    } | undefined;
    /** Calls of gRPC and gRPC-Web, in place of `path` and `methods`: POST to `/service/method`. */
    readonly grpc?: {
      /** Full name of the gRPC service, with its package. */
      readonly service: string;
      /** Name of one method. Default: all methods of the service. */
      readonly method?: string | undefined;
    } | undefined;
    /** Host names; `*.example.com` is any name below. Default: any host. Values: text, or list of text. */
    readonly hosts?: string | readonly string[] | undefined;
    /** Methods. Default: any method. Values: text, or list of text. */
    readonly methods?: string | readonly string[] | undefined;
    /** Scheme that the caller used: that of the connection, or what a proxy in `trustProxy` says of it. Default: any. Values: `http`, `https`. */
    readonly scheme?: 'http' | 'https' | undefined;
    /** Names of listeners (`gateway.listeners`) that take the request. Default: any. Values: text, or list of text. */
    readonly listener?: string | readonly string[] | undefined;
    /** Header fields that must be as said: a text is the whole value; or `{ regex: ... }`, `{ present: true }`. Default: its defaults. */
    readonly headers?: { readonly [name: string]: Headers4 } | undefined;
    /** Query parameters that must be as said; as for `headers`. Default: its defaults. */
    readonly query?: { readonly [name: string]: Headers4 } | undefined;
  };
  /** Higher goes first among routes that could take the same request; then the more exact match does. Values: whole number, -1000000 to 1000000. Default: `0`. */
  readonly priority?: number | undefined;
  /** The version of the API that the route is. */
  readonly version?: {
    /** The version, such as `v1`. */
    readonly name: string;
    /** Where requests name the version; `path`: it is a part of `match.path`. Default: `path`. */
    readonly by?: 'path' | {
      /** Header field that holds the version. */
      readonly header: string;
    } | {
      /** Media type in `Accept` that names the version, as in `application/vnd.acme.v2+json` or by its parameter `version`; written without the version. */
      readonly accept: string;
    } | undefined;
    /** Also takes requests that name no version. Default: `false`. */
    readonly default?: boolean | undefined;
    /** Since when the version is deprecated; sent as `Deprecation` (RFC 9745). */
    readonly deprecated?: string | undefined;
    /** When the version will go away; sent as `Sunset` (RFC 8594). */
    readonly sunset?: string | undefined;
    /** Page about it; sent as `Link` with `rel="deprecation"`. */
    readonly link?: string | undefined;
  } | undefined;
  /** Action: sends the request to a service, or to one of a list `[{ service, weight }]`. */
  readonly service?: N['services'] | readonly ({
    /** Name of the service. */
    readonly service: N['services'];
    /** Share of the traffic, against the other weights. Values: number, 0 to 1000000. Default: `1`. */
    readonly weight?: number | undefined;
  })[] | undefined;
  /** Action: answers by itself. */
  readonly respond?: {
    /** Status of the answer. Values: whole number, 200 to 599. Default: `200`. */
    readonly status?: number | undefined;
    /** Header fields of the answer. Default: its defaults. */
    readonly headers?: Headers2 | undefined;
    /** Body, as text; `text/plain` unless `headers` says otherwise. */
    readonly body?: string | undefined;
    /** Body, as JSON; instead of `body`. */
    readonly json?: unknown | undefined;
  } | undefined;
  /** Action: redirects; a text is the location. */
  readonly redirect?: string | {
    /** Target: a URL or a path. `:name` stands for a parameter of the match, `{path}`, `{query}`, `{search}` (the query with its `?`), `{host}` (with its port) and `{hostname}` for those of the request. */
    readonly location: string;
    /** Status of the answer. Values: `301`, `302`, `303`, `307`, `308`. Default: `308`. */
    readonly status?: 301 | 302 | 303 | 307 | 308 | undefined;
  } | undefined;
  /** Action: asks several services and answers with what they say, as one JSON document. */
  readonly aggregate?: {
    /** The requests, by name. They run at the same time, except that one waits for those that it refers to. */
    readonly parts: { readonly [name: string]: {
      /** Service that is asked. */
      readonly service: string;
      /** Path, and query if written, such as `/users/{params.id}`. A value is one segment, percent-encoded. */
      readonly path: string;
      /** Method of the request. Values: `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`. Default: `GET`. */
      readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | undefined;
      /** Query parameters. One without value is left out. Default: its defaults. */
      readonly query?: { readonly [name: string]: string } | undefined;
      /** Header fields besides those that every request to a service has (identity, request id, forwarding). Default: its defaults. */
      readonly headers?: { readonly [name: string]: string } | undefined;
      readonly body?: Json | undefined;
      /** Condition as in `authorize.when`, such as `auth.plan == "premium"`; otherwise the part is left out. */
      readonly when?: string | undefined;
      /** Longest wait for this part. Default: what is left. Values: duration (at least 1ms, at most 5m). */
      readonly timeout?: string | number | undefined;
      /** `fail`: the whole response fails with it. `omit`: it is left out and named in `partial`. Default: `fail`. */
      readonly onFailure?: 'fail' | 'omit' | {
        readonly default: Json;
      } | undefined;
      /** Asks once for each item of a list, which templates call `item`; the result is a list in the same order. */
      readonly forEach?: string | {
        /** Reference to a list, such as `parts.orders.body.items`. */
        readonly list: string;
        /** Most items; a longer list is a failure of the part. Values: whole number, 1 to 1000. Default: `50`. */
        readonly max?: number | undefined;
        /** Most requests of this part at once. Values: whole number, 1 to 32. Default: `8`. */
        readonly concurrency?: number | undefined;
      } | undefined;
    } };
    readonly response?: Json | undefined;
    /** Longest time for all parts together. Values: duration (at least 1ms, at most 5m). Default: `10s`. */
    readonly timeout?: string | number | undefined;
    /** Largest response of a part. Values: size (at least 1b, at most 16mb). Default: `1mb`. */
    readonly maxPartSize?: string | number | undefined;
    /** Most requests at once. Values: whole number, 1 to 64. Default: `8`. */
    readonly concurrency?: number | undefined;
    /** Parts whose `Set-Cookie` fields pass. Values: list of text (at most 32). Default: empty. */
    readonly cookiesFrom?: readonly string[] | undefined;
    /** Lets several parts use methods that change something. If one of them fails the others may have had their effect. Default: `false`. */
    readonly allowSeveralWrites?: boolean | undefined;
  } | undefined;
  /** Action: a function in a file of your own makes the response; a text is the file. */
  readonly handler?: string | {
    /** Module whose default export is made with `defineHandler`, relative to the configuration file. Security: it runs inside the gateway with all its rights; name only files that you trust. */
    readonly file: string;
    readonly options?: Json | undefined;
    /** Longest wait for its `Response`; then 504. The body may take longer. Values: duration (at least 1ms, at most 1h). Default: `30s`. */
    readonly timeout?: string | number | undefined;
  } | undefined;
  /** Action: a ticket for the caller, by which a page opens one WebSocket or event stream on a route with `auth.tickets`: `?ticket=...`. */
  readonly ticket?: {
    /** How long the ticket can be used, once. Values: duration (at least 5s, at most 5m). Default: `30s`. */
    readonly ttl?: string | number | undefined;
  } | undefined;
  /** Action: sends the request to a service of the gateway itself, such as `ops`. */
  readonly builtin?: string | undefined;
  /** Who may call. `public`: everybody. `{}` or absent: callers with a token or key that this gateway knows. Default: `{}`. */
  readonly auth?: 'public' | Auth<N> | undefined;
  /** How a weighted list of services is chosen from, beyond the weights. */
  readonly split?: {
    /** Requests with this header go to this service. Default: empty. */
    readonly headers?: readonly {
      /** Name of the header field. */
      readonly name: string;
      /** Its whole value. */
      readonly value: string;
      /** Service of the list that then gets the request. */
      readonly service: N['services'];
    }[] | undefined;
    /** Requests with this cookie go to this service. Default: empty. */
    readonly cookies?: readonly {
      /** Name of the cookie. */
      readonly name: string;
      /** Its whole value. */
      readonly value: string;
      /** Service of the list that then gets the request. */
      readonly service: N['services'];
    }[] | undefined;
    /** Keeps a caller on the service that it got first. */
    readonly sticky?: {
      /** Name of the cookie. Default: `gatehouse_split`. */
      readonly cookie?: string | undefined;
      /** How long the cookie lives. Values: duration (at least 1s). Default: `1h`. */
      readonly ttl?: string | number | undefined;
    } | undefined;
  } | undefined;
  /** Changes the path and the host before the request is sent on. In this order: `path` or `stripPrefix`, `regex`, `addPrefix`. */
  readonly rewrite?: {
    /** Taken off the front of the path. */
    readonly stripPrefix?: string | undefined;
    /** Put before the path. */
    readonly addPrefix?: string | undefined;
    /** The whole new path; `:name` and a final `*` stand for what `match.path` matched. */
    readonly path?: string | undefined;
    /** Replaces a part of the path. */
    readonly regex?: {
      /** A regular expression that matches the whole path. */
      readonly pattern: string;
      /** What is put there; `$1` is the first group. */
      readonly replacement: string;
    } | undefined;
    /** `Host` of the upstream request; wins over `host` of the service. */
    readonly host?: string | undefined;
    /** Puts right what responses say of the service’s own URLs: `Location`, `Content-Location`, `Refresh`, `Path` and `Domain` of cookies. Without it this is done for what the gateway took off or put before the path, and for hosts that clients do not know; `off` lets them pass as they came. */
    readonly response?: 'off' | {
      /** More prefixes of paths as the service says them, and as clients know them: `{ /internal: /shop }`. The longest that fits counts; `/` fits all. Default: its defaults. */
      readonly paths?: { readonly [name: string]: '/' | (string & {}) } | undefined;
      /** More hosts by which the service names itself, beside its instances and `host`. Values: list of text (at most 100). Default: empty. */
      readonly hosts?: readonly string[] | undefined;
    } | undefined;
  } | undefined;
  /** Sends a copy of requests to another service. */
  readonly mirror?: {
    /** Service that gets the copies; its responses are thrown away. */
    readonly service: N['services'];
    /** Share of the requests that are copied. Default: `100%`. */
    readonly ratio?: string | number | undefined;
    /** Requests with larger bodies are not copied. Values: size (at most 64mb). Default: `64kb`. */
    readonly maxBodySize?: string | number | undefined;
  } | undefined;
  /** Takes JSON over HTTP and calls a gRPC service, by `google.api.http` in its definition. Calls of gRPC pass as they are. */
  readonly transcode?: {
    /** `.proto` files that define the services. This, `descriptorSet` or `reflection`. Values: text, or list of text. */
    readonly proto?: string | readonly string[] | undefined;
    /** Folders in which their imports are looked for, after the folders of the files. google/protobuf, google/api/http, httpbody and annotations, google/rpc are known. Values: text, or list of text. */
    readonly importPaths?: string | readonly string[] | undefined;
    /** File in place of `proto`, from `protoc --include_imports --descriptor_set_out=FILE`. */
    readonly descriptorSet?: string | undefined;
    /** In place of `proto`: the service is asked for its definition, by server reflection (v1 or v1alpha), when the gateway starts and every minute. Until it has answered, the route answers 503. */
    readonly reflection?: true | {
      /** How often the service is asked again. While it does not answer, it is asked more often. Values: duration (at least 1s, at most 1d). Default: `1m`. */
      readonly refresh?: string | number | undefined;
    } | undefined;
    /** Full names of the gRPC services. Default: all that there are. Values: text, or list of text. */
    readonly services?: string | readonly string[] | undefined;
    /** Methods without `google.api.http` are reached by POST to `/package.Service/Method` with the request as body. Default: `false`. */
    readonly unbound?: boolean | undefined;
    /** Names of fields in responses: lowerCamelCase, or as in the `.proto` file. Requests may use either. Values: `json`, `proto`. Default: `json`. */
    readonly names?: 'json' | 'proto' | undefined;
    /** Responses have also fields that hold their default value, such as `0`, `""` and `[]`; `optional` ones only when set. Default: `true`. */
    readonly defaults?: boolean | undefined;
    /** Query parameters that are no field of the request; others that are none are refused with 400. Values: text, or list of text. */
    readonly ignoreQuery?: string | readonly string[] | undefined;
    /** Largest message of a response; a larger one is 502. Values: size (at least 1kb, at most 256mb). Default: `4mb`. */
    readonly maxMessageSize?: string | number | undefined;
  } | undefined;
  /** Largest request body; `unlimited` is possible. Default: `gateway.maxRequestSize`. Values: size, or `unlimited`. */
  readonly maxRequestSize?: string | number | undefined;
  /** How much of the request body is here before a service is asked. Default: `requestBuffer` of the service. `off` for routes whose requests are streams. Values: size (at least 1b, at most 1mb), or `off`. */
  readonly requestBuffer?: string | number | undefined;
  /** Forms of a path that a service could read in another way than the gateway does. They pass unless another reading belongs to another route; `strict` refuses them all. Security: allow only what the service needs. Default: its defaults. */
  readonly pathSafety?: 'strict' | {
    /** Refuses every form that could be read in two ways with 400, also where no other route is concerned, and bytes that came unencoded. Default: `false`. */
    readonly strict?: boolean | undefined;
    /** Lets `.` and `..` segments through instead of answering 400. Default: `false`. */
    readonly allowDotSegments?: boolean | undefined;
    /** `%2F` is data to the service: it is never read as a slash. Default: `false`. */
    readonly allowEncodedSlash?: boolean | undefined;
    /** `%5C` and a backslash are data to the service. Default: `false`. */
    readonly allowEncodedBackslash?: boolean | undefined;
    /** With `strict`: lets `%2E` through. Default: `false`. */
    readonly allowEncodedDot?: boolean | undefined;
    /** `//` is data to the service: slashes are never merged. Default: `false`. */
    readonly allowDoubleSlash?: boolean | undefined;
  } | undefined;
  /** Protocols that `Upgrade` may open a tunnel for. Default: `websocket` on routes to services, `off` on others. An upgrade to anything else is ignored (RFC 9110 §7.8). Values: `off`, or text, or list of text. */
  readonly upgrades?: 'off' | string | readonly string[] | undefined;
  /** Keeps banned callers out and counts what they do wrong, by the rules of the top-level key `abuse`. A route with `off` does neither. Values: `off`, or `on`. */
  readonly abuse?: 'off' | 'on' | undefined;
  /** What a caller, once known, may do here. */
  readonly authorize?: Authorize2 | undefined;
  /** Stores responses of the service, handler or aggregation and sends them again (RFC 9111). `{}`: by the rules of the RFC alone. */
  readonly cache?: Cache2 | undefined;
  /** Packs responses for clients that say in `Accept-Encoding` that they want that. Security: a secret in a response beside text that an attacker chooses can be guessed by the packed length (BREACH); leave such routes out. */
  readonly compression?: Compression2 | undefined;
  /** Which pages of other sites may read answers (CORS). */
  readonly cors?: Cors2 | undefined;
  /** Unpacks request bodies with `Content-Encoding` before anything looks at them; the service gets them unpacked. */
  readonly decompression?: Decompression2 | undefined;
  /** Makes requests slow or fail on purpose, to try out clients, time-outs and alerts. `check` and start warn of it. */
  readonly faultInjection?: 'off' | FaultInjection | undefined;
  /** Sets, adds, removes and renames header fields. */
  readonly headers?: Headers3 | undefined;
  /** Refuses what no request of an API needs, and hides what responses tell about the software behind. */
  readonly hygiene?: Hygiene2 | undefined;
  /** Carries out a request with an `Idempotency-Key` once: the same request gets the first response, another one with that key is 422, one that comes meanwhile 409. */
  readonly idempotency?: 'off' | Idempotency | undefined;
  /** Who may come, by address. On the gateway for every request; services and routes can narrow it further. */
  readonly ipFilter?: IpFilter2 | undefined;
  /** Checks requests against an OpenAPI document: paths, parameters, headers, bodies. */
  readonly openapi?: 'off' | Openapi | undefined;
  /** Action: publishes the request as an event; 202 once it is durable. */
  readonly publish?: {
    /** Stream of `events.streams` that gets the event. */
    readonly stream: string;
    /** Subject of the event, with placeholders such as `{params.id}` and `{auth.sub}`, each of which fills one part. Default: the name of the stream. */
    readonly subject?: string | undefined;
    /** Events with the same key are delivered one after the other, with placeholders. Default: the subject. */
    readonly key?: string | undefined;
    /** What a body must be: `any`; `json`, else 422; `cloudevent`, a CloudEvent in structured, batched or binary mode, else 422. CloudEvents are recognised in any case. Values: `any`, `json`, `cloudevent`. Default: `any`. */
    readonly body?: 'any' | 'json' | 'cloudevent' | undefined;
    /** CloudEvents `type` of events that bring none. Default: the subject. */
    readonly type?: string | undefined;
    /** CloudEvents `source` of events that bring none. Default: `/` and the name of the stream. */
    readonly source?: string | undefined;
    /** Largest event, or batch of events; larger ones are answered with 413. Values: size (at least 1b, at most 8mb). Default: `256kb`. */
    readonly maxSize?: string | number | undefined;
    /** Longest wait for the acknowledgement of the engine, then 503, or 202 by way of the outbox. Values: duration (at least 50ms, at most 30s). Default: `2s`. */
    readonly ackTimeout?: string | number | undefined;
    /** Keeps events that the engine does not acknowledge in the SQL store and hands them over when it is back, in order; the response is 202 once the row is durable. Default: `false`. */
    readonly outbox?: boolean | undefined;
    /** Whether a request without the field `Idempotency-Key` is answered with 400. Values: `optional`, `required`. Default: `optional`. */
    readonly idempotencyKey?: 'optional' | 'required' | undefined;
    /** How long the response to an `Idempotency-Key` is kept and given again. Values: duration (at least 1m, at most 30d). Default: `24h`. */
    readonly keepKeys?: string | number | undefined;
  } | undefined;
  /** Quota that each request of the route uses up, such as `stories`; several are all needed. */
  readonly quota?: Quota | readonly Quota[] | undefined;
  /** Limits of requests per time. Several blocks hold together; a request is charged to all of them or to none. */
  readonly rateLimit?: RateLimit3 | undefined;
  /** With `builtin: realtime`: who may come in. */
  readonly realtime?: {
    /** Origins of pages that may open a WebSocket here; others are answered with 403. Default: pages of the host that is asked. Values: text, or list of text (at most 200). */
    readonly origins?: string | readonly string[] | undefined;
    /** Whether anonymous clients may stay. Default: such a client has `events.hub.authTimeout` to authenticate. Default: `false`. */
    readonly anonymous?: boolean | undefined;
  } | undefined;
  /** Fields that make browsers careful. */
  readonly securityHeaders?: SecurityHeaders2 | undefined;
  /** Action: sends events to the client as they come, as server-sent events or over a WebSocket, and again from where it was. */
  readonly subscribe?: {
    /** Stream of `events.streams` that is read. */
    readonly stream: string;
    /** Pattern of the subjects that a client gets: `*` is any one part, a final `>` one part or more. Placeholders such as `{auth.sub}` fill one part each and can widen nothing; a request without such a value is answered with 403. Default: all of the stream. */
    readonly subject?: string | undefined;
    /** Where a client without a position begins: with new events, or with the oldest event kept. Values: `now`, `earliest`. Default: `now`. */
    readonly from?: 'now' | 'earliest' | undefined;
    /** What a client gets: CloudEvents as JSON, or what was published, alone. Values: `cloudevent`, `data`. Default: `cloudevent`. */
    readonly format?: 'cloudevent' | 'data' | undefined;
    /** Pause after which a comment is sent, so that no proxy takes the connection for dead. Values: duration (at least 1s, at most 30s). Default: `15s`. */
    readonly heartbeat?: string | number | undefined;
    /** How long a client waits before it connects again (`retry:`). Values: duration (at least 0ms, at most 1h). Default: `2s`. */
    readonly retry?: string | number | undefined;
    /** What happens to a client that reads more slowly than events come: `catch-up` reads what it missed from the engine; `gap` tells it that events are missing and goes on with the newest; `close` ends the connection, and it resumes where it was. Values: `catch-up`, `gap`, `close`. Default: `catch-up`. */
    readonly slow?: 'catch-up' | 'gap' | 'close' | undefined;
    /** Connections that one caller (or one address, for anonymous callers) may have open, then 429. Values: whole number, 1 to 100000. Default: `20`. */
    readonly maxPerCaller?: number | undefined;
    /** Origins of pages that may open a WebSocket here. Browsers send cookies with it from any page, so others are answered with 403. Default: pages of the host that is asked. Values: text, or list of text (at most 200). */
    readonly origins?: string | readonly string[] | undefined;
  } | undefined;
  /** Changes query, status and JSON bodies (also NDJSON and server-sent events, one by one) on the way. */
  readonly transform?: 'off' | Transform | undefined;
  /** Policies in files of your own, run after the built-in ones of the same phase: those of the gateway first, then of the service, then of the route, each in the order written. */
  readonly use?: Use2 | undefined;
  /** What a request must be; a wrong one is answered 400 with each field, its value and what was expected. */
  readonly validate?: 'off' | Validate | undefined;
}

type Subscribe = {
  /** The caller must have one of them. Values: list of text (at most 50). Default: empty. */
  readonly roles?: readonly string[] | undefined;
  /** The caller must have all of them. Values: list of text (at most 50). Default: empty. */
  readonly scopes?: readonly string[] | undefined;
};

type Start = string | unknown;

export interface WrittenDocument<N extends Names> {
  /** JSON Schema of this file, for editors. */
  readonly $schema?: string | undefined;
  /** Where the gateway listens, what it grants to connections, how it talks about itself. Default: its defaults. */
  readonly gateway?: WrittenGateway<N> | undefined;
  /** Services behind the gateway, by name. Default: its defaults. */
  readonly services?: Readonly<Record<N['services'], WrittenService<N>>> | undefined;
  /** Which requests go where. The more exact match goes first, whatever the order; that decides only between equals. Default: empty. */
  readonly routes?: readonly WrittenRoute<N>[] | undefined;
  /** Bans callers that misbehave: guessing, scanning, ignoring limits. `abuse: {}` is enough to begin with. */
  readonly abuse?: {
    /** Rules; what is written replaces the shipped ones. Default: `{ name: guessing, on: [401, 403, failedLogin], by: address, limit: 30/1m }`, `{ name: scanning, on: [scan], by: address, limit: 3/10m }`, `{ name: probing, on: [404], by: address, limit: 120/1m }`, `{ name: nonsense, on: [malformed], by: address, limit: 20/1m }`, `{ name: ignoring, on: [429], by: address, limit: 600/1m }`, `{ name: leaked-key, on: [403, 429], by: key, limit: 600/1m }`. */
    readonly rules?: readonly ({
      /** In logs, metrics and the list of bans. */
      readonly name: string;
      /** What counts. Values: list of `unauthorized`, `forbidden`, `notFound`, `tooMany`, `malformed`, `scan`, `failedLogin`, or `401`, `403`, `404`, `429`. */
      readonly on: readonly ('unauthorized' | 'forbidden' | 'notFound' | 'tooMany' | 'malformed' | 'scan' | 'failedLogin' | 401 | 403 | 404 | 429)[];
      /** Against whom it counts, and who is banned. IPv6 by /64. Values: `address`, `user`, `key`. Default: `address`. */
      readonly by?: 'address' | 'user' | 'key' | undefined;
      /** So many are borne: `20/1m`; the next one bans. */
      readonly limit: string | Limits2;
    })[] | undefined;
    /** Addresses that nothing counts against, such as your own monitoring. Values: list of CIDR block (at most 1000). Default: empty. */
    readonly exempt?: readonly string[] | undefined;
    /** Parts of paths that only scanners ask for. Values: list of text (at most 200). Default: `/.env`, `/.git/`, `/.aws/`, `/.ssh/`, `/.svn/`, `/wp-login`, `/wp-admin`, `/xmlrpc.php`, `/phpmyadmin`, `/vendor/phpunit`, `/cgi-bin/`, `/boaform`, `/etc/passwd`, `/_ignition/`. */
    readonly scanPaths?: readonly string[] | undefined;
    /** How long callers who break a rule are kept out. Default: its defaults. */
    readonly ban?: {
      /** Length of the first ban. Values: duration (at least 1s). Default: `10m`. */
      readonly first?: string | number | undefined;
      /** Each further ban of the same caller is so many times as long. Values: number, 1 to 100. Default: `2`. */
      readonly factor?: number | undefined;
      /** No ban by rule is longer. Values: duration (at least 1s). Default: `1d`. */
      readonly longest?: string | number | undefined;
      /** A ban longer ago than this does not count for the next one’s length. Values: duration (at least 1s). Default: `7d`. */
      readonly forget?: string | number | undefined;
    } | undefined;
    /** Most bans at a time; beyond that the one that ends soonest makes room. Values: whole number, 1 to 100000. Default: `10000`. */
    readonly maxBans?: number | undefined;
  } | undefined;
  /** Certificates from an authority by ACME (RFC 8555), for listeners with `tls: auto`. */
  readonly acme?: {
    /** Authority: `letsencrypt`, `letsencrypt-staging` (to try things out; browsers do not trust its certificates), or the URL of another ACME directory. Using it means that you agree to its terms of service. Values: `letsencrypt`, `letsencrypt-staging`, or text. Default: `letsencrypt`. */
    readonly server?: 'letsencrypt' | 'letsencrypt-staging' | (string & {}) | undefined;
    /** Address that the authority may write to about the account. */
    readonly email?: string | undefined;
    /** File with the authority that signed the certificate of the ACME server itself, PEM, for private ones. */
    readonly ca?: string | undefined;
    /** Account at the authority that ACME accounts are bound to (RFC 8555 §7.3.4), where it asks for one. */
    readonly externalAccount?: {
      /** Key identifier that the authority gave. */
      readonly keyId: string;
      /** The key that goes with it, base64url. */
      readonly hmacKey: string;
    } | undefined;
    /** How names are proved: `http-01` (the authority asks port 80), `tls-alpn-01` (port 443). Several are tried in turn. Default: both, or `tls-alpn-01` alone where no listener is without TLS; `dns-01` with `dns`. Values: list of `http-01`, `tls-alpn-01` (at most 2). */
    readonly challenges?: readonly ('http-01' | 'tls-alpn-01')[] | undefined;
    /** Proves names by TXT records (`dns-01`), which wildcards need. */
    readonly dns?: {
      /** Program and arguments that change the zone; called without a shell, with `set NAME VALUE` or `remove NAME VALUE` added, where NAME is `_acme-challenge.example.com`. Exit code 0 means done. Values: list of text (at most 20). */
      readonly command: readonly string[];
      /** Time that a record takes to be seen everywhere. Values: duration (at most 1h). Default: `30s`. */
      readonly wait?: string | number | undefined;
      /** Longest run of the program. Values: duration (at least 1s, at most 10m). Default: `1m`. */
      readonly timeout?: string | number | undefined;
    } | undefined;
    /** Kind of private key: `ecdsa` (P-256) or `rsa` (2048 bits). Values: `ecdsa`, `rsa`. Default: `ecdsa`. */
    readonly key?: 'ecdsa' | 'rsa' | undefined;
    /** Share of its lifetime that a certificate has left when it is renewed; spread by a tenth at random. Default: `33%`. */
    readonly renewAt?: string | number | undefined;
    /** Where account, keys and certificates are kept: files in `gateway.dataDir`, or the database of `stores.sql`, which several gateways share. `auto`: the database if it is PostgreSQL. Values: `auto`, `dataDir`, `sql`. Default: `auto`. */
    readonly store?: 'auto' | 'dataDir' | 'sql' | undefined;
  } | undefined;
  /** Admin API and console: where they are and who may use them. */
  readonly admin?: {
    /** Address of a listener of its own for admin API, console, health and metrics; port 0 lets the system choose. Security: plain HTTP, so keep it on loopback, and use `path` from elsewhere. Values: `off`, or text. Default: `127.0.0.1:8001`. */
    readonly listen?: 'off' | (string & {}) | undefined;
    /** Prefix under which the gateway itself has admin API and console, such as `/gatehouse`, behind its `auth`; callers need one of `roles`. `off` is nowhere. Values: `off`, or text. Default: `off`. */
    readonly path?: 'off' | (string & {}) | undefined;
    /** Let the API write the configuration file. `false`: the file is kept elsewhere, such as in Git, and is read only. Default: `false`. */
    readonly writable?: boolean | undefined;
    /** Bearer tokens for scripts, on the listener of its own. Default: empty. */
    readonly tokens?: readonly ({
      /** Who has it; the author in history and audit log. */
      readonly name: string;
      /** What it may do: `viewer` looks, `operator` acts, `admin` changes configuration and accounts. Values: `viewer`, `operator`, `admin`. */
      readonly role: 'viewer' | 'operator' | 'admin';
      /** Bearer token; write it as a variable, not into the file. Values: secret text, at least 24 characters. */
      readonly token: string;
    })[] | undefined;
    /** Which roles of authenticated callers count, for `path`; accounts and keys of this gateway only, not of outside issuers. Default: its defaults. */
    readonly roles?: {
      /** Roles of accounts that may look. Values: list of text (at most 100). Default: `viewer`. */
      readonly viewer?: readonly string[] | undefined;
      /** Roles of accounts that may act: drain, open breakers, ban. Values: list of text (at most 100). Default: `operator`. */
      readonly operator?: readonly string[] | undefined;
      /** Roles of accounts that may do everything. Values: list of text (at most 100). Default: `admin`. */
      readonly admin?: readonly string[] | undefined;
    } | undefined;
  } | undefined;
  /** Several gateways and workers that know each other. Default: this process alone. */
  readonly cluster?: {
    /** Name of the cluster; its nodes all say the same. */
    readonly name: string;
    /** Name of this node, unlike every other. Default: the name of the host. */
    readonly node?: string | undefined;
    /** Where other nodes reach this one, for the list of members. Default: none. */
    readonly url?: string | undefined;
    /** Zone of this node. Default: none. */
    readonly zone?: string | undefined;
    /** Labels of this node. Default: its defaults. */
    readonly labels?: { readonly [name: string]: string } | undefined;
    /** Database that the nodes share: one SQLite file on one machine, PostgreSQL for several. Default: `stores.sql`. */
    readonly store?: string | undefined;
    /** Where the queen is elected. Default: in `store`, like everything else of the cluster. */
    readonly election?: {
      /** A key of NATS JetStream KV (nats-server 2.9 or newer). */
      readonly nats?: {
        /** Servers of one NATS cluster with JetStream, `nats://USER:PASSWORD@HOST:4222` or `tls://`. Values: secret text, or list of secret text (at most 20). */
        readonly url: string | readonly string[];
        /** Servers that keep a copy of the bucket, when it is made. Values: `1`, or `3`, or `5`. Default: `1`. */
        readonly replicas?: 1 | 3 | 5 | undefined;
      } | undefined;
      /** A Lease of Kubernetes (coordination.k8s.io/v1). */
      readonly kubernetes?: {
        /** Name of the Lease. Default: `gatehouse-` and the name of the cluster. */
        readonly lease?: string | undefined;
        /** Namespace of the Lease. Default: the one that the gateway runs in. */
        readonly namespace?: string | undefined;
        /** URL of the API server. Default: that of the cluster that the gateway runs in. */
        readonly apiServer?: string | undefined;
        /** File with the bearer token, read anew for each request. Default: that of the service account. */
        readonly tokenFile?: string | undefined;
        /** PEM file with the authority of the API server. Default: that of the service account. */
        readonly caFile?: string | undefined;
      } | undefined;
    } | undefined;
    /** Path under which `/cluster` and `/nodes` are served. Default: `/api/v1`. */
    readonly path?: string | undefined;
    /** Outside issuers whose roles and scopes count for this API. Default: only accounts and keys of the gateway. Default: empty. */
    readonly adminIssuers?: readonly string[] | undefined;
    /** Workers that join by client certificate, by the name in it: what others may trust about them. Default: its defaults. */
    readonly certified?: { readonly [name: string]: {
      /** Labels that the node has, whatever it says itself. Default: its defaults. */
      readonly labels?: { readonly [name: string]: string } | undefined;
      /** Zone of the node. Default: what it says itself. */
      readonly zone?: string | undefined;
    } } | undefined;
    /** How long the queen holds its office without renewing it. Values: duration (at least 1s, at most 24d). Default: `6s`. */
    readonly lease?: string | number | undefined;
    /** How often gateways report, and workers should. Values: duration (at least 100ms, at most 24d). Default: `3s`. */
    readonly heartbeat?: string | number | undefined;
    /** Silence after which a node gets no new tasks. Values: duration (at least 500ms, at most 24d). Default: `10s`. */
    readonly suspectAfter?: string | number | undefined;
    /** Silence after which the tasks of a node go to others. Values: duration (at least 1s, at most 24d). Default: `30s`. */
    readonly goneAfter?: string | number | undefined;
    /** Silence after which a node that left or is gone is forgotten, with its token: a gateway that comes back later is a new node, a worker must join again. Values: duration (at least 1m, at most 24d). Default: `7d`. */
    readonly forgetAfter?: string | number | undefined;
    /** Most nodes, gateways and workers together; those that left or are gone do not count. Values: whole number, 1 to 10000. Default: `1000`. */
    readonly maxNodes?: number | undefined;
    /** What one address (IPv6: its /64) may ask of the API for operators and applications, whatever credentials it brings; then 429. Calls of nodes are limited apart. Default: its defaults. */
    readonly addressLimit?: string | Limits2 | undefined;
    /** How a change of configuration spreads. Default: its defaults. */
    readonly rollout?: {
      /** Share of the gateways that run a new version first; at least one does. Values: share (at least 0.1%, at most 100%). Default: `10%`. */
      readonly canary?: string | number | undefined;
      /** How long the canary is compared with the others before they follow. Values: duration (at least 0ms, at most 24d). Default: `60s`. */
      readonly watch?: string | number | undefined;
      /** Longest time that the canary is watched until it has had `minRequests`; a version that could not be judged is rolled back then. Default: after `watch` it spreads, and the rollout says that it was not judged. Values: duration (at least 0ms, at most 24d). */
      readonly judgeWithin?: string | number | undefined;
      /** How long each wave is compared before the next one, the last one too. Default: half of `watch`. Values: duration (at least 0ms, at most 24d). */
      readonly waveWatch?: string | number | undefined;
      /** Longest time that all nodes may take to check a version, and a step to apply it. Values: duration (at least 1s, at most 24d). Default: `30s`. */
      readonly timeout?: string | number | undefined;
      /** Shares of all gateways that follow the canary, the last one 100%. Values: list of share (at least 0.1%, at most 100%) (at most 20). Default: `50%`, `100%`. */
      readonly waves?: readonly (string | number)[] | undefined;
      /** Requests on the canary that it takes to judge a version. Below that, only five faults or more undo it, where luck is ten times less likely than `significance` says. Values: whole number, 1 to 1000000. Default: `50`. */
      readonly minRequests?: number | undefined;
      /** Chance of luck (Fisher's exact test) below which more faults on the canary undo the rollout. Values: number, 0.000001 to 0.5. Default: `0.01`. */
      readonly significance?: number | undefined;
      /** A request of the canary is slow when it takes this many times the others' 99th percentile; more slow ones than `significance` allows undo the rollout. Values: number, 1 to 1000. Default: `2`. */
      readonly latencyRatio?: number | undefined;
    } | undefined;
  } | undefined;
  /** Streams of events, for the route actions `publish` and `subscribe`, and services that get them. Default: off. */
  readonly events?: {
    /** Database of the embedded engine, the outbox, idempotency keys and consumers. Default: `stores.sql` if that is PostgreSQL, otherwise SQLite in the data folder, in a file of its own. */
    readonly store?: string | undefined;
    /** Path below which the bridge has its own endpoints, for callers who are known; `off` is none. Values: `off`, or text. Default: `/events`. */
    readonly path?: 'off' | (string & {}) | undefined;
    /** Brokers by name. None is needed: without them the SQL store keeps the events. Default: its defaults. */
    readonly engines?: { readonly [name: string]: {
      /** Where the broker is; its scheme says which: `nats://USER:PASSWORD@HOST:4222` or `tls://` for NATS JetStream, `redis://` for Redis Streams, `amqp://USER:PASSWORD@HOST:5672` or `amqps://` for RabbitMQ stream queues, `kafka://USER:PASSWORD@HOST:9092` or `kafka+tls://` for Kafka (`?mechanism=` PLAIN, SCRAM-SHA-256 or, by default, SCRAM-SHA-512). For NATS and Kafka a list of servers of one cluster. Values: secret text, or list of secret text (at most 20). */
      readonly url: string | readonly string[];
      /** NATS and Kafka: servers that keep a copy of each event. Others: without effect. Values: whole number, 1 to 5. Default: `1`. */
      readonly replicas?: number | undefined;
    } } | undefined;
    /** Streams by name. Default: its defaults. */
    readonly streams?: { readonly [name: string]: {
      /** Who keeps the events: `embedded`, the SQL store of the gateway, or a key of `events.engines`. Default: `embedded`. */
      readonly engine?: string | undefined;
      /** Patterns of which the subject of an event must match one. Default: the name of the stream, and everything below it. Values: list of text (at most 50). */
      readonly subjects?: readonly string[] | undefined;
      /** Older events are removed. Values: duration (at least 1m, at most 3650d). Default: `7d`. */
      readonly maxAge?: string | number | undefined;
      /** Most events that are kept. Values: whole number, 1 to 1000000000. Default: `1000000`. */
      readonly maxEvents?: number | undefined;
      /** Most bytes that are kept. Values: size (at least 64kb). Default: `1gb`. */
      readonly maxSize?: string | number | undefined;
    } } | undefined;
    /** Services that are called with the events of a stream, by a name that stays. Default: its defaults. */
    readonly consumers?: { readonly [name: string]: {
      /** Stream of `events.streams` whose events are delivered. */
      readonly stream: string;
      /** Patterns of the subjects that are delivered. Values: text, or list of text (at most 50). Default: `>`. */
      readonly subject?: string | readonly string[] | undefined;
      /** Service of `services` that is called, once for each event. */
      readonly service: string;
      /** Path of the call; it may have a query. Default: `/`. */
      readonly path?: string | undefined;
      /** Method of the call. Values: `POST`, `PUT`. Default: `POST`. */
      readonly method?: 'POST' | 'PUT' | undefined;
      /** Body of the call: `cloudevent`, the event as JSON (structured mode); `data`, what was published, with the attributes in `ce-*` fields (binary mode). Values: `cloudevent`, `data`. Default: `cloudevent`. */
      readonly format?: 'cloudevent' | 'data' | undefined;
      /** Further fields of the call, such as a token that the service expects. Default: its defaults. */
      readonly headers?: { readonly [name: string]: string } | undefined;
      /** Secrets that sign each call as Standard Webhooks say (`webhook-id`, `webhook-timestamp`, `webhook-signature`); with several, a receiver may know any of them, so that they can be changed. Default: not signed. Values: secret text, or list of secret text (at most 5). */
      readonly sign?: string | readonly string[] | undefined;
      /** `key`: an event waits until those before it with the same key were delivered. `none`: it does not. Values: `key`, `none`. Default: `key`. */
      readonly order?: 'key' | 'none' | undefined;
      /** Most calls at a time. Values: whole number, 1 to 1000. Default: `10`. */
      readonly concurrency?: number | undefined;
      /** Longest time that one call may take. Values: duration (at least 100ms, at most 10m). Default: `30s`. */
      readonly timeout?: string | number | undefined;
      /** Calls that an event is tried with before it becomes a dead letter. Values: whole number, 1 to 100. Default: `12`. */
      readonly attempts?: number | undefined;
      /** Pause before the second attempt; it doubles with each further one, with up to a quarter more. Values: duration (at least 100ms, at most 1h). Default: `1s`. */
      readonly backoff?: string | number | undefined;
      /** Longest pause between attempts. Values: duration (at least 100ms, at most 1d). Default: `10m`. */
      readonly maxBackoff?: string | number | undefined;
      /** Where a new consumer begins: with what comes from now on, or with the oldest event that is kept. Values: `now`, `earliest`. Default: `now`. */
      readonly from?: 'now' | 'earliest' | undefined;
      /** How long dead letters are kept, to be looked at, replayed or dropped. Values: duration (at least 1h). Default: `30d`. */
      readonly keepDead?: string | number | undefined;
    } } | undefined;
    /** Real-time hub: topics over WebSocket and server-sent events, for routes with `builtin: realtime`. Default: off. */
    readonly hub?: {
      /** Rules; the first one that covers a topic decides. */
      readonly topics: readonly ({
        /** Topics that the rule is about: dotted parts, `*` is any one part, a final `>` one part or more, `{auth.sub}`, `{auth.account}` (apart for each issuer) and `{auth.plan}` fill one part with what is known of the caller. */
        readonly topic: string;
        /** Clients are subscribed to the topic as soon as they are known. Default: `false`. */
        readonly join?: boolean | undefined;
        /** Who may subscribe: `anyone`, `users` (callers who are known), `nobody`, or callers with roles and scopes. Default: `users`. */
        readonly subscribe?: 'anyone' | 'users' | 'nobody' | Subscribe | undefined;
        /** Who may publish, over the connection or by the API. Default: `nobody`. */
        readonly publish?: 'anyone' | 'users' | 'nobody' | Subscribe | undefined;
        /** Whether subscribers can ask who else is there, and get notices of joins and leaves. Default: `false`. */
        readonly presence?: boolean | undefined;
      })[];
      /** Engine that keeps messages and carries them between gateways, as for streams. Default: `embedded`. */
      readonly engine?: string | undefined;
      /** How long messages are kept, so that a client that comes back can go on where it was. Values: duration (at least 1m, at most 7d). Default: `10m`. */
      readonly window?: string | number | undefined;
      /** Longest time in which a client that came without a credential has to say who it is. Values: duration (at least 500ms, at most 1m). Default: `5s`. */
      readonly authTimeout?: string | number | undefined;
      /** How long a ticket can be used, once. Values: duration (at least 5s, at most 5m). Default: `30s`. */
      readonly ticketTtl?: string | number | undefined;
      /** Pause between pings of the hub; who does not answer until the next one is taken for gone. Values: duration (at least 1s, at most 1m). Default: `15s`. */
      readonly heartbeat?: string | number | undefined;
      /** Largest message. Values: size (at least 64b, at most 1mb). Default: `64kb`. */
      readonly messageSize?: string | number | undefined;
      /** What one caller may have. Default: its defaults. */
      readonly limits?: {
        /** Connections of one caller, or of one address for anonymous callers. Values: whole number, 1 to 1000000. Default: `20`. */
        readonly connections?: number | undefined;
        /** Subscriptions of one connection. Values: whole number, 1 to 10000. Default: `100`. */
        readonly topics?: number | undefined;
        /** Messages that a client may send, with a burst of ten seconds. Values: number, 0.1 to 10000. Default: `10`. */
        readonly messagesPerSecond?: number | undefined;
      } | undefined;
      /** Other limits for callers of a plan. Default: its defaults. */
      readonly plans?: { readonly [name: string]: {
        /** Connections of one caller, or of one address for anonymous callers. Values: whole number, 1 to 1000000. */
        readonly connections?: number | undefined;
        /** Subscriptions of one connection. Values: whole number, 1 to 10000. */
        readonly topics?: number | undefined;
        /** Messages that a client may send, with a burst of ten seconds. Values: number, 0.1 to 10000. */
        readonly messagesPerSecond?: number | undefined;
      } } | undefined;
    } | undefined;
    /** Open subscriptions of the process; more are answered with 503. Each takes three file descriptors of its limit. Values: whole number, 1 to 1000000. Default: `5000`. */
    readonly maxSubscribers?: number | undefined;
  } | undefined;
  /** Accounts, sessions, tokens, API keys and OAuth, served by the gateway itself. Default: off. */
  readonly identity?: {
    /** Runs the identity service as `builtin:identity`. Default: `false`. */
    readonly enabled?: boolean | undefined;
    /** Name of a service of this configuration whose instances run `gatehouse identity` on the same database: requests go there. This process then answers none; it reads keys, revocations and API keys from the database. Default: it answers them itself. */
    readonly service?: string | undefined;
    /** Where callers reach the gateway; links in mails and redirects are built from it. Default: the first listener of this process, for trying it out. */
    readonly publicUrl?: string | undefined;
    /** `iss` of tokens. Default: `publicUrl`, or `http://127.0.0.1:8000` without it. */
    readonly issuer?: string | undefined;
    /** Path of the API. Default: `/api/auth`. */
    readonly basePath?: string | undefined;
    /** Further paths of the same API. Limits of routes to `basePath` do not go for them: write them for each. Values: list of text (at most 5). Default: empty. */
    readonly alsoAt?: readonly string[] | undefined;
    /** Database URL. Default: DATABASE_URL, then `stores.sql`, then SQLite in the data folder. */
    readonly store?: string | undefined;
    /** Seals signing keys and other secrets at rest. From GATEHOUSE_MASTER_KEY. Default: a file in the data folder. Values: secret text, at least 32 characters. */
    readonly masterKey?: string | undefined;
    /** Shape of error bodies where `Accept` does not decide. Default: `gateway.errorFormat`. Values: `problem`, `nested`, `flat`. */
    readonly errorFormat?: 'problem' | 'nested' | 'flat' | undefined;
    /** `link`: while no administrator exists, a one-time link is printed at start. Values: `link`, `off`. Default: `link`. */
    readonly firstAdmin?: 'link' | 'off' | undefined;
    /** Roles and their scopes, beside the built-in `user`, `admin` and `service`, which may be given more scopes here. Default: its defaults. */
    readonly roles?: { readonly [name: string]: {
      /** Scopes that the role carries. Values: list of text (at most 200). */
      readonly scopes: readonly string[];
      /** What the role is for. Default: empty. */
      readonly description?: string | undefined;
    } } | undefined;
    /** Roles of a newly registered account. Default: `user`. */
    readonly defaultRoles?: readonly string[] | undefined;
    /** Plan of a newly registered account. Default: `limits.defaultPlan`, then `standard`, or the first of `plans` where that is not one. */
    readonly defaultPlan?: string | undefined;
    /** Names of plans, smallest first; a child never has a larger plan than its parent. Default: those of `plans` of the document, or `standard`, `premium`, `enterprise`. */
    readonly plans?: readonly string[] | undefined;
    /** Child accounts of one parent. 0 turns them off. Values: whole number, 0 to 100. Default: `10`. */
    readonly maxChildren?: number | undefined;
    /** How accounts come to be. Default: its defaults. */
    readonly registration?: {
      /** Whether anybody may register. False: accounts are made by administrators. Default: `true`. */
      readonly open?: boolean | undefined;
      /** `required`: the account exists once the link in the mail was used, and the answer does not tell whether the address was known. `off`: the account exists at once and a taken address is answered with 409, which tells that it is known. Values: `required`, `off`. Default: `required`. */
      readonly verifyEmail?: 'required' | 'off' | undefined;
    } | undefined;
    /** Hashing and rules of passwords. Default: its defaults. */
    readonly passwords?: {
      /** Least number of characters of a new password. Values: whole number, 8 to 128. Default: `10`. */
      readonly minLength?: number | undefined;
      /** Memory of one argon2id hash. Values: size (at least 8mb, at most 1gb). Default: `19mb`. */
      readonly memory?: string | number | undefined;
      /** Passes of argon2id over its memory. Values: whole number, 1 to 20. Default: `2`. */
      readonly passes?: number | undefined;
      /** Hashes computed at once in this process, each in a thread that on Linux steps back behind all other work of the gateway. Values: whole number, 1 to 4. Default: `2`. */
      readonly parallel?: number | undefined;
      /** Hashes that may wait; further logins are answered with 503. Values: whole number, 0 to 10000. Default: `100`. */
      readonly maxQueued?: number | undefined;
      /** Share of `maxQueued` that one address (IPv6: its /64) may hold. Values: share (at least 1%, at most 100%). Default: `0.25`. */
      readonly queueShare?: string | number | undefined;
      /** Longest wait of one hash; then 503. Values: duration (at least 100ms, at most 1m). Default: `10s`. */
      readonly queueTimeout?: string | number | undefined;
      /** Whether passwords of the bundled list of common ones are refused. Default: `true`. */
      readonly refuseCommon?: boolean | undefined;
      /** Whether passwords that are little more than the name or address of the account are refused. Default: `true`. */
      readonly refuseNames?: boolean | undefined;
    } | undefined;
    /** What guessing costs. Default: its defaults. */
    readonly lockout?: {
      /** Wrong passwords of one account from one address (IPv6: its /64) before the first delay there. Values: whole number, 1 to 100. Default: `5`. */
      readonly freeAttempts?: number | undefined;
      /** Wrong passwords of one account from all addresses before unknown devices are delayed everywhere. Devices and addresses that it signed in from are not. Values: whole number, 1 to 100000. Default: `100`. */
      readonly accountAttempts?: number | undefined;
      /** First delay; each further wrong password doubles it. Values: duration (at least 100ms). Default: `1s`. */
      readonly firstDelay?: string | number | undefined;
      /** Longest delay. Values: duration (at least 1s). Default: `15m`. */
      readonly maxDelay?: string | number | undefined;
      /** Quiet time after which wrong passwords are forgotten. Values: duration (at least 1m). Default: `1d`. */
      readonly forgetAfter?: string | number | undefined;
      /** Wrong attempts of one address (IPv6: its /64) in a window; then 429. Values: whole number, 1 to 100000. Default: `50`. */
      readonly addressAttempts?: number | undefined;
      /** The window of `addressAttempts`. Values: duration (at least 1s). Default: `10m`. */
      readonly addressWindow?: string | number | undefined;
    } | undefined;
    /** What one address (IPv6: its /64) may ask for without an account; then 429. Default: its defaults. */
    readonly addressLimits?: {
      /** Calls that need no account: signing in, refreshing, challenges, pages, the start of an OAuth sign-in. A fifth of them registers, confirms an address, sets a new password or makes the first administrator. Default: `600/1m`. */
      readonly calls?: string | Limits2 | undefined;
      /** Registrations and uses of the first administrator’s link. Default: `60/1h`. */
      readonly signUps?: string | Limits2 | undefined;
      /** Emails asked for with an address alone, such as for a new password. Default: `60/1h`. */
      readonly emails?: string | Limits2 | undefined;
    } | undefined;
    /** Access tokens and their keys. Default: its defaults. */
    readonly tokens?: {
      /** Signature of access tokens. Default ES256, or HS256 when JWT_SECRET is set. Values: `ES256`, `EdDSA`, `RS256`, `HS256`. */
      readonly algorithm?: 'ES256' | 'EdDSA' | 'RS256' | 'HS256' | undefined;
      /** Key of HS256, at least 32 bytes (RFC 7518 §3.2). From JWT_SECRET. Values: secret text, at least 32 characters. */
      readonly secret?: string | undefined;
      /** `aud` of access tokens. Default: `gatehouse`. */
      readonly audience?: string | undefined;
      /** Life of an access token. Values: duration (at least 10s, at most 1h). Default: `5m`. */
      readonly accessTtl?: string | number | undefined;
      /** Longest life of a token minted by an administrator. Values: duration (at least 1m). Default: `30d`. */
      readonly maxMintTtl?: string | number | undefined;
      /** How long a signing key signs. Values: duration (at least 1h). Default: `30d`. */
      readonly rotateEvery?: string | number | undefined;
      /** How long a key is published before it signs. Values: duration (at least 1m). Default: `1h`. */
      readonly publishBefore?: string | number | undefined;
    } | undefined;
    /** Sessions and refresh tokens. Default: its defaults. */
    readonly sessions?: {
      /** Life of a refresh token: a session unused for so long ends. Values: duration (at least 1m). Default: `14d`. */
      readonly idleTtl?: string | number | undefined;
      /** Longest life of a session. Values: duration (at least 1m). Default: `90d`. */
      readonly absoluteTtl?: string | number | undefined;
      /** A refresh token used twice within this time gives the same client the same next one, and is refused to any other; later the whole session ends. Values: duration (at most 1m). Default: `10s`. */
      readonly reuseGrace?: string | number | undefined;
      /** Open sessions of one account; the oldest ends when one more begins. Values: whole number, 1 to 1000. Default: `50`. */
      readonly maxPerUser?: number | undefined;
      /** Key under which refresh tokens are hashed. From JWT_REFRESH_SECRET. A new one ends all sessions. Values: secret text, at least 32 characters. */
      readonly refreshSecret?: string | undefined;
    } | undefined;
    /** Sessions of browsers in HttpOnly cookies, by `POST basePath/browser/login`; routes then take the cookie beside `Authorization`. `Secure` when `publicUrl` is https. Absent: none. */
    readonly cookies?: {
      /** `strict`: also a click on a link of another site comes without the session. Values: `lax`, `strict`. Default: `lax`. */
      readonly sameSite?: 'lax' | 'strict' | undefined;
      /** Origins of other pages that may use the session, on hosts of the same site; they need `cors` with `credentials` too. Its own pages always may. Values: list of text (at most 100). Default: empty. */
      readonly trustedSites?: readonly string[] | undefined;
    } | undefined;
    /** Second factors. Default: its defaults. */
    readonly mfa?: {
      /** Every account needs a second factor. From REQUIRE_MFA. Default: `false`. */
      readonly required?: boolean | undefined;
      /** Roles whose accounts need a second factor. Default: empty. */
      readonly requiredRoles?: readonly string[] | undefined;
      /** Name shown in authenticator apps. Default: `Gatehouse`. */
      readonly issuer?: string | undefined;
      /** How long a second factor counts for sensitive changes. Values: duration (at least 1m). Default: `10m`. */
      readonly stepUpTtl?: string | number | undefined;
      /** Time to give the second factor after the password. Values: duration (at least 30s, at most 15m). Default: `5m`. */
      readonly ticketTtl?: string | number | undefined;
    } | undefined;
    /** Passkeys (WebAuthn). Default: its defaults. */
    readonly passkeys?: {
      /** Domain of passkeys. Default: the host of `publicUrl`. */
      readonly rpId?: string | undefined;
      /** Name shown by the authenticator. Default: `Gatehouse`. */
      readonly rpName?: string | undefined;
      /** Origins of pages that use passkeys. Default: that of `publicUrl`. Default: empty. */
      readonly origins?: readonly string[] | undefined;
    } | undefined;
    /** The pages of accounts and OAuth: name, logo, colours, languages, texts. Default: its defaults. */
    readonly pages?: {
      /** Shown above every page and in its title, and in the emails and their subjects. Default: `Gatehouse`. */
      readonly name?: string | undefined;
      /** File of a logo shown beside the name, at most 64 KiB, read at start. */
      readonly logo?: string | undefined;
      /** Colours. Text that is hard to read on what is behind it is warned of. Default: its defaults. */
      readonly colours?: {
        /** Colours where the system is light. Default: the console’s. Default: its defaults. */
        readonly light?: {
          /** Links, buttons and focus, where the system is light; text on a button has the colour `card`. */
          readonly accent?: string | undefined;
          /** Text, where the system is light. */
          readonly ink?: string | undefined;
          /** Hints, where the system is light. */
          readonly soft?: string | undefined;
          /** Around the form, where the system is light. */
          readonly paper?: string | undefined;
          /** Behind the form, where the system is light. */
          readonly card?: string | undefined;
          /** Lines and borders, where the system is light. */
          readonly line?: string | undefined;
          /** What is wrong, where the system is light. */
          readonly bad?: string | undefined;
        } | undefined;
        /** Colours where the system is dark. Default: the console’s. Default: its defaults. */
        readonly dark?: {
          /** Links, buttons and focus, where the system is dark; text on a button has the colour `card`. */
          readonly accent?: string | undefined;
          /** Text, where the system is dark. */
          readonly ink?: string | undefined;
          /** Hints, where the system is dark. */
          readonly soft?: string | undefined;
          /** Around the form, where the system is dark. */
          readonly paper?: string | undefined;
          /** Behind the form, where the system is dark. */
          readonly card?: string | undefined;
          /** Lines and borders, where the system is dark. */
          readonly line?: string | undefined;
          /** What is wrong, where the system is dark. */
          readonly bad?: string | undefined;
        } | undefined;
      } | undefined;
      /** Languages that people may get on pages and in emails, by `Accept-Language` or their own choice; the first is for everybody else. `en` and `de` are shipped; any other needs all of its texts. Values: list of text (at most 50). Default: `en`, `de`. */
      readonly languages?: readonly string[] | undefined;
      /** Texts by language, in place of the shipped ones; `{name}` stands for a value. Plain text, no HTML. Default: its defaults. */
      readonly texts?: { readonly [name: string]: {
        /** English: Sign in */
        readonly signInTitle?: string | undefined;
        /** English: Sign in to continue to {application} */
        readonly signInFor?: string | undefined;
        /** English: Email address or user name */
        readonly login?: string | undefined;
        /** English: Password */
        readonly password?: string | undefined;
        /** English: Sign in */
        readonly signIn?: string | undefined;
        /** English: Cancel */
        readonly cancel?: string | undefined;
        /** English: Forgot your password? */
        readonly forgotLink?: string | undefined;
        /** English: Create an account */
        readonly registerLink?: string | undefined;
        /** English: Sign in */
        readonly signInLink?: string | undefined;
        /** English: You are signed in */
        readonly signedInTitle?: string | undefined;
        /** English: Second factor */
        readonly factorTitle?: string | undefined;
        /** English: Code of your authenticator app, or a recovery code */
        readonly factorCode?: string | undefined;
        /** English: Continue */
        readonly continue?: string | undefined;
        /** English: Allow {application}? */
        readonly consentTitle?: string | undefined;
        /** English: You are signed in as {account}. {application} asks to: */
        readonly consentText?: string | undefined;
        /** English: know who you are */
        readonly scopeOpenid?: string | undefined;
        /** English: see your email address */
        readonly scopeEmail?: string | undefined;
        /** English: see your name */
        readonly scopeProfile?: string | undefined;
        /** English: keep this access while you are away, until you end it */
        readonly scopeOffline?: string | undefined;
        /** English: use {scope} */
        readonly scopeOther?: string | undefined;
        /** English: Allow */
        readonly allow?: string | undefined;
        /** English: Deny */
        readonly deny?: string | undefined;
        /** English: Create an account */
        readonly registerTitle?: string | undefined;
        /** English: Create account */
        readonly registerButton?: string | undefined;
        /** English: Email address */
        readonly email?: string | undefined;
        /** English: User name */
        readonly username?: string | undefined;
        /** English: 2 to 32 letters, digits, ".", "_" or "-". */
        readonly usernameHint?: string | undefined;
        /** English: (optional) */
        readonly optional?: string | undefined;
        /** English: New password */
        readonly newPassword?: string | undefined;
        /** English: At least {count} characters. A few words in a row work well. No common password, and not your own name. */
        readonly passwordHint?: string | undefined;
        /** English: Check your mailbox */
        readonly sentTitle?: string | undefined;
        /** English: If this address can be registered, an email with a link is on its way. The link works for one day. */
        readonly registerSent?: string | undefined;
        /** English: If an account has this address, an email with a link to set a new password is on its way. The link works for 30 minutes. */
        readonly resetSent?: string | undefined;
        /** English: Your account is ready */
        readonly readyTitle?: string | undefined;
        /** English: You can sign in now. */
        readonly readyText?: string | undefined;
        /** English: Confirm your email address */
        readonly verifyTitle?: string | undefined;
        /** English: If you did not register, close this page: no account will be created. */
        readonly verifyIntro?: string | undefined;
        /** English: Account */
        readonly account?: string | undefined;
        /** English: Password of your account */
        readonly verifyPassword?: string | undefined;
        /** English: Password you chose when you registered */
        readonly verifyRegistered?: string | undefined;
        /** English: Confirm */
        readonly confirm?: string | undefined;
        /** English: Forgot the password, or somebody else chose it? */
        readonly verifyForgotten?: string | undefined;
        /** English: Set this password and confirm */
        readonly verifySet?: string | undefined;
        /** English: Your email address is confirmed */
        readonly verifiedTitle?: string | undefined;
        /** English: You can close this page and sign in. */
        readonly verifiedText?: string | undefined;
        /** English: Register again, or change your address again, to get a new email. */
        readonly verifyAnother?: string | undefined;
        /** English: Set a new password */
        readonly resetTitle?: string | undefined;
        /** English: All sessions of the account end, and its API keys and applications lose access. */
        readonly resetText?: string | undefined;
        /** English: Also remove passkeys and linked accounts */
        readonly resetOthers?: string | undefined;
        /** English: Set password */
        readonly resetButton?: string | undefined;
        /** English: Your new password is set */
        readonly resetDoneTitle?: string | undefined;
        /** English: You can close this page and sign in with it. */
        readonly resetDoneText?: string | undefined;
        /** English: Passkeys and linked accounts that still open this account: {count}. */
        readonly resetLeft?: string | undefined;
        /** English: Reset your password */
        readonly forgotTitle?: string | undefined;
        /** English: Email address of your account */
        readonly forgotEmail?: string | undefined;
        /** English: Send me a link */
        readonly forgotButton?: string | undefined;
        /** English: Ask for a new link */
        readonly forgotAgain?: string | undefined;
        /** English: Create the first administrator */
        readonly setupTitle?: string | undefined;
        /** English: This gateway has no administrator yet. Whoever has this link can become the administrator, once. */
        readonly setupText?: string | undefined;
        /** English: Create administrator */
        readonly setupButton?: string | undefined;
        /** English: You are the administrator */
        readonly setupDoneTitle?: string | undefined;
        /** English: Sign in with {email} and your password. This link no longer works. */
        readonly setupDoneText?: string | undefined;
        /** English: Until there is an administrator, the gateway prints a new link each time it starts. After that, administrators create others. */
        readonly setupAnother?: string | undefined;
        /** English: This link does not work */
        readonly deadTitle?: string | undefined;
        /** English: It was used before, was tried too often, or has expired. */
        readonly deadOver?: string | undefined;
        /** English: It is incomplete or was never issued. Open the link from the email again, all of it. */
        readonly deadUnknown?: string | undefined;
        /** English: That did not work */
        readonly errorTitle?: string | undefined;
        /** English: Page not found */
        readonly notFoundTitle?: string | undefined;
        /** English: There is no page at this address. */
        readonly notFoundText?: string | undefined;
        /** English: This page has expired */
        readonly expiredTitle?: string | undefined;
        /** English: Go back to the application and start again. */
        readonly expiredText?: string | undefined;
        /** English: You can close this page. */
        readonly closePage?: string | undefined;
        /** English: Sign out? */
        readonly signOutTitle?: string | undefined;
        /** English: {application} has signed you out. Do you want to sign out of this service and all other applications too? */
        readonly signOutText?: string | undefined;
        /** English: An application */
        readonly anApplication?: string | undefined;
        /** English: Sign out everywhere */
        readonly signOutAll?: string | undefined;
        /** English: Stay signed in */
        readonly signOutStay?: string | undefined;
        /** English: You are signed out */
        readonly signedOutTitle?: string | undefined;
        /** English: Connect a device */
        readonly deviceTitle?: string | undefined;
        /** English: Enter the code that your device shows. */
        readonly deviceText?: string | undefined;
        /** English: Code on your device */
        readonly deviceCode?: string | undefined;
        /** English: The code is wrong or has expired. Look at your device and try again. */
        readonly deviceWrong?: string | undefined;
        /** English: Is this your device? */
        readonly deviceAskTitle?: string | undefined;
        /** English: Continue only if you started this on your own device and it shows this code for {application}: */
        readonly deviceAskText?: string | undefined;
        /** English: Yes, continue */
        readonly deviceYes?: string | undefined;
        /** English: No */
        readonly deviceNo?: string | undefined;
        /** English: Your device is connected */
        readonly deviceDoneTitle?: string | undefined;
        /** English: You can close this page and go back to your device. */
        readonly deviceDoneText?: string | undefined;
        /** English: Language */
        readonly languageChoice?: string | undefined;
        /** English: Please fill this in. */
        readonly fieldMissing?: string | undefined;
        /** English: Enter an email address such as name@example.com. */
        readonly fieldEmail?: string | undefined;
        /** English: Use 2 to 32 letters, digits, ".", "_" or "-", starting with a letter or digit. */
        readonly fieldUsername?: string | undefined;
        /** English: This value is not accepted. */
        readonly fieldOther?: string | undefined;
        /** English: Use at least {count} characters. */
        readonly passwordShort?: string | undefined;
        /** English: Use at most {count} characters. */
        readonly passwordLong?: string | undefined;
        /** English: Use more than three different characters. */
        readonly passwordVaried?: string | undefined;
        /** English: Do not use your own name or address as your password. */
        readonly passwordName?: string | undefined;
        /** English: This password is on a list of common passwords. Choose another one. */
        readonly passwordCommon?: string | undefined;
        /** English: The name or the password is wrong, or there were too many attempts. Wait a little before you try again. */
        readonly problemCredentials?: string | undefined;
        /** English: The code is wrong. */
        readonly problemFactor?: string | undefined;
        /** English: That took too long. Sign in again. */
        readonly problemTicket?: string | undefined;
        /** English: This is not the password, or there were too many attempts. */
        readonly problemWrongPassword?: string | undefined;
        /** English: This user name is taken. Choose another one. */
        readonly problemUsernameTaken?: string | undefined;
        /** English: An account with this address exists. */
        readonly problemEmailTaken?: string | undefined;
        /** English: The address or the user name is taken. */
        readonly problemNameTaken?: string | undefined;
        /** English: Accounts are created by administrators here. */
        readonly problemClosed?: string | undefined;
        /** English: There were too many attempts from your network. Wait a while before you try again. */
        readonly problemTooMany?: string | undefined;
        /** English: The form was sent from another site. */
        readonly problemForeign?: string | undefined;
        /** English: This account cannot be used with other applications. */
        readonly problemChild?: string | undefined;
        /** English: This account cannot be used. */
        readonly problemDisabled?: string | undefined;
        /** English: This account needs a second factor. Set one up first. */
        readonly problemNoFactor?: string | undefined;
        /** English: Accounts cannot be reached right now. Try again in a moment. */
        readonly problemUnavailable?: string | undefined;
        /** English: What you entered is too long. */
        readonly problemTooLarge?: string | undefined;
        /** English: The request of the application could not be completed. Go back to it and start again. */
        readonly problemApplication?: string | undefined;
        /** English: Your request could not be completed. Try again in a moment. */
        readonly problemOther?: string | undefined;
      } } | undefined;
    } | undefined;
    /** How mails leave. Default: its defaults. */
    readonly mail?: {
      /** Sender of mails. Default: `Gatehouse <no-reply@localhost>`. */
      readonly from?: string | undefined;
      /** `smtp://user:password@host:587` or `smtps://...`. Without it mails become files. */
      readonly smtp?: string | undefined;
      /** Folder of mail files. Default: `mailbox` in the data folder. */
      readonly mailbox?: string | undefined;
      /** A page of your own that links in mails and the first administrator’s link lead to, with `?action=verify-email#token=...` (or `reset-password`, `setup`). Default: the pages of the service, under `basePath` at `publicUrl`. */
      readonly linkBase?: string | undefined;
      /** Texts of emails by language of `pages.languages`, in place of the shipped ones; `{name}` stands for a value. Plain text, no HTML. Emails go out in the language that the account keeps. Default: its defaults. */
      readonly texts?: { readonly [name: string]: {
        /** English: confirm your address */
        readonly verifySubject?: string | undefined;
        /** English: Somebody registered an account with this address. To confirm it, open: */
        readonly verifyText?: string | undefined;
        /** English: Confirm this address */
        readonly verifyButton?: string | undefined;
        /** English: It works once, within a day, together with the password that was chosen or a new one. */
        readonly verifyUntil?: string | undefined;
        /** English: If it was not you, do nothing: no account will be created. */
        readonly verifyElse?: string | undefined;
        /** English: Or use this code: {code} */
        readonly orCode?: string | undefined;
        /** English: Somebody asked for this to be the new address of their account. To confirm it, open: */
        readonly moveText?: string | undefined;
        /** English: It works once, within a day, together with the password of the account. */
        readonly moveUntil?: string | undefined;
        /** English: If it was not you, do nothing: the account keeps the address it has. */
        readonly moveElse?: string | undefined;
        /** English: you have an account */
        readonly takenSubject?: string | undefined;
        /** English: Somebody tried to register an account with this address, which already has one. */
        readonly takenText?: string | undefined;
        /** English: If it was you, sign in, or ask for a new password. Otherwise do nothing. */
        readonly takenElse?: string | undefined;
        /** English: set a new password */
        readonly resetSubject?: string | undefined;
        /** English: Somebody asked for a new password for the account "{account}". To set one, open: */
        readonly resetText?: string | undefined;
        /** English: Set a new password */
        readonly resetButton?: string | undefined;
        /** English: It works once, within 30 minutes. If it was not you, do nothing: the password stays. */
        readonly resetUntil?: string | undefined;
        /** English: your password was changed */
        readonly passwordSubject?: string | undefined;
        /** English: The password of your account was changed and all its sessions ended. */
        readonly passwordText?: string | undefined;
        /** English: If it was not you, ask for a new password at once. */
        readonly passwordElse?: string | undefined;
        /** English: failed sign-ins */
        readonly lockedSubject?: string | undefined;
        /** English: There were several wrong passwords for your account. Sign-ins are slowed down for a while. */
        readonly lockedText?: string | undefined;
        /** English: If it was not you, there is nothing to do; a second factor makes your account safer. */
        readonly lockedElse?: string | undefined;
        /** English: your address was changed */
        readonly addressSubject?: string | undefined;
        /** English: The address of your account was changed; this is the last email to the old one. */
        readonly addressText?: string | undefined;
        /** English: If it was not you, write to the administrators of this service. */
        readonly addressElse?: string | undefined;
        /** English: access to your account changed */
        readonly accessSubject?: string | undefined;
        /** English: If it was not you, remove it, change your password and end all sessions at once. */
        readonly accessElse?: string | undefined;
        /** English: The API key "{name}" was made for your account. */
        readonly keyMade?: string | undefined;
        /** English: The API key "{name}" of your account was replaced. */
        readonly keyReplaced?: string | undefined;
        /** English: An administrator made the API key "{name}" for your account. */
        readonly keyMadeFor?: string | undefined;
        /** English: An administrator replaced the API key "{name}" of your account. */
        readonly keyReplacedFor?: string | undefined;
        /** English: The child account "{name}" was made. */
        readonly childMade?: string | undefined;
        /** English: The application "{name}" may now act for your account. */
        readonly applicationAllowed?: string | undefined;
        /** English: Your account can now be entered with an account at {provider}. */
        readonly linkAdded?: string | undefined;
        /** English: The link to your account at {provider} was removed. */
        readonly linkRemoved?: string | undefined;
        /** English: All links of your account to outside accounts were removed. */
        readonly linksRemoved?: string | undefined;
        /** English: your second factors changed */
        readonly factorsSubject?: string | undefined;
        /** English: If it was not you, change your password at once. */
        readonly factorsElse?: string | undefined;
        /** English: A second factor was added to your account. */
        readonly factorAdded?: string | undefined;
        /** English: A second factor was removed from your account. */
        readonly factorRemoved?: string | undefined;
        /** English: An administrator removed the second factors of your account. */
        readonly factorsRemovedFor?: string | undefined;
        /** English: All passkeys were removed from your account. */
        readonly passkeysRemoved?: string | undefined;
        /** English: New recovery codes were made for your account; the old ones no longer work. */
        readonly codesMade?: string | undefined;
        /** English: A recovery code of your account was used; {count} are left. */
        readonly codeUsed?: string | undefined;
        /** English: Second factors and links that were set up before you confirmed your address were removed. */
        readonly takenOver?: string | undefined;
      } } | undefined;
    } | undefined;
    /** Where sessions come from, shown in their list. Default: its defaults. */
    readonly place?: {
      /** Database file of places in MaxMind’s format (`.mmdb`, such as GeoLite2 City or Country), read at start and held in memory. */
      readonly database?: string | undefined;
      /** Request field in which a proxy of `gateway.trustProxy` names the country, such as `CF-IPCountry`. From anybody else it is not read. */
      readonly header?: string | undefined;
    } | undefined;
    /** API keys of accounts. Default: its defaults. */
    readonly apiKeys?: {
      /** Live API keys of one account. Values: whole number, 0 to 1000. Default: `25`. */
      readonly maxPerUser?: number | undefined;
      /** Longest life of a key. Default: keys may live for ever. Values: duration (at least 1h). */
      readonly maxTtl?: string | number | undefined;
    } | undefined;
    /** Outside OpenID providers that people may sign in with. Default: its defaults. */
    readonly providers?: { readonly [name: string]: {
      /** Issuer of the provider; its discovery document is read from there. */
      readonly issuer: string;
      /** Our id at the provider. */
      readonly clientId: string;
      /** Our secret at the provider. Without it we are a public client with PKCE. */
      readonly clientSecret?: string | undefined;
      /** Scopes we ask for. Default: `openid`, `email`, `profile`. */
      readonly scopes?: readonly string[] | undefined;
      /** Whether `email_verified` of this provider is believed when accounts are linked by address. Default: `true`. */
      readonly trustEmail?: boolean | undefined;
      /** Allows http for the provider. Only for tests on loopback. Default: `false`. */
      readonly allowInsecure?: boolean | undefined;
    } } | undefined;
    /** Pages that a sign-in with an outside provider may return to. Others are refused. Default: empty. */
    readonly returnTo?: readonly string[] | undefined;
    /** Being an OAuth 2 and OpenID provider for others. Default: its defaults. */
    readonly oauth?: {
      /** Turns the provider on. Default: `false`. */
      readonly enabled?: boolean | undefined;
      /** Where it is mounted; `issuer` is `publicUrl` with this path. Default: `/oauth`. */
      readonly path?: string | undefined;
      /** Applications that may use it. Default: empty. */
      readonly clients?: readonly ({
        /** `client_id`. */
        readonly id: string;
        /** Shown on the consent page. */
        readonly name: string;
        /** `client_secret`. Without it the application is public and must use PKCE. Values: secret text, at least 32 characters. */
        readonly secret?: string | undefined;
        /** Exact addresses to which codes are sent. Default: empty. */
        readonly redirectUris?: readonly string[] | undefined;
        /** Exact addresses to which a browser may be sent after a sign-out. Default: empty. */
        readonly postLogoutRedirectUris?: readonly string[] | undefined;
        /** What the application may ask for. Values: list of `authorization_code`, `refresh_token`, `client_credentials`, `device_code`. Default: `authorization_code`, `refresh_token`. */
        readonly grants?: readonly ('authorization_code' | 'refresh_token' | 'client_credentials' | 'device_code')[] | undefined;
        /** Scopes that it may be given. Default: `openid`. */
        readonly scopes?: readonly string[] | undefined;
        /** Whether it may introspect tokens of other applications, as a resource server or a gateway does. Needs a secret. Default: `false`. */
        readonly mayIntrospect?: boolean | undefined;
      })[] | undefined;
      /** Life of the opaque access tokens. Values: duration (at least 1m, at most 1d). Default: `1h`. */
      readonly accessTtl?: string | number | undefined;
      /** Life of refresh tokens. Values: duration (at least 1m). Default: `14d`. */
      readonly refreshTtl?: string | number | undefined;
    } | undefined;
  } | undefined;
  /** Issuers whose tokens routes can trust, by name. */
  readonly issuers?: Readonly<Record<N['issuers'], Issuers>> | undefined;
  /** How limits, quotas and bans are counted and reported. `rateLimit`, `quotas`, `plans` and `abuse` say what is limited. */
  readonly limits?: {
    /** Plan of callers that have none, or one that is not known. Default: `standard`. */
    readonly defaultPlan?: string | undefined;
    /** Memory of the counters, shared by all workers: 64mb hold a million callers under two limits. Read at start. Values: size (at least 4kb, at most 4gb). Default: `32mb`. */
    readonly memory?: string | number | undefined;
    /** When it is full: refuse callers that are not counted yet with 503, or let them pass uncounted. Values: `deny`, `allow`. Default: `deny`. */
    readonly overflow?: 'deny' | 'allow' | undefined;
    /** Tell anybody who asks what each plan allows, at `/.well-known/gatehouse/plans`. Values: `off`, or true or false. Default: `true`. */
    readonly publishPlans?: boolean | 'off' | undefined;
    /** With `quotas` or `plans`: callers see what they have used at `/api/v1/usage`, administrators export it. Not added where a route of the document has `builtin: limits`, or nothing could authenticate anybody. Values: `off`, or true or false. Default: `true`. */
    readonly usageApi?: boolean | 'off' | undefined;
    /** With `abuse`: administrators list, add and lift bans at `/api/v1/bans`. Not added where `usageApi` is not. Values: `off`, or true or false. Default: `true`. */
    readonly bansApi?: boolean | 'off' | undefined;
    /** Names of `issuers` whose tokens with the role `admin` or the scope `limits:admin` administer usage and bans. Default: none; accounts of the identity service and API keys may. Values: list of text (at most 50). Default: empty. */
    readonly adminIssuers?: readonly string[] | undefined;
    /** How machines share counters when `stores.redis` is set. Default: its defaults. */
    readonly redis?: {
      /** `exact` asks Redis for each decision; `leased` lets each worker take small batches ahead: at most one batch per worker and caller above the limit. Values: `exact`, `leased`. Default: `exact`. */
      readonly mode?: 'exact' | 'leased' | undefined;
      /** While Redis is away: count on this machine alone (`local`), let all pass (`open`), refuse all with 503 (`closed`). Values: `local`, `open`, `closed`. Default: `local`. */
      readonly fallback?: 'local' | 'open' | 'closed' | undefined;
      /** Longest wait for Redis per decision; then `fallback` decides. Values: duration (at least 1ms, at most 5s). Default: `50ms`. */
      readonly timeout?: string | number | undefined;
      /** Largest batch that a worker takes ahead, as a share of the limit; at least 1. Values: share (at least 0.1%, at most 50%). Default: `5%`. */
      readonly leaseShare?: string | number | undefined;
      /** How long a batch may be kept; what is left is then lost to the worker. Values: duration (at least 100ms, at most 1m). Default: `1s`. */
      readonly leaseTime?: string | number | undefined;
      /** Keys in Redis begin with this. Gateways that share counters have the same. Default: `gatehouse`. */
      readonly prefix?: string | undefined;
    } | undefined;
  } | undefined;
  /** Objectives for availability and latency, by name: error budgets, burn rates and alerts. */
  readonly objectives?: { readonly [name: string]: {
    /** Names of routes. With neither `routes` nor `services`: all routes of the document. Values: text, or list of text. */
    readonly routes?: string | readonly string[] | undefined;
    /** Services: all routes to them. Values: text, or list of text. */
    readonly services?: string | readonly string[] | undefined;
    /** Share of requests that must not end with 5xx or break off. 429 and clients that left do not count. Values: share (at least 50%, at most 99.99900000000001%). */
    readonly availability?: string | number | undefined;
    /** How fast responses must be; those that failed count for `availability` only. */
    readonly latency?: {
      /** Longest time of a good response, to its last byte. Values: duration (at least 1ms, at most 1h). */
      readonly under: string | number;
      /** Share of the responses that must be so fast. Values: share (at least 50%, at most 99.99900000000001%). */
      readonly for: string | number;
    } | undefined;
    /** Bad requests in the long window below which status and alerts say nothing: with little traffic they are noise. Values: whole number, 1 to 1000000. Default: `30`. */
    readonly minBad?: number | undefined;
  } } | undefined;
  /** One OpenAPI document of all APIs, and pages that show it. Default: off. */
  readonly openapi?: {
    /** Documents are at this path with `.json` and `.yaml`; for callers who are known also at `/signed-in.json` and `/admin.json` below it. `off`: nowhere. Values: `off`, or text. Default: `/openapi`. */
    readonly path?: 'off' | (string & {}) | undefined;
    /** Path of the Swagger UI page. `off`: none. Values: `off`, or text. Default: `/docs`. */
    readonly docs?: 'off' | (string & {}) | undefined;
    /** Path of the Redoc page. `off`: none. Values: `off`, or text. Default: `/redoc`. */
    readonly redoc?: 'off' | (string & {}) | undefined;
    /** Title of the document. Default: `gateway.name`. */
    readonly title?: string | undefined;
    /** Version of the document. Default: `1`. */
    readonly version?: string | undefined;
    /** Introduction, in Markdown. Default: empty. */
    readonly description?: string | undefined;
    /** Where callers reach the gateway. Default: where the page came from. Values: list of text (at most 20). Default: empty. */
    readonly servers?: readonly string[] | undefined;
    /** What the open document and the pages show to everybody: `public` operations that anybody may call, `signed-in` also those that need authentication, `admin` also those of administrators. Security: descriptions only; who may call is decided by the routes. Values: `public`, `signed-in`, `admin`. Default: `signed-in`. */
    readonly audience?: 'public' | 'signed-in' | 'admin' | undefined;
    /** Routes that no document describes: with path and methods, or not at all. Values: `list`, `hide`. Default: `list`. */
    readonly undescribed?: 'list' | 'hide' | undefined;
    /** Also the gateway's own APIs: accounts, limits, cluster, admin. Default: `true`. */
    readonly ownApis?: boolean | undefined;
    /** Lets the Swagger UI page send requests. Default: `true`. */
    readonly tryIt?: boolean | undefined;
    /** Documents by the name of the service: a file, `{ url }`, or `{ path }` of the service itself. Files of the key `openapi` of services and routes are used without being named here. Default: its defaults. */
    readonly services?: { readonly [name: string]: string | {
      /** A file beside the configuration. */
      readonly file: string;
      /** What the service has before the paths of the document. Default: the path of its first server. */
      readonly basePath?: string | undefined;
    } | {
      /** Where it is fetched. */
      readonly url: string;
      /** How often it is fetched again. One that cannot be had stays as it was. Values: duration (at least 1s, at most 1d). Default: `5m`. */
      readonly refresh?: string | number | undefined;
      /** What the service has before the paths of the document. Default: the path of its first server. */
      readonly basePath?: string | undefined;
    } | {
      /** Path at which the service itself has it; instances are asked in turn. */
      readonly path: string;
      /** How often it is fetched again. One that cannot be had stays as it was. Values: duration (at least 1s, at most 1d). Default: `5m`. */
      readonly refresh?: string | number | undefined;
      /** What the service has before the paths of the document. Default: the path of its first server. */
      readonly basePath?: string | undefined;
    } } | undefined;
  } | undefined;
  /** What callers may use, by plan. `standard`, `premium` and `enterprise` are shipped; a plan written here replaces what it names of the shipped one. */
  readonly plans?: { readonly [name: string]: {
    /** Limits that all hold, counted over all routes with `rateLimit: { plan: true }`. Default: those of the shipped plan of this name, else none. */
    readonly limits?: readonly Limits[] | undefined;
    /** How much of each quota (key `quotas`) the plan has: `{ stories: 5 }`. */
    readonly quotas?: { readonly [name: string]: number | 'unlimited' } | undefined;
    /** Times at which the plan has more: a launch, a holiday. What was used before stays counted. */
    readonly occasions?: readonly ({
      /** What it is called in responses and logs. */
      readonly name: string;
      /** A moment such as `2026-12-24T18:00:00+01:00`, or a date, which begins at midnight UTC. */
      readonly start: Start;
      /** A moment such as `2026-12-24T18:00:00+01:00`, or a date, which begins at midnight UTC. */
      readonly end: Start;
      /** Limits and quotas times this. Values: number, 0.1 to 16. Default: `1`. */
      readonly factor?: number | undefined;
      /** And so many more on top. Values: whole number, 0 to 1000000. Default: `0`. */
      readonly extra?: number | undefined;
    })[] | undefined;
  } } | undefined;
  /** Quotas by name. A route counts against one with `quota: NAME`; plans give amounts with `quotas: { NAME: 5 }`. */
  readonly quotas?: { readonly [name: string]: {
    /** Length of the period; weeks begin on Monday. Values: `day`, `week`, `month`. Default: `day`. */
    readonly per?: 'day' | 'week' | 'month' | undefined;
    /** Where its days begin at midnight. Default: `UTC`. */
    readonly timeZone?: string | undefined;
    /** For callers whose plan says nothing of the quota. Unlimited use is counted too. Values: `unlimited`, or whole number, 0 to 1000000000. Default: `unlimited`. */
    readonly limit?: number | 'unlimited' | undefined;
    /** A child account uses up its own quota, its parent’s, or both: then neither may be passed. Values: `own`, `parent`, `both`. Default: `both`. */
    readonly share?: 'own' | 'parent' | 'both' | undefined;
  } } | undefined;
  /** Services that register themselves, by a token. Default: none can. */
  readonly registry?: {
    /** Bearer token that services register with, 16 characters or more; a list while one is replaced by another. Values: secret text, at least 16 characters, or list of secret text, at least 16 characters (at most 16). */
    readonly token: string | readonly string[];
    /** Path under which the registration API is served. Default: `/api/v1/registry`. */
    readonly path?: string | undefined;
    /** How long a registration lasts without a heartbeat. Default: its defaults. */
    readonly lease?: {
      /** For registrations that name none. Values: duration (at least 1s, at most 24d). Default: `30s`. */
      readonly default?: string | number | undefined;
      /** Shortest that a registration may ask for. Values: duration (at least 1s, at most 24d). Default: `5s`. */
      readonly min?: string | number | undefined;
      /** Longest that a registration may ask for. Values: duration (at least 1s, at most 24d). Default: `10m`. */
      readonly max?: string | number | undefined;
    } | undefined;
    /** How long restored registrations last at least after a restart, so that services can send their heartbeats again. Values: duration (at least 1s, at most 24d). Default: `30s`. */
    readonly restartGrace?: string | number | undefined;
    /** How instances that come and go again and again are held back, or `off`. Default: its defaults. */
    readonly damping?: 'off' | {
      /** The comeback, within `window`, that is the first to be held back. Values: whole number, 1 to 100. Default: `3`. */
      readonly after?: number | undefined;
      /** How long the first time; each further comeback doubles it. Values: duration (at least 1s, at most 24d). Default: `10s`. */
      readonly hold?: string | number | undefined;
      /** Longest time that an instance is held back. Values: duration (at least 1s, at most 24d). Default: `5m`. */
      readonly maxHold?: string | number | undefined;
      /** Comebacks longer ago than this are forgotten. Values: duration (at least 1s, at most 24d). Default: `10m`. */
      readonly window?: string | number | undefined;
    } | undefined;
  } | undefined;
  /** Databases that several features share. Default: SQLite in the data folder. */
  readonly stores?: {
    /** Database for accounts, usage, bans and history. Default: SQLite in the data folder. */
    readonly sql?: string | undefined;
    /** Redis for limits and bans that several machines share: `redis://user:password@host:6379/0`, `redis+sentinel://host1:26379,host2:26379/NAME?db=0`, `redis+cluster://host1:6379,host2:6379`; with `rediss` over TLS. Default: none, each machine counts alone. */
    readonly redis?: string | undefined;
    /** How routes with `cache: { store: redis }` use `stores.redis`. Default: its defaults. */
    readonly cacheRedis?: {
      /** Longest wait for a response out of Redis; then the service is asked. Values: duration (at least 1ms, at most 5s). Default: `20ms`. */
      readonly timeout?: string | number | undefined;
      /** While a Redis server uses more memory than this (everything in it counts), no responses are written to it. Values: size (at least 1mb). Default: `256mb`. */
      readonly memory?: string | number | undefined;
      /** Keys in Redis begin with this. Gateways that share responses have the same. Default: `gatehouse-cache`. */
      readonly prefix?: string | undefined;
    } | undefined;
    /** Memory for responses that routes with `cache` store, shared by all workers. What is not used of it is not taken from the machine. Read at start. Values: size (at least 1mb, at most 3gb). Default: `64mb`. */
    readonly cacheMemory?: string | number | undefined;
  } | undefined;
}
