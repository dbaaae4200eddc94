/**
 * Challenge certificates of TLS-ALPN-01 (RFC 8737), which the control plane publishes while a certificate authority
 * checks a name, and takes back afterwards.
 */

/** Topic on which they are published; empty most of the time. */
export const CHALLENGE_TOPIC = 'acme:challenges';

/** PEM texts by server name, lower case. The keys are made for one challenge and worth nothing after it. */
export type ChallengeCertificates = Readonly<Record<string, { readonly cert: string; readonly key: string }>>;
