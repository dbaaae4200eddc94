/**
 * What an `auth` entry of the configuration compiles to: plain data, part of the snapshot, one object per route. Made
 * by policies/auth.options.ts from what people write (docs/guide/authentication.md), read by policies/auth.ts. Secrets
 * are ids into `Secrets`; URLs and passwords of outside services stay in control and appear here only as an `id`.
 */
import type { Algorithm } from './algorithms.ts';
import type { ClaimNames } from './identity.ts';
import type { SignedHeaderSettings } from './identity-headers.ts';
import type { ClaimRules } from './jwt.ts';
import type { Jwk } from './verify-key.ts';

export type AuthMethodName = 'jwt' | 'introspect' | 'apiKey' | 'basic' | 'mtls' | 'external';

export interface AuthSettings {
  /** Shown to people by browsers and in `WWW-Authenticate`. */
  readonly realm: string;
  /** `any`: the first method that finds a credential decides. `all`: every configured method must find a good one. */
  readonly mode: 'any' | 'all';
  /** A request without any credential goes on without an identity. One with a bad credential never does. */
  readonly optional: boolean;
  readonly jwt: JwtSettings | null;
  readonly introspect: IntrospectSettings | null;
  readonly apiKey: ApiKeySettings | null;
  readonly basic: BasicSettings | null;
  readonly mtls: MtlsSettings | null;
  readonly external: ExternalSettings | null;
  readonly requirements: Requirements;
  readonly forward: ForwardSettings;
  /** Remove the field that carried the credential from the upstream request. */
  readonly hideCredentials: boolean;
}

/** What an identity must have; empty lists ask for nothing. */
export interface Requirements {
  /** All of these. */
  readonly scopes: readonly string[];
  /** One of these. */
  readonly roles: readonly string[];
  /** A second factor, shown by `mfa_verified` or `amr`. */
  readonly mfa: boolean;
  /** Longest time since the caller last proved who it is (`auth_time`), seconds; 0 does not ask. */
  readonly maxAuthAgeSeconds: number;
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
  readonly algorithms: readonly Algorithm[];
  readonly keys: IssuerKeys;
  readonly claims: ClaimNames;
}

export type IssuerKeys =
  /** The built-in identity service, topic `identity:keys`. */
  | { readonly kind: 'identity' }
  /** Fetched by control, topic `auth:jwks`, under this id. */
  | { readonly kind: 'published'; readonly id: string }
  | { readonly kind: 'inline'; readonly keys: readonly Jwk[] }
  /** HS256 with a shared secret. */
  | { readonly kind: 'secret'; readonly secret: string; readonly kid: string | null };

export interface IntrospectSettings {
  /** Which endpoint control asks, on topic `auth:introspect`. */
  readonly id: string;
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
  /** Secret id of the user file's text (data/auth/password-file.ts). */
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

export interface ExternalSettings {
  /** Which authorizer control asks, on topic `auth:external`. */
  readonly id: string;
  /** Request fields sent along, lower case. */
  readonly sendHeaders: readonly string[];
  /** Fields of its answer that are set on the upstream request, lower case. */
  readonly copyHeaders: readonly string[];
  /** Fields of its answer that make the identity, lower case; without a subject there is no identity. */
  readonly subjectHeader: string | null;
  readonly rolesHeader: string | null;
  readonly scopesHeader: string | null;
  /** Give the caller the authorizer's own answer when it refuses; otherwise the gateway's 401 or 403. */
  readonly passRefusal: boolean;
  readonly timeoutMs: number;
  /** 0 asks for every request. */
  readonly cacheMs: number;
  readonly cacheEntries: number;
}
