/**
 * Subjects of events: dotted names such as `commits.42.opened`, and patterns over them, where `*` is any one part and a
 * final `>` is one part or more. Pure text work, used by the data plane (subjects of `publish` and `subscribe` routes)
 * and by the event bridge of the control plane (matching).
 */

export const MAX_SUBJECT_LENGTH = 255;

/** One part: no dot, blank, control character or wildcard. `%` is how other characters are written. */
const PART = /^[A-Za-z0-9_~@:+=!$%&'(),;|/-]+$/;

/** What is wrong with a subject (`wildcards` false) or a pattern (true), or nothing. */
export function subjectProblem(text: string, wildcards: boolean): string | undefined {
  if (text.length > MAX_SUBJECT_LENGTH) return `longer than ${MAX_SUBJECT_LENGTH} characters`;
  const parts = text.split('.');
  for (const [index, part] of parts.entries()) {
    if (part === '') return 'an empty part';
    if (part === '*' || part === '>') {
      if (!wildcards) return `"${part}" is for patterns only`;
      if (part === '>' && index < parts.length - 1) return '">" must be the last part';
    } else if (!PART.test(part)) return `the part ${JSON.stringify(part)} has a character that a subject cannot have`;
  }
  return undefined;
}

/** Any text as one part: dots, blanks, wildcards and the like become `%XX`, so that no value can widen a pattern. */
export function encodePart(text: string): string {
  if (/^[A-Za-z0-9_~@:+=-]+$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const char = String.fromCharCode(byte);
    encoded += /[A-Za-z0-9_~@:+=-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

export type SubjectTest = (subject: string) => boolean;

export function compilePattern(pattern: string): SubjectTest {
  if (pattern === '>') return () => true;
  const parts = pattern.split('.');
  if (!parts.includes('*') && parts.at(-1) !== '>') return (subject) => subject === pattern;
  if (parts.at(-1) === '>' && !parts.includes('*')) {
    const prefix = pattern.slice(0, -1);
    return (subject) => subject.length > prefix.length && subject.startsWith(prefix);
  }
  const open = parts.at(-1) === '>';
  const fixed = open ? parts.slice(0, -1) : parts;
  return (subject) => {
    const found = subject.split('.');
    if (open ? found.length <= fixed.length : found.length !== fixed.length) return false;
    return fixed.every((part, index) => part === '*' || part === found[index]);
  };
}
