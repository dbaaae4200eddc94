/** The calls of the registration API as this client needs them, and the reading of the three shapes of errors. */
import type { LeaseChanges, RegisterOptions } from './options.ts';
import { RegistrationError } from './options.ts';

/** What the gateway says of a lease. */
export interface Granted {
  readonly id: string;
  readonly leaseMs: number;
  readonly held: boolean;
}

export interface RegistryCalls {
  register(changes: LeaseChanges): Promise<Granted>;
  heartbeat(id: string, changes: LeaseChanges): Promise<Granted>;
  deregister(id: string): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 5_000;

export function registryCalls(options: RegisterOptions): RegistryCalls {
  const { gateway, token, service, path = '/api/v1/registry', timeout = DEFAULT_TIMEOUT_MS } = options;
  const base = `${gateway.replace(/\/+$/, '')}${path}/services/${encodeURIComponent(service)}/instances`;
  if (!/^https?:\/\//i.test(base) || !URL.canParse(base)) {
    throw new TypeError(`gateway must be a URL such as http://gateway:8000, not "${gateway}"`);
  }

  const call = async (method: string, url: string, body?: unknown): Promise<unknown> => {
    const response = await (options.fetch ?? fetch)(url, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(timeout),
    });
    const text = await response.text();
    if (!response.ok) throw refusal(response.status, text);
    return text === '' ? undefined : JSON.parse(text);
  };

  return {
    register: async (changes) => {
      const { url, lease } = options;
      return granted(await call('POST', base, { url, ...(lease === undefined ? {} : { lease }), ...changes }));
    },
    heartbeat: async (id, changes) => {
      const body = Object.keys(changes).length === 0 ? undefined : changes;
      return granted(await call('PUT', `${base}/${encodeURIComponent(id)}/heartbeat`, body));
    },
    deregister: async (id) => {
      await call('DELETE', `${base}/${encodeURIComponent(id)}`);
    },
  };
}

function granted(body: unknown): Granted {
  const { id, leaseMs, state } = (body ?? {}) as { id?: unknown; leaseMs?: unknown; state?: unknown };
  if (typeof id !== 'string' || typeof leaseMs !== 'number' || !(leaseMs > 0)) {
    throw new Error('the answer is not one of a gateway registry; is this the right URL?');
  }
  return { id, leaseMs, held: state === 'held' };
}

/** Errors come as RFC 9457 problems, nested or flat, as the gateway is configured; all have a code and a message. */
function refusal(status: number, text: string): RegistrationError {
  let body: { code?: unknown; error_code?: unknown; message?: unknown; error?: { code?: unknown; message?: unknown } } =
    {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) body = parsed;
  } catch {
    // Something on the way answered, not the registry; its status says enough.
  }
  const code = body.code ?? body.error_code ?? body.error?.code;
  const message = body.message ?? body.error?.message;
  return new RegistrationError(
    status,
    typeof code === 'string' ? code : `HTTP_${status}`,
    typeof message === 'string' ? message : `the gateway answered ${status}`,
  );
}
