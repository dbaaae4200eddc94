/** A line of the process log or the access log, as people read it. What is no JSON object stays as it is. */

export type Paint = (colour: Colour, text: string) => string;
type Colour = 'dim' | 'red' | 'yellow' | 'green' | 'cyan';

const CODES: Readonly<Record<Colour, number>> = { dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };

/** Colours on a terminal only; https://no-color.org, and FORCE_COLOR for those who pipe into one. */
export function colours(env: Readonly<Record<string, string | undefined>>, isTerminal: boolean): Paint {
  const wanted = (env['NO_COLOR'] ?? '') === '' && (isTerminal || !['', '0', undefined].includes(env['FORCE_COLOR']));
  return wanted ? (colour, text) => `\x1b[${CODES[colour]}m${text}\x1b[0m` : (_, text) => text;
}

export function prettyLine(line: string, paint: Paint): string {
  const record = parsed(line);
  if (record === null) return line;
  const time = paint('dim', String(record['time'] ?? '').slice(11, 19));
  const { level, message, status, method, path, ...rest } = record;
  if (status !== undefined && method !== undefined) {
    const code = Number(status);
    const colour = code >= 500 ? 'red' : code >= 400 ? 'yellow' : 'green';
    return `${time} ${paint(colour, String(status))} ${String(method)} ${clean(String(path ?? ''))} ${paint('dim', requestDetail(rest))}`.trimEnd();
  }
  if (message === undefined) return line;
  const colour = level === 'error' ? 'red' : level === 'warn' ? 'yellow' : 'cyan';
  return `${time} ${paint(colour, String(level).padEnd(5))} ${clean(String(message))} ${paint('dim', detail(rest))}`.trimEnd();
}

function parsed(line: string): Readonly<Record<string, unknown>> | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    return null;
  }
}

function requestDetail(rest: Readonly<Record<string, unknown>>): string {
  const shown = ['route', 'service', 'instance', 'duration_ms', 'fault', 'auth'].filter(
    (name) => rest[name] != null && rest[name] !== '',
  );
  return shown.map((name) => `${name}=${clean(String(rest[name]))}`).join(' ');
}

function detail({ time: _, ...rest }: Readonly<Record<string, unknown>>): string {
  return Object.entries(rest)
    .map(([name, value]) => `${name}=${clean(typeof value === 'object' ? JSON.stringify(value) : String(value))}`)
    .join(' ');
}

/** A client must not control the terminal of a log reader. */
function clean(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
