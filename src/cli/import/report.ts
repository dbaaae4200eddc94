/** What became of each object of the source: the exit code of `gatehouse import`, and import-report.md. */
import type { Draft, Finding, Verdict } from './draft.ts';

/** 0: all exact, 1: something differs, 2: something is missing. */
export function gradeOf(findings: readonly Finding[]): 0 | 1 | 2 {
  if (findings.some(({ verdict }) => verdict === 'not carried')) return 2;
  return findings.some(({ verdict }) => verdict === 'approximate') ? 1 : 0;
}

export function reportOf(draft: Draft, from: string): string {
  const rows = (verdict: Verdict): Finding[] => draft.findings.filter((finding) => finding.verdict === verdict);
  const place = ({ source, line }: Finding): string =>
    `\`${source.replace(/[`\r\n]+/g, ' ')}\`${line === null ? '' : ` (line ${line})`}`;
  const section = (title: string, verdict: Verdict): string[] => {
    const found = rows(verdict);
    if (found.length === 0) return [];
    return [
      `## ${title}`,
      '',
      ...found.map(
        (finding) => `- ${place(finding)}${finding.note === '' ? '' : `: ${finding.note.replace(/[\r\n]+/g, ' ')}`}`,
      ),
      '',
    ];
  };
  const count = (verdict: Verdict): number => rows(verdict).length;
  return [
    `# What became of ${from}`,
    '',
    `${count('exact')} exact, ${count('approximate')} approximate, ${count('not carried')} not carried.`,
    '',
    ...(draft.closed.size === 0
      ? []
      : [
          `${draft.closed.size === 1 ? '1 route answers' : `${draft.closed.size} routes answer`} 501, because something that protected them could not be carried: ${[...draft.closed.keys()].join(', ')}.`,
          '',
        ]),
    ...(draft.variables.size === 0
      ? []
      : [
          `Variables that must be set (gatehouse.env has their values): ${[...draft.variables.keys()].join(', ')}.`,
          '',
        ]),
    ...section('Not carried', 'not carried'),
    ...section('Approximate', 'approximate'),
    ...section('Exact', 'exact'),
  ].join('\n');
}
