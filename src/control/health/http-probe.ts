/**
 * HTTP and HTTPS probes: one request on a connection of its own (a kept connection would hide a listener that is
 * gone), status and body against what is expected. At most `maxBodyBytes` of the body are read; redirects are
 * responses.
 */
import type { IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { onDemand } from '../../base/on-demand.ts';
import type { HealthCheckSettings } from './options.ts';
import type { Probe, ProbeAddress, ProbeOutcome } from './probe.ts';
import { authorityOf, bad, good, lowerCased, socketFault, tlsOptions } from './probe.ts';

/**
 * A regular expression is searched for from every character on, so its cost may grow with the square of the text, and
 * the text is the instance's to choose. This much of it takes some 30 ms in the worst case that the check lets pass.
 */
const MAX_REGEX_TEXT = 8 * 1024;

export const httpProbe: Probe = { run: (address, check, signal) => ask(address, check, signal, false) };
export const httpsProbe: Probe = { run: (address, check, signal) => ask(address, check, signal, true) };

function ask(
  address: ProbeAddress,
  check: HealthCheckSettings,
  signal: AbortSignal,
  secure: boolean,
): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const where =
      address.socketPath === null ? { host: address.host, port: address.port } : { socketPath: address.socketPath };
    const options: RequestOptions = {
      ...where,
      method: check.method,
      path: address.basePath + check.path,
      headers: { host: authorityOf(address, secure), 'user-agent': 'gatehouse-health', ...lowerCased(check.headers) },
      agent: false,
      signal,
      ...(secure ? tlsOptions(address.tls) : {}),
    };
    const request = (secure ? onDemand.https : onDemand.http).request(options);
    const settle = (outcome: ProbeOutcome): void => {
      resolve(outcome);
      request.destroy();
    };
    request.on('error', (error) => settle(socketFault(error)));
    request.on('upgrade', () => settle(bad('the response is a change of protocol', 101)));
    request.on('response', (response) => readAnswer(response, check, settle));
    request.end();
  });
}

function readAnswer(
  response: IncomingMessage,
  check: HealthCheckSettings,
  settle: (outcome: ProbeOutcome) => void,
): void {
  const status = response.statusCode ?? 0;
  if (!check.expectStatus.some(({ first, last }) => status >= first && status <= last)) {
    settle(bad(`status ${status}`, status));
    return;
  }
  const chunks: Buffer[] = [];
  let leftBytes = check.maxBodyBytes;
  const judge = (): void => settle(judgeBody(Buffer.concat(chunks).toString('utf8'), check, status));
  response.on('data', (chunk: Buffer) => {
    chunks.push(chunk.subarray(0, leftBytes));
    leftBytes -= chunk.length;
    if (leftBytes <= 0) judge();
  });
  response.on('end', judge);
  response.on('error', (error) => settle(socketFault(error)));
}

function judgeBody(body: string, check: HealthCheckSettings, status: number): ProbeOutcome {
  const expected = check.expectBody;
  if (expected === null) return good(status);
  if ('contains' in expected) {
    return body.includes(expected.contains) ? good(status) : bad('the body does not contain the expected text', status);
  }
  return new RegExp(expected.regex, 'u').test(body.slice(0, MAX_REGEX_TEXT))
    ? good(status)
    : bad('the body does not match', status);
}
