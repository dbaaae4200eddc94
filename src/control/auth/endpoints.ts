/**
 * Asks outside services about credentials, for the workers: introspection of opaque tokens (RFC 7662) and forward
 * authentication. It runs in control and not in the workers, because
 *   - a worker would need a second HTTP engine beside its own, with its memory and its pools, once per thread;
 *   - the endpoints' passwords then stay in one thread, and connections and cool-downs are shared by all;
 *   - an outside service that hangs costs control some sockets, and the workers nothing.
 * The price is two thread hops, some 50 us, beside a network round trip; workers cache answers, so it is paid once per
 * token and some seconds. What control cannot stand is bounded: questions under way per endpoint.
 */
import type {
  ExternalQuestion,
  ExternalResponse,
  ExternalSettings,
  IntrospectAnswer,
  IntrospectEndpoint,
  IntrospectQuestion,
  IntrospectSettings,
} from '../../data/contract/auth.ts';
import type { AskOutside } from './http.ts';

const MAX_INTROSPECTION_BYTES = 64 * 1024;
/** Of an authorizer's refusal, which may be a small page. */
const MAX_REFUSAL_BYTES = 64 * 1024;
/** Questions under way at one endpoint, over all workers. */
const MOST_UNDER_WAY = 1_024;

class Gauge {
  #underWay = 0;

  async within<T>(task: () => Promise<T>): Promise<T> {
    if (this.#underWay >= MOST_UNDER_WAY) throw new Error('too many questions under way');
    this.#underWay++;
    try {
      return await task();
    } finally {
      this.#underWay--;
    }
  }
}

export class IntrospectionEndpoint {
  readonly #endpoint: IntrospectEndpoint;
  readonly #timeoutMs: number;
  readonly #ask: AskOutside;
  readonly #gauge = new Gauge();

  constructor(settings: IntrospectSettings, endpoint: IntrospectEndpoint, ask: AskOutside) {
    this.#endpoint = endpoint;
    this.#timeoutMs = settings.timeoutMs;
    this.#ask = ask;
  }

  /** Rejects when the endpoint does not answer as one; a token that it does not know is `active: false`. */
  introspect({ token, traceparent }: IntrospectQuestion): Promise<IntrospectAnswer> {
    return this.#gauge.within(async () => {
      const { url, credentials } = this.#endpoint;
      const form = new URLSearchParams({ token, token_type_hint: 'access_token' });
      const headers: Record<string, string> = {
        'content-type': 'application/x-www-form-urlencoded',
        accept: 'application/json',
      };
      if (traceparent !== null) headers['traceparent'] = traceparent;
      if (credentials.kind === 'bearer') headers['authorization'] = `Bearer ${credentials.token}`;
      else if (credentials.kind === 'basic')
        headers['authorization'] = basicField(credentials.clientId, credentials.clientSecret);
      else if (credentials.kind === 'post') {
        form.set('client_id', credentials.clientId);
        form.set('client_secret', credentials.clientSecret);
      }
      const { status, body } = await this.#ask({
        url,
        method: 'POST',
        headers,
        body: form.toString(),
        timeoutMs: this.#timeoutMs,
        maxBytes: MAX_INTROSPECTION_BYTES,
      });
      // RFC 7662 §2.3: 401 is about the gateway's own credentials, so it says nothing of the token.
      if (status !== 200) throw new Error(`the introspection endpoint sent ${status}`);
      const answer: unknown = JSON.parse(body);
      if (
        typeof answer !== 'object' ||
        answer === null ||
        typeof (answer as { active?: unknown }).active !== 'boolean'
      ) {
        throw new Error('the introspection endpoint did not answer as one');
      }
      return answer as IntrospectAnswer;
    });
  }
}

/** RFC 6749 §2.3.1: name and password are form-encoded before they are joined. */
function basicField(name: string, password: string): string {
  const encode = (text: string): string => new URLSearchParams({ x: text }).toString().slice(2);
  return `Basic ${Buffer.from(`${encode(name)}:${encode(password)}`).toString('base64')}`;
}

export class Authorizer {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #ask: AskOutside;
  readonly #gauge = new Gauge();

  constructor(settings: ExternalSettings, url: string, ask: AskOutside) {
    this.#url = url;
    this.#timeoutMs = settings.timeoutMs;
    this.#ask = ask;
  }

  /** Rejects when it does not answer. */
  authorize(question: ExternalQuestion): Promise<ExternalResponse> {
    const { method, scheme, host, uri, address, requestId, headers, traceparent } = question;
    return this.#gauge.within(() =>
      this.#ask({
        url: this.#url,
        headers: {
          ...headers,
          'x-forwarded-method': method,
          'x-forwarded-proto': scheme,
          'x-forwarded-host': host,
          'x-forwarded-uri': uri,
          'x-forwarded-for': address,
          'x-request-id': requestId,
          ...(traceparent === null ? {} : { traceparent }),
        },
        timeoutMs: this.#timeoutMs,
        maxBytes: MAX_REFUSAL_BYTES,
      }),
    );
  }
}
