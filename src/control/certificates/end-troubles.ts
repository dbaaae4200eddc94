/** What is wrong with certificates now, for the console. */
import type { Trouble } from '../feature-status.ts';
import { ENDS_SOON_MS, wordsOfEnd } from './ends.ts';
import type { CertificateReport } from './manager.ts';

/** Nothing where the certificate is good for longer, and what renews it has no problem. */
export function endTroubles(report: CertificateReport, nowMs: number): Trouble[] {
  const { name, validUntil, renewAt, problem } = report;
  const subject = `certificate ${name}`;
  if (validUntil === null)
    return [{ severity: 'error', subject, message: `there is none yet: ${problem ?? 'it is asked for'}` }];
  const endsAtMs = Date.parse(validUntil);
  // One that lives for days is renewed in its last hours: half of that time is left when renewal has failed for a
  // while.
  const soonMs = renewAt === null ? ENDS_SOON_MS : Math.min(ENDS_SOON_MS, (endsAtMs - Date.parse(renewAt)) / 2);
  if (endsAtMs - nowMs >= soonMs)
    return problem === null ? [] : [{ severity: 'warning', subject, message: `cannot be renewed: ${problem}` }];
  const words = wordsOfEnd(endsAtMs, nowMs);
  return [
    { severity: 'error', subject, message: problem === null || problem === words ? words : `${words}: ${problem}` },
  ];
}
