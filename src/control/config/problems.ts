/**
 * What is wrong with a configuration: one record for each problem, gathered so that all are shown at once, and the
 * line that a person reads. A record never holds a secret: values pass secrecy.ts before they get here.
 */
import type { KeyPath } from '../../data/contract/options.ts';

export interface Place {
  /** As it was named on the command line; null for a document that was handed in as an object. */
  readonly file: string | null;
  /** From 1; null where only the key is known. */
  readonly line: number | null;
  readonly column: number | null;
}

export interface Problem extends Place {
  /** An error refuses the configuration, a warning does not. */
  readonly severity: 'error' | 'warning';
  /** The key, such as `services.projects.instances[0].url`; empty for the document as a whole. */
  readonly key: string;
  /** Lower case, no full stop. */
  readonly message: string;
  readonly got?: string;
  readonly expected?: string;
  readonly suggestion?: string;
}

/** `['services', 'a b', 'instances', 0]` as `services."a b".instances[0]`. */
export function formatKey(path: KeyPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else {
      const word = /^[A-Za-z0-9_$:-]+$/.test(part) ? part : JSON.stringify(part);
      text += text === '' ? word : `.${word}`;
    }
  }
  return text;
}

/** `gatehouse.yaml:3:5: gateway.port: wrong type (got "x", expected a whole number); did you mean "y"?` */
export function formatProblem(problem: Problem): string {
  let text = '';
  if (problem.file !== null) {
    text += problem.file;
    if (problem.line !== null) text += `:${problem.line}:${problem.column ?? 1}`;
    text += ': ';
  }
  if (problem.severity === 'warning') text += 'warning: ';
  if (problem.key !== '') text += `${problem.key}: `;
  text += problem.message;
  const facts: string[] = [];
  if (problem.got !== undefined) facts.push(`got ${problem.got}`);
  if (problem.expected !== undefined) facts.push(`expected ${problem.expected}`);
  if (facts.length > 0) text += ` (${facts.join(', ')})`;
  if (problem.suggestion !== undefined) text += `; did you mean ${JSON.stringify(problem.suggestion)}?`;
  return text;
}

/** In the order of the file, errors and warnings mixed; what has no place comes first. Doubles are dropped. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  const unique = problems.filter((problem) => {
    const line = formatProblem(problem);
    if (seen.has(line)) return false;
    seen.add(line);
    return true;
  });
  return unique.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.severity === 'error');
}

/** A configuration that was refused at start, where only the caller can report it. */
export class ConfigurationError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}
