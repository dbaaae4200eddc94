/** The gateway job by fastify, @fastify/jwt, @fastify/rate-limit, @fastify/http-proxy, its logger and prom-client. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import proxy from '@fastify/http-proxy';
import jwt from '@fastify/jwt';
import rateLimit from '@fastify/rate-limit';
import Fastify from 'fastify';
import pino from 'pino';
import { options } from './listen.js';
import { count, metrics } from './metrics.js';

const destination = pino.destination({ dest: options.accessLog, sync: false, minLength: 65_536, maxWrite: 131_072 });
setInterval(() => destination.flush(), 1_000).unref();

const app = Fastify({
  loggerInstance: pino({ base: null }, destination),
  disableRequestLogging: true,
  requestIdHeader: 'x-request-id',
  genReqId: () => randomUUID(),
  keepAliveTimeout: 0,
  requestTimeout: 0,
});
await app.register(jwt, {
  secret: { public: readFileSync(options.publicKeyFile, 'utf8') },
  verify: {
    algorithms: ['ES256'],
    allowedIss: options.issuer,
    allowedAud: options.audience,
    cache: options.cache ? 10_000 : false,
  },
});
await app.register(rateLimit, { global: false, cache: 10_000 });

const keyGenerator = (request) => request.user.sub;
const perMinute = app.createRateLimit({ max: options.limits.perMinute, timeWindow: 60_000, keyGenerator });
const perHour = app.createRateLimit({ max: options.limits.perHour, timeWindow: 3_600_000, keyGenerator });

async function admit(request, reply) {
  reply.header('x-request-id', request.id);
  try {
    await request.jwtVerify();
  } catch {
    return reply.code(401).header('www-authenticate', 'Bearer').send();
  }
  if (!` ${request.user.scope} `.includes(` ${options.scope} `)) return reply.code(403).send();
  for (const limit of [perMinute, perHour]) {
    const { isAllowed, isExceeded } = await limit(request);
    if (!isAllowed && isExceeded) return reply.code(429).send();
  }
}

app.addHook('onResponse', (request, reply, done) => {
  count(reply.statusCode, reply.elapsedTime);
  request.log.info({
    id: request.id,
    remote: request.ip,
    method: request.method,
    host: request.headers.host,
    path: request.url,
    status: reply.statusCode,
    ms: reply.elapsedTime,
    user: request.user?.sub,
    agent: request.headers['user-agent'],
  });
  done();
});
app.get('/metrics', (_request, reply) => metrics().then((text) => reply.send(text)));
app.register(proxy, {
  upstream: options.upstream,
  undici: { connections: 128, pipelining: 1 },
  preHandler: admit,
  replyOptions: {
    rewriteRequestHeaders: (request, headers) => ({
      ...headers,
      'x-forwarded-for': request.ip,
      'x-forwarded-proto': 'http',
      'x-forwarded-host': request.headers.host,
      'x-request-id': request.id,
      'x-user-id': request.user.sub,
    }),
  },
});
await app.listen({ port: options.port, host: '127.0.0.1', backlog: 4096 });
