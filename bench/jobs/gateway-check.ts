/**
 * Proves that a proxy does the whole gateway job before it is timed: good tokens pass with the right body, each kind of
 * bad token is 401, the request id and the downstream address reach the upstream, the limit of a subject holds, an
 * access record is written and metrics answer.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { download, sha256 } from '../lib/bodies.ts';
import type { Candidate } from '../lib/candidates.ts';
import { cases } from '../lib/cases.ts';
import { checkAccessLog } from '../lib/check.ts';
import { runLoad } from '../lib/load.ts';
import { type Answer, request } from '../lib/request.ts';
import { field } from '../lib/wire.ts';
import { type GatewayJob, limits } from './gateway.ts';

/** What is wrong, or undefined. */
export async function checkGateway(candidate: Candidate, job: GatewayJob): Promise<string | undefined> {
  try {
    return (
      (await checkGood(candidate, job)) ??
      (await checkBad(candidate, job)) ??
      (await checkForwarded(candidate, job)) ??
      (await checkLimit(candidate, job)) ??
      (await checkMetrics(candidate, job)) ??
      (candidate.launch.accessLog === undefined
        ? 'has no access log'
        : await checkAccessLog(candidate.launch.accessLog))
    );
  } catch (error) {
    return (error as Error).message;
  }
}

function ask(candidate: Candidate, path: string, token: string): Promise<Answer> {
  const headers: Record<string, string> = token === '' ? {} : { authorization: `Bearer ${token}` };
  return request({ port: candidate.port, tls: candidate.tls, path, headers });
}

async function checkGood(candidate: Candidate, job: GatewayJob): Promise<string | undefined> {
  const { path } = cases['1k'];
  const { status, body } = await ask(candidate, path, job.goodToken);
  if (status !== 200) return `a good token got ${status}`;
  return sha256(body) === sha256(download(path).bytes) ? undefined : 'the body arrived changed';
}

async function checkBad(candidate: Candidate, job: GatewayJob): Promise<string | undefined> {
  for (const { why, token } of job.badTokens) {
    const { status } = await ask(candidate, cases['1k'].path, token);
    if (status !== 401) return `${why} got ${status} in place of 401`;
  }
  return undefined;
}

async function checkForwarded(candidate: Candidate, job: GatewayJob): Promise<string | undefined> {
  const { status, headers, body } = await ask(candidate, '/reflect', job.goodToken);
  if (status !== 200) return `/reflect got ${status}`;
  const id = headers['x-request-id'];
  if (id === undefined) return 'the answer has no X-Request-ID';
  const received = `GET\r\n${body.toString().trim()}`;
  if (field(received, 'x-request-id') !== id) return 'the upstream got another X-Request-ID than the answer shows';
  return field(received, 'x-forwarded-for') === '127.0.0.1' ? undefined : 'the upstream got no X-Forwarded-For';
}

/** Spends one subject's minute: its share must pass, then answers must be refused. */
async function checkLimit(candidate: Candidate, job: GatewayJob): Promise<string | undefined> {
  const tokensFile = join(candidate.folder, 'exhaust.txt');
  writeFileSync(tokensFile, `${job.exhaustToken}\n`);
  const { path, uploadBytes, expectBytes } = cases['1k'];
  const plan = { port: candidate.port, tls: candidate.tls, path, uploadBytes, expectBytes, tokensFile };
  const startedAt = performance.now();
  let passed = 0;
  for (let burst = 0; burst < 8; burst++) {
    const { requests, errors } = await runLoad('bundled', { ...plan, connections: 16, seconds: 1 }, candidate.folder);
    passed += requests;
    if (errors === 0) continue;
    // A bucket refills as it is spent; answers in flight when a burst ends count here but not in `requests`.
    const most = limits.perMinute * (1 + (performance.now() - startedAt) / 60_000) + 2;
    const least = limits.perMinute - 16 * (burst + 1);
    if (passed > most) return `${passed} requests of one subject passed, ${Math.floor(most)} may`;
    return passed < least ? `only ${passed} requests of one subject passed, ${limits.perMinute} may` : undefined;
  }
  return `${passed} requests of one subject passed and none was refused`;
}

async function checkMetrics(candidate: Candidate, job: GatewayJob): Promise<string | undefined> {
  const path = candidate.launch.metricsPath;
  if (path === undefined) return 'has no metrics';
  const { status, body } = await ask(candidate, path, job.goodToken);
  return status === 200 && /\d/.test(body.toString()) ? undefined : `metrics got ${status}`;
}
