/** Fastify with @fastify/http-proxy, as its documentation shows it, with the logger off. */
import proxy from '@fastify/http-proxy';
import Fastify from 'fastify';
import { options, patient, tlsOptions } from './listen.js';

const app = Fastify({
  logger: false,
  bodyLimit: 16 * 1024 * 1024,
  keepAliveTimeout: patient.keepAliveTimeout,
  requestTimeout: 0,
  ...(tlsOptions === undefined ? {} : { https: tlsOptions }),
});
app.register(proxy, { upstream: options.upstream, undici: { connections: 128, pipelining: 1 } });
await app.listen({ port: options.port, host: '127.0.0.1', backlog: 4096 });
