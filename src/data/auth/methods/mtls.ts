/**
 * Identity from the client certificate of the connection. That the certificate is genuine and in date was TLS's work
 * (the listener's `clientCa`); here a rule says which certificates may call and as whom.
 */
import type { Clock } from '../../../base/clock.ts';
import type { MtlsRule, MtlsSettings } from '../../contract/auth.ts';
import type { Identity, PolicyContext } from '../../contract/policy.ts';
import { PreparedIdentity } from '../identity.ts';
import type { HeaderMaker } from '../identity-headers.ts';
import { MAX_CACHE_MS, TokenCache } from '../jwt/token-cache.ts';
import { alternativeNames, parseDistinguishedName, plainFingerprint } from './certificate.ts';
import type { AuthMethod, Refusal, Verdict } from './method.ts';

/** Certificates remembered per worker. */
const MOST_CERTIFICATES = 1_024;

type Certificate = NonNullable<PolicyContext['clientCertificate']>;

interface Judged {
  readonly verdict: Identity | Refusal;
  readonly validUntilMs: number;
}

export class MtlsMethod implements AuthMethod {
  readonly cache: TokenCache<Judged>;
  readonly #rules: readonly MtlsRule[];
  readonly #clock: Clock;
  readonly #headers: HeaderMaker;

  constructor(settings: MtlsSettings, clock: Clock, headers: HeaderMaker) {
    this.#rules = settings.rules;
    this.#clock = clock;
    this.#headers = headers;
    this.cache = new TokenCache(clock, MOST_CERTIFICATES, MAX_CACHE_MS);
  }

  authenticate(exchange: PolicyContext): Verdict {
    const certificate = exchange.clientCertificate;
    if (certificate === null) return null;
    const nowMs = this.#clock.wallMs();
    const known = this.cache.get(certificate.fingerprint256, nowMs);
    if (known !== undefined) return known.verdict;
    const verdict = this.#judge(certificate);
    const validUntilMs = this.cache.validUntilMs(nowMs, Number.POSITIVE_INFINITY);
    this.cache.set(certificate.fingerprint256, { verdict, validUntilMs });
    return verdict;
  }

  /** The certificate never travelled in a field. */
  hide(): void {}

  challenge(): null {
    return null;
  }

  #judge(certificate: Certificate): Identity | Refusal {
    const subject = parseDistinguishedName(certificate.subject);
    const fingerprint = plainFingerprint(certificate.fingerprint256);
    const names = alternativeNames(certificate.subjectAltName ?? '');
    for (const rule of this.#rules) {
      if (!meets(rule, subject, fingerprint, names)) continue;
      const name = nameOf(rule, certificate, subject, fingerprint);
      if (name === null) continue;
      const { roles, scopes, plan } = rule;
      const claims = { sub: name, certificate: { subject: certificate.subject, sha256: fingerprint } };
      return new PreparedIdentity({ method: 'mtls', subject: name, roles, scopes, plan }, claims, this.#headers);
    }
    return 'no_rule';
  }
}

function meets(
  rule: MtlsRule,
  subject: ReadonlyMap<string, readonly string[]>,
  fingerprint: string,
  names: readonly string[],
): boolean {
  if (rule.fingerprints.length > 0 && !rule.fingerprints.includes(fingerprint)) return false;
  if (rule.alternativeNames.length > 0 && !rule.alternativeNames.some((name) => names.includes(name))) return false;
  return Object.entries(rule.subject).every(
    ([type, value]) => subject.get(type.toUpperCase())?.includes(value) === true,
  );
}

/** Null when the certificate does not say it, or says it twice. */
function nameOf(
  rule: MtlsRule,
  certificate: Certificate,
  subject: ReadonlyMap<string, readonly string[]>,
  fingerprint: string,
): string | null {
  if ('fixed' in rule.identity) return rule.identity.fixed;
  switch (rule.identity.from) {
    case 'cn': {
      const names = subject.get('CN') ?? [];
      return names.length === 1 && names[0] !== '' ? names[0]! : null;
    }
    case 'subject':
      return certificate.subject.replaceAll('\n', ',');
    case 'fingerprint':
      return fingerprint;
  }
}
