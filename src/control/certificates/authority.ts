/**
 * One order at an ACME authority, by the library `acme-client`: account, order, proof of the name, certificate. The
 * result is compared with the order, since an authority is not trusted; a failure is an `OrderError` with the
 * authority's own words and the time from which it may be asked again.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createPrivateKey } from 'node:crypto';
import acme from 'acme-client';
import { messageOf } from '../../base/errors.ts';
import { onDemand } from '../../base/on-demand.ts';
import { certificateNames, certificatesIn } from '../config/compile/pem.ts';
import type { ChallengeKind } from './options.ts';

/** Why there is no certificate. */
export class OrderError extends Error {
  /** Milliseconds that the authority asked to wait (`Retry-After`); 0 when it did not say. */
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs = 0) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

export interface AuthoritySettings {
  readonly directory: string;
  readonly email: string | null;
  /** PEM text, or null. */
  readonly ca: string | null;
  readonly externalAccount: { readonly keyId: string; readonly hmacKey: string } | null;
  readonly key: 'ecdsa' | 'rsa';
  /** Longest time for one response of the authority, and longest time that it may leave an order pending. */
  readonly responseTimeoutMs: number;
  readonly pendingTimeoutMs: number;
  /** Longest time for the whole order: the next one waits for it. */
  readonly orderTimeoutMs: number;
}

/** Puts the proof where the authority looks, and takes it away again. */
export interface Prover {
  /** `signal` ends a wait in it, such as the one for a record to be seen. */
  present(proof: Proof, signal: AbortSignal): Promise<void>;
  /** Must not reject. */
  remove(proof: Proof): Promise<void>;
}

export interface Proof {
  readonly kind: ChallengeKind;
  /** The name to prove; of a wildcard, what stands behind `*.`. */
  readonly name: string;
  readonly token: string;
  /** What the authority wants to see: the text, or for `dns-01` the value of the record. */
  readonly answer: string;
  /** For `tls-alpn-01`. */
  readonly certificate: { readonly cert: string; readonly key: string } | null;
}

const POLL_MS = 1_000;
/** Far more than a chain has. */
const MAX_ANSWER_BYTES = 1024 ** 2;
const MAX_RETRY_AFTER_MS = 7 * 86_400_000;

export function makeAccountKey(): Promise<string> {
  return acme.crypto.createPrivateEcdsaKey('P-256').then(String);
}

/**
 * Key and chain of a certificate for `name`, as one PEM text. Rejects with an `OrderError`, at once when `signal` gives
 * the order up; the proof is taken away again whatever happens.
 */
export function orderCertificate(
  settings: AuthoritySettings,
  accountKey: string,
  name: string,
  kind: ChallengeKind,
  prover: Prover,
  signal?: AbortSignal,
): Promise<string> {
  const heard = listenIn(settings, signal);
  return orders.run(heard, ordered, settings, accountKey, name, kind, prover, heard);
}

async function ordered(
  settings: AuthoritySettings,
  accountKey: string,
  name: string,
  kind: ChallengeKind,
  prover: Prover,
  heard: Heard,
): Promise<string> {
  const { inTime } = heard;
  try {
    const client = new acme.Client({
      directoryUrl: settings.directory,
      accountKey,
      backoffAttempts: Math.max(2, Math.ceil(settings.pendingTimeoutMs / POLL_MS)),
      backoffMin: POLL_MS,
      backoffMax: POLL_MS,
      ...(settings.externalAccount === null
        ? {}
        : {
            externalAccountBinding: { kid: settings.externalAccount.keyId, hmacKey: settings.externalAccount.hmacKey },
          }),
    });
    await inTime(ensureAccount(client, settings));
    const order = await inTime(client.createOrder({ identifiers: [{ type: 'dns', value: name }] }));
    const authorizations = await inTime(client.getAuthorizations(order));
    for (const authorization of authorizations) await prove(client, authorization, name, kind, prover, heard);
    const [key, request] = await acme.crypto.createCsr(
      { commonName: name, altNames: [name] },
      settings.key === 'rsa'
        ? await acme.crypto.createPrivateRsaKey(2048)
        : await acme.crypto.createPrivateEcdsaKey('P-256'),
    );
    const finished = await inTime(client.finalizeOrder(order, request));
    const chain: unknown = await inTime(client.getCertificate(finished));
    return checked(name, String(key), chain);
  } catch (error) {
    if (error instanceof OrderError) throw error;
    if (heard.signal.aborted) throw heard.signal.reason;
    if (error instanceof TypeError && heard.fault === null)
      throw new OrderError(`the authority sent something unexpected (${error.message})`);
    throw new OrderError(plainMessage(heard.fault ?? error), heard.retryAfterMs);
  } finally {
    heard.stop();
  }
}

