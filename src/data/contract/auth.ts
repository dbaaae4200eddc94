/**
 * Authentication between the planes: what an `auth` entry of the configuration compiles to, and the topics by which
 * workers get keys and ask what they cannot know. Settings are plain data, part of the snapshot, made by
 * policies/auth.options.ts from what people write (docs/guide/authentication.md) and read by policies/auth.ts; control
 * (control/auth/) reads from the same settings whom it must ask. Passwords of outside services are ids into `Secrets`.
 */

/** Signature algorithms of tokens (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2); `none` is not one. */
export const ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'HS256',
  'HS384',
  'HS512',
] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** A JSON Web Key as published; unknown members are ignored (RFC 7517 §4). */
export interface Jwk {
  readonly kty: string;
  readonly kid?: string;
  readonly use?: string;
  readonly key_ops?: readonly string[];
  readonly alg?: string;
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
  readonly n?: string;
  readonly e?: string;
  readonly k?: string;
}

/** The scope of a session that has to set up its second factor first; it opens nothing but the identity service. */
export const ENROL_SCOPE = 'identity:enrol-mfa';

/**
 * One text for one caller: equal subjects of two issuers are two callers. `null` is this gateway, whose accounts, keys
 * and users go by their subject alone.
 */
export function accountKey(issuer: string | null, subject: string): string {
  return issuer === null ? subject : `${issuer}|${subject}`;
}

/** `realm_access.roles` as `['realm_access', 'roles']`. */
export type ClaimPath = readonly string[];

/** Where an issuer keeps what the gateway needs. Each is a list of paths; the first that is present counts. */
export interface ClaimNames {
  readonly subject: readonly ClaimPath[];
  readonly roles: readonly ClaimPath[];
  readonly scopes: readonly ClaimPath[];
  readonly plan: readonly ClaimPath[];
}

/** What an issuer's tokens must say about time, audience and type. */
export interface ClaimRules {
  /** One of these must be in `aud`; null takes any, also none. */
  readonly audiences: readonly string[] | null;
  /** `typ` in lower case without `application/`; empty for a token that names none. */
  readonly types: readonly string[];
  /** Allowed difference between the clocks, seconds. */
  readonly leewaySeconds: number;
  /** Greatest age since `iat`, seconds; 0 does not ask for `iat`. */
  readonly maxAgeSeconds: number;
}

/** One signed field instead of plain ones, see data/auth/identity-headers.ts. */
export interface SignedHeaderSettings {
  readonly algorithm: 'HS256' | 'ES256' | 'EdDSA';
  readonly kid: string | null;
  readonly issuer: string;
  /** Empty for none. */
  readonly audience: string;
  /** How long an upstream may believe one header. An identity is cached for 30 s at most, so this is 60 or more. */
  readonly lifetimeSeconds: number;
}

export interface AuthSettings {
  /** Shown to people by browsers and in `WWW-Authenticate`. */
  readonly realm: string;
  /** `any`: the first method that finds a credential decides. `all`: every configured method must find a good one. */
  readonly mode: 'any' | 'all';
  /** A request without any credential goes on without an identity. One with a bad credential never does. */
  readonly optional: boolean;
  /** Lets sessions in that must set up their second factor first. */
  readonly mayEnrol: boolean;
  readonly jwt: JwtSettings | null;
  readonly introspect: IntrospectSettings | null;
  readonly apiKey: ApiKeySettings | null;
  readonly basic: BasicSettings | null;
  readonly mtls: MtlsSettings | null;
  readonly external: ExternalSettings | null;
  /** Query parameter in which WebSockets and event streams may bring a ticket instead; null: none is taken. */
  readonly ticketParameter: string | null;
  readonly requirements: Requirements;
  readonly forward: ForwardSettings;
  /** Remove the field that carried the credential from the upstream request. */
  readonly hideCredentials: boolean;
  /** Tunnels and streams go on when the credential expires, until it is revoked. */
  readonly streamsOutliveExpiry: boolean;
}

/** What an identity must have; empty lists ask for nothing. */
export interface Requirements {
  /** All of these. */
  readonly scopes: readonly string[];
  /** One of these. */
  readonly roles: readonly string[];
  /** A second factor, shown by `mfa_verified` or `amr`; `tokens` asks only those who come with a token. */
  readonly mfa: 'off' | 'tokens' | 'always';
  /** Longest time since the caller last proved who it is (`auth_time`), seconds; 0 does not ask. */
  readonly maxAuthAgeSeconds: number;
  /** The same for tokens of accounts of this gateway that have a second factor: it must have been given so recently. */
  readonly freshFactorSeconds?: number;
}

