/**
 * What the Node peers share: options from the command line, an HTTP or HTTPS server that keeps idle connections, and
 * the fields that must not travel on (RFC 9110 §7.6.1).
 */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

export const options = JSON.parse(process.argv[2]);

/** Options of node:tls, or undefined for plain HTTP. */
export const tlsOptions =
  options.certFile === undefined
    ? undefined
    : { cert: readFileSync(options.certFile), key: readFileSync(options.keyFile) };

/** No deadline on idle connections: the idle job holds them for as long as it measures. */
export const patient = {
  keepAliveTimeout: 0,
  headersTimeout: 0,
  requestTimeout: 0,
  connectionsCheckingInterval: 60_000,
};

/** Creates the server and listens. */
export function listen(handler) {
  const server =
    tlsOptions === undefined
      ? http.createServer(patient, handler)
      : https.createServer({ ...patient, ...tlsOptions }, handler);
  server.listen({ port: options.port, host: '127.0.0.1', backlog: 4096 });
  return server;
}

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** A copy without hop-by-hop fields and those that Connection names. */
export function forwardable(headers) {
  const named = headers.connection?.toLowerCase() ?? '';
  const kept = {};
  for (const name in headers) {
    if (!hopByHop.has(name) && !(named !== '' && named.includes(name))) kept[name] = headers[name];
  }
  return kept;
}

/** Request fields for the upstream, with the downstream address added. */
export function forwardedHeaders(request) {
  const headers = forwardable(request.headers);
  const before = headers['x-forwarded-for'];
  const address = request.socket.remoteAddress;
  headers['x-forwarded-for'] = before === undefined ? address : `${before}, ${address}`;
  headers['x-forwarded-proto'] = tlsOptions === undefined ? 'http' : 'https';
  return headers;
}

export function hasBody(request) {
  return request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
}