/**
 * Asks for the account of the key, which is made if there is none (RFC 8555 §7.3.1). For one that is there the library
 * sends an update as well, which authorities may refuse when it changes nothing; the account is known by then.
 */
async function ensureAccount(client: acme.Client, { email }: AuthoritySettings): Promise<void> {
  try {
    await client.createAccount({
      termsOfServiceAgreed: true,
      ...(email === null ? {} : { contact: [`mailto:${email}`] }),
    });
  } catch (error) {
    try {
      client.getAccountUrl();
    } catch {
      throw error;
    }
  }
}

async function prove(
  client: acme.Client,
  authorization: acme.Authorization,
  ordered: string,
  kind: ChallengeKind,
  prover: Prover,
  { inTime, signal }: Heard,
): Promise<void> {
  if (authorization.status === 'valid') return;
  const name = authorization.identifier.value;
  // It would have the gateway, or the user's program, prove a name that nobody ordered, perhaps for somebody else.
  if (name !== ordered.replace(/^\*\./, ''))
    throw new OrderError(`the authority asks for a proof of ${JSON.stringify(name).slice(0, 100)}, not of ${ordered}`);
  const challenge = authorization.challenges.find(({ type }) => type === kind);
  if (challenge === undefined) {
    const offered = authorization.challenges.map(({ type }) => type).join(', ');
    throw new OrderError(`the authority does not take ${kind} for ${name}, only ${offered || 'nothing'}`);
  }
  const answer = await client.getChallengeKeyAuthorization(challenge);
  const proof: Proof = {
    kind,
    name,
    token: challenge.token,
    answer,
    certificate: kind === 'tls-alpn-01' ? await challengeCertificate(authorization, answer) : null,
  };
  try {
    // Not left while it works: what takes the proof away again must come after it.
    await prover.present(proof, signal);
    await inTime(client.completeChallenge(challenge));
    await inTime(client.waitForValidStatus(challenge));
  } finally {
    await prover.remove(proof);
  }
}

async function challengeCertificate(authorization: acme.Authorization, answer: string) {
  const [key, cert] = await acme.crypto.createAlpnCertificate(authorization, answer);
  return { key: String(key), cert: String(cert) };
}

/** An authority that sends what was not asked for would take the name off the air. */
function checked(name: string, key: string, chain: unknown): string {
  const certificates = certificatesIn(typeof chain === 'string' ? chain : '');
  const leaf = certificates?.[0];
  if (certificates === null || leaf === undefined)
    throw new OrderError('the authority sent something that is no certificate');
  if (!leaf.checkPrivateKey(createPrivateKey(key)))
    throw new OrderError('the authority sent a certificate for another key');
  if (!certificateNames(leaf).includes(name))
    throw new OrderError(`the authority sent a certificate that is not for ${name}`);
  if (Date.parse(leaf.validTo) <= Date.now()) throw new OrderError('the authority sent a certificate that has ended');
  return `${key.trim()}\n${certificates.map(String).join('')}`;
}

/** Network results of the current order, which the library's errors omit. */
interface Heard {
  retryAfterMs: number;
  /** Of a request that got no response. */
  fault: unknown;
  /** Aborted, with an `OrderError`, when the time for the order has passed or it is given up. */
  readonly signal: AbortSignal;
  /** What `work` gives, unless the order is over before: an `OrderError`. */
  inTime<T>(work: Promise<T>): Promise<T>;
  stop(): void;
}