export type ForwardSettings =
  | { readonly kind: 'plain' }
  | { readonly kind: 'none' }
  | { readonly kind: 'signed'; readonly signed: SignedHeaderSettings; readonly secret: string };

/** Where a token is looked for, in order; the first place that has one counts. */
export type TokenSource =
  /** `Authorization: Bearer` (RFC 6750 §2.1). */
  | { readonly in: 'authorization' }
  /** A field that holds the bare token; lower case. */
  | { readonly in: 'header'; readonly name: string }
  /** A cookie. Requests that change something must come from the gateway's own pages or `trustedSites`. */
  | { readonly in: 'cookie'; readonly name: string; readonly trustedSites: readonly string[] };

export interface JwtSettings {
  readonly issuers: readonly IssuerSettings[];
  readonly sources: readonly TokenSource[];
  readonly maxTokenBytes: number;
  /** Verified tokens kept per worker; 0 verifies every time. */
  readonly cacheEntries: number;
  /** At most 30 s. */
  readonly cacheMs: number;
}

export interface IssuerSettings extends ClaimRules {
  /** For logs. */
  readonly name: string;
  /** Value of `iss`; null only for secrets, and takes tokens that no other issuer claims. */
  readonly issuer: string | null;
  /** `iss` is `before`, the claim's value and `after`; null `tenants` takes any value. */
  readonly template?: {
    readonly before: string;
    readonly claim: string;
    readonly after: string;
    readonly tenants: readonly string[] | null;
  };
  readonly algorithms: readonly Algorithm[];
  readonly keys: IssuerKeys;
  readonly claims: ClaimNames;
}

export type IssuerKeys =
  /** The built-in identity service, topic `identity:keys`. */
  | { readonly kind: 'identity' }
  /** Fetched by control, topic `auth:jwks`. */
  | PublishedKeySource
  | { readonly kind: 'inline'; readonly keys: readonly Jwk[] }
  /** HS256 with a shared secret. */
  | { readonly kind: 'secret'; readonly secret: string; readonly kid: string | null };

export interface PublishedKeySource {
  readonly kind: 'published';
  /** Under which control publishes them; equal sources have equal ids. */
  readonly id: string;
  /** Of the JWK set itself, or null when `discovery` says where it is. */
  readonly url: string | null;
  /** Issuer whose metadata (`/.well-known/openid-configuration` or RFC 8414) names the set. */
  readonly discovery: string | null;
  /** How often the set is fetched in the background. */
  readonly refreshMs: number;
  /** How long keys count when the issuer stays out of reach. */
  readonly maxStaleMs: number;
  /** Least time between two fetches that unknown key ids ask for. */
  readonly cooldownMs: number;
  readonly timeoutMs: number;
}

export interface IntrospectSettings {
  /** Which endpoint control asks, on topic `auth:introspect`. */
  readonly id: string;
  /** Value of `iss` that stands for this gateway's own accounts: that of its OAuth provider. */
  readonly ownIssuer: string | null;
  /** Host and port of the endpoint, for spans. */
  readonly host: string;
  /** Secret id of the endpoint (`IntrospectEndpoint` as JSON); only control reads it. */
  readonly endpoint: string;
  readonly sources: readonly TokenSource[];
  readonly audiences: readonly string[] | null;
  readonly claims: ClaimNames;
  readonly maxTokenBytes: number;
  readonly timeoutMs: number;
  /** How long an answer counts, at most to the token's `exp`. */
  readonly cacheMs: number;
  readonly cacheEntries: number;
}

export interface ApiKeySettings {
  /** Lower case. */
  readonly header: string;
  /** Query parameter that may carry the key instead; null allows none. */
  readonly query: string | null;
  /** Secret id of the configured keys (`StaticApiKey[]` as JSON), or null. */
  readonly keys: string | null;
  /** Ask the identity service for keys that are not configured. */
  readonly askIdentity: boolean;
  readonly timeoutMs: number;
  readonly cacheMs: number;
  readonly refusedCacheMs: number;
  readonly cacheEntries: number;
}

/** One configured key; only its SHA-256 (base64url) is kept. */
export interface StaticApiKey {
  readonly digest: string;
  readonly id: string;
  readonly subject: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string | null;
}

export interface BasicSettings {
  /** Secret id of the user file's text (data/auth/methods/password-file.ts). */
  readonly users: string;
  readonly cacheMs: number;
  readonly cacheEntries: number;
}

/** A certificate must meet one rule; a rule is met when all that it names agrees. */
export interface MtlsSettings {
  readonly rules: readonly MtlsRule[];
}

