/**
 * `grpc.health.v1.Health` of the gateway itself, for load balancers and orchestrators that ask in gRPC. The empty name
 * is the gateway's readiness, as `/health/ready` has it; other names are those of its services. Calls come over
 * HTTP/1.1 from a worker, with the status as a trailer: that is all that is left of gRPC behind it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { decodeRequest, encodeResponse, NOT_SERVING, SERVICE_UNKNOWN, SERVING } from '../health/grpc-message.ts';
import { serviceStatus } from './services.ts';
import type { OpsSources } from './sources.ts';
import { readiness } from './sources.ts';

export const GRPC_HEALTH = '/grpc.health.v1.Health/';

/** A service name is short; whatever is longer is no request for health. */
const MAX_REQUEST_BYTES = 4_096;
/** How soon watchers get a change. */
const LOOK_MS = 1_000;
const INVALID_ARGUMENT = 3;
const NOT_FOUND = 5;
const UNIMPLEMENTED = 12;
const RESOURCE_EXHAUSTED = 8;
/** Each costs a look a second. */
const MAX_WATCHERS = 1_000;

let watchers = 0;

export function answerGrpcHealth(
  method: string,
  request: IncomingMessage,
  response: ServerResponse,
  sources: () => OpsSources,
): void {
  const chunks: Buffer[] = [];
  let length = 0;
  request.on('error', () => {});
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length <= MAX_REQUEST_BYTES) chunks.push(chunk);
  });
  request.on('end', () => {
    const service = length > MAX_REQUEST_BYTES ? undefined : decodeRequest(Buffer.concat(chunks));
    if (service === undefined) fail(response, INVALID_ARGUMENT, 'not a HealthCheckRequest');
    else if (method === 'Check') check(service, response, sources());
    else if (method === 'Watch') watch(service, response, sources);
    else fail(response, UNIMPLEMENTED, `there is no method ${method}`);
  });
}

function check(service: string, response: ServerResponse, sources: OpsSources): void {
  const status = servingStatus(service, sources);
  if (status === SERVICE_UNKNOWN) {
    fail(response, NOT_FOUND, 'there is no such service');
    return;
  }
  begin(response);
  response.write(encodeResponse(status));
  response.addTrailers({ 'grpc-status': '0' });
  response.end();
}

/** Tells the status now and whenever it is another one, until the client leaves. An unknown service may come to be. */
function watch(service: string, response: ServerResponse, sources: () => OpsSources): void {
  if (watchers >= MAX_WATCHERS) {
    fail(response, RESOURCE_EXHAUSTED, 'too many watch already');
    return;
  }
  watchers++;
  begin(response);
  let sent = -1;
  const look = (): void => {
    const status = servingStatus(service, sources());
    if (status === sent) return;
    sent = status;
    response.write(encodeResponse(status));
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  response.once('close', () => {
    watchers--;
    clearInterval(timer);
  });
}

function servingStatus(name: string, sources: OpsSources): number {
  const { ready } = readiness(sources);
  if (name === '') return ready ? SERVING : NOT_SERVING;
  const service = sources.services.find((each) => each.name === name);
  if (service === undefined) return SERVICE_UNKNOWN;
  return ready && serviceStatus(service) !== 'unavailable' ? SERVING : NOT_SERVING;
}

function begin(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'application/grpc', Trailer: 'grpc-status' });
}

function fail(response: ServerResponse, code: number, message: string): void {
  response.writeHead(200, {
    'Content-Type': 'application/grpc',
    'Content-Length': 0,
    'grpc-status': `${code}`,
    'grpc-message': message,
  });
  response.end();
}