interface HeardResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** The library has one HTTP client for the whole process, and what is left of an order that was given up polls on. */
const orders = new AsyncLocalStorage<Heard>();
let isListening = false;

/**
 * One order runs at a time (manager.ts), since the limits of the library's HTTP client are set here. Its own retries
 * are off: it would sleep for as long as the authority says.
 */
function listenIn(settings: AuthoritySettings, givenUp?: AbortSignal): Heard {
  const { defaults, interceptors } = acme.axios;
  Object.assign((defaults as unknown as { acmeSettings: object }).acmeSettings, { retryMaxAttempts: 0 });
  const agent = new onDemand.https.Agent({ keepAlive: false, ...(settings.ca === null ? {} : { ca: settings.ca }) });
  Object.assign(defaults, {
    timeout: settings.responseTimeoutMs,
    maxContentLength: MAX_ANSWER_BYTES,
    httpsAgent: agent,
    beforeRedirect: checkRedirect,
  });
  if (!isListening) {
    isListening = true;
    interceptors.request.use((request) => {
      refusePlain(request.url ?? '', 'names');
      // Of an order that is over: waits for ever, and is collected.
      return orders.getStore()?.signal.aborted === false ? request : new Promise<never>(() => {});
    });
    // The library makes every response an error first and sorts them out later.
    interceptors.response.use(null, (error: { readonly response?: HeardResponse }) => {
      const { response } = error;
      const heard = orders.getStore();
      if (heard !== undefined && response === undefined) heard.fault = error;
      if (heard !== undefined && response !== undefined && response.status >= 400)
        heard.retryAfterMs = retryAfter(String(response.headers['retry-after'] ?? ''));
      throw error;
    });
    // Before the library's own, which stumbles over errors without a response.
    const { handlers } = interceptors.response as unknown as { readonly handlers?: unknown[] };
    if (handlers !== undefined) handlers.unshift(handlers.pop());
  }
  // The library's time limit is one between bytes; this one ends a response that trickles, and its polling.
  const over = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  ended.catch(() => {});
  const end = (reason: string): void => {
    const error = new OrderError(reason);
    over.abort(error);
    reject(error);
    agent.destroy();
  };
  const late = setTimeout(end, settings.orderTimeoutMs, 'the authority did not finish the order in time').unref();
  const giveUp = (): void => end('the order was given up');
  if (givenUp?.aborted === true) giveUp();
  givenUp?.addEventListener('abort', giveUp);
  const own: Heard = {
    retryAfterMs: 0,
    fault: null,
    signal: over.signal,
    inTime: (work) => Promise.race([work, ended]),
    stop: () => {
      over.abort();
      clearTimeout(late);
      givenUp?.removeEventListener('abort', giveUp);
      agent.destroy();
    },
  };
  return own;
}

/** RFC 8555 §6.1: everything goes over HTTPS, whatever the directory or a redirect says. */
function refusePlain(url: string, how: 'names' | 'redirects to'): void {
  const { protocol } = URL.parse(url) ?? {};
  if (protocol !== 'https:')
    throw new OrderError(`the authority ${how} ${JSON.stringify(url).slice(0, 200)}, which is no https URL`);
}

/** A signature holds for one URL (RFC 8555 §6.4), so only what is not signed, such as the directory, may move. */
function checkRedirect({ href }: { href?: string }, _: unknown, from: { readonly method?: string }): void {
  refusePlain(href ?? '', 'redirects to');
  if (from.method === 'POST')
    throw new OrderError(`the authority redirects a signed request to ${JSON.stringify(href).slice(0, 200)}`);
}

/** RFC 9110 §10.2.3: seconds or a date. An authority that says more than a week is not believed. */
function retryAfter(value: string): number {
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

function plainMessage(error: unknown): string {
  const { code } = error as { readonly code?: string };
  if (code === 'ECONNABORTED' || code === 'ETIMEDOUT') return 'the authority did not answer in time';
  if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'ECONNRESET')
    return `the authority cannot be reached (${code})`;
  const message = messageOf(error);
  if (message === 'Operation is pending or processing') return 'the authority left the order pending for too long';
  return message;
}
