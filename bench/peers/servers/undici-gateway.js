/** The gateway job by node:http, undici, jose, rate-limiter-flexible, pino and prom-client. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { importSPKI, jwtVerify } from 'jose';
import pino from 'pino';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { forwardedHeaders, listen, options } from './listen.js';
import { count, metrics } from './metrics.js';
import { forward } from './undici-forward.js';

const key = await importSPKI(readFileSync(options.publicKeyFile, 'utf8'), 'ES256');
const rules = { issuer: options.issuer, audience: options.audience, algorithms: ['ES256'] };
const perMinute = new RateLimiterMemory({ points: options.limits.perMinute, duration: 60 });
const perHour = new RateLimiterMemory({ points: options.limits.perHour, duration: 3600, keyPrefix: 'hour' });
// 64 KB before a write, as the other peers buffer.
const log = pino(
  { base: null },
  pino.destination({ dest: options.accessLog, sync: false, minLength: 65_536, maxWrite: 131_072 }),
);
setInterval(() => log.flush(), 1_000).unref();
const verified = new Map();
const mostVerified = 10_000;

listen((request, response) => {
  if (request.url === '/metrics') void metrics().then((text) => response.end(text));
  else void handle(request, response);
});

async function handle(request, response) {
  const startedAt = performance.now();
  const id = request.headers['x-request-id'] ?? randomUUID();
  let subject;
  response.once('finish', () => {
    const ms = performance.now() - startedAt;
    count(response.statusCode, ms);
    log.info({
      id,
      remote: request.socket.remoteAddress,
      method: request.method,
      host: request.headers.host,
      path: request.url,
      status: response.statusCode,
      ms,
      user: subject,
      agent: request.headers['user-agent'],
    });
  });
  const claims = await authenticate(request.headers.authorization);
  if (claims === undefined) {
    response.writeHead(401, { 'www-authenticate': 'Bearer', 'x-request-id': id }).end();
    return;
  }
  subject = claims.sub;
  try {
    await perMinute.consume(subject);
    await perHour.consume(subject);
  } catch {
    response.writeHead(429, { 'x-request-id': id }).end();
    return;
  }
  const headers = forwardedHeaders(request);
  headers['x-forwarded-host'] = request.headers.host;
  headers['x-request-id'] = id;
  headers['x-user-id'] = subject;
  forward(request, response, headers, { 'x-request-id': id });
}

/** The claims of a good token, or undefined. */
async function authenticate(header) {
  if (header === undefined || !/^bearer /i.test(header)) return undefined;
  const token = header.slice(7);
  const known = verified.get(token);
  if (known !== undefined && known.exp > Date.now() / 1000) return known;
  try {
    const { payload } = await jwtVerify(token, key, rules);
    if (!` ${payload.scope} `.includes(` ${options.scope} `)) return undefined;
    if (options.cache) {
      if (verified.size >= mostVerified) verified.delete(verified.keys().next().value);
      verified.set(token, payload);
    }
    return payload;
  } catch {
    return undefined;
  }
}