export interface MtlsRule {
  /** Attributes of the subject, such as `{ CN: 'billing', O: 'Example' }`. */
  readonly subject: Readonly<Record<string, string>>;
  /** SHA-256 of the certificate, lower-case hex without colons; empty for any. */
  readonly fingerprints: readonly string[];
  /** Subject alternative names such as `DNS:billing.internal` or `URI:spiffe://example/billing`; empty for any. */
  readonly alternativeNames: readonly string[];
  /** Subject of the identity: `cn`, `subject`, `fingerprint`, or a fixed one. */
  readonly identity: { readonly from: 'cn' | 'subject' | 'fingerprint' } | { readonly fixed: string };
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string | null;
}

/** How the introspection endpoint is asked. */
export interface IntrospectEndpoint {
  readonly url: string;
  /** RFC 7662 §2.1: the endpoint authenticates who asks. */
  readonly credentials:
    | { readonly kind: 'basic' | 'post'; readonly clientId: string; readonly clientSecret: string }
    | { readonly kind: 'bearer'; readonly token: string }
    | { readonly kind: 'none' };
}

export interface ExternalSettings {
  /** Which authorizer control asks, on topic `auth:external`. */
  readonly id: string;
  /** Host and port, for spans. */
  readonly host: string;
  /** Secret id of its URL (which can carry a password); only control reads it. */
  readonly endpoint: string;
  /** Request fields sent along, lower case. */
  readonly sendHeaders: readonly string[];
  /** Fields of its response that are set on the upstream request, lower case. */
  readonly copyHeaders: readonly string[];
  /** Fields of its response that make the identity, lower case; without a subject everybody is `external:<id>`. */
  readonly subjectHeader: string | null;
  readonly rolesHeader: string | null;
  readonly scopesHeader: string | null;
  /** Give the caller the authorizer's own response when it refuses; otherwise the gateway's 401 or 403. */
  readonly passRefusal: boolean;
  readonly timeoutMs: number;
  /** 0 asks for every request. */
  readonly cacheMs: number;
  readonly cacheEntries: number;
}

// --- topics -------------------------------------------------------------------------------------------------

/** Topic `identity:keys`. */
export interface IdentityKeysMessage {
  readonly issuer: string;
  readonly jwks: { readonly keys: readonly Jwk[] };
  readonly audience?: string | readonly string[];
}

/** Topic `auth:jwks`: all outside issuers by id; an issuer whose keys never came, or are too old, is absent. */
export type PublishedKeysMessage = Readonly<Record<string, PublishedKeys>>;

export interface PublishedKeys {
  readonly keys: readonly Jwk[];
  /** Wall time until which the keys count when the issuer stays out of reach. */
  readonly expiresAtMs: number;
}

/** Topic of the question "fetch again, a token names a key that we do not have"; answered when that is done. */
export const REFRESH_TOPIC = 'auth:jwks-refresh';

export interface RefreshQuestion {
  readonly id: string;
  readonly kid: string;
}

/** As published: pairs of id and the second after which it matters no more; bare ids matter until they are gone. */
export interface RevokedMessage {
  readonly sids?: readonly (string | readonly [string, number])[];
  readonly jtis?: readonly (string | readonly [string, number])[];
  /** Ids of API keys. */
  readonly keys?: readonly (string | readonly [string, number])[];
}

export const INTROSPECT_TOPIC = 'auth:introspect';

export interface IntrospectQuestion {
  readonly id: string;
  readonly token: string;
  /** Of the request that the question is for; null: nothing is traced. */
  readonly traceparent: string | null;
}

/** Members of the response (RFC 7662 §2.2); `active: false` has no others. */
export type IntrospectAnswer = Readonly<Record<string, unknown>> & { readonly active: boolean };

export const API_KEY_TOPIC = 'identity:api-key';

export interface ApiKeyQuestion {
  readonly key: string;
  /** The caller's: a key can be limited to addresses. */
  readonly address: string;
}

export interface ApiKeyAnswer {
  readonly subject: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string | null;
  readonly keyId: string;
  /** More than the above: `par` of a child's key, for instance. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Milliseconds since 1970, or null when it does not expire. */
  readonly expiresAt: number | null;
}

export const EXTERNAL_TOPIC = 'auth:external';

export interface ExternalQuestion {
  readonly id: string;
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  /** Path and query. */
  readonly uri: string;
  readonly address: string;
  readonly requestId: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Null: nothing is traced. */
  readonly traceparent: string | null;
}

export interface ExternalResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
