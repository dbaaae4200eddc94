/**
 * `${NAME}` and `${NAME:-default}` in YAML and JSON files. The tokens are masked before the text is parsed, because
 * braces mean something in YAML's flow style, and put back into the parsed scalars, so that no variable's content is
 * ever read as syntax. A mask has the length of its token, which keeps every line and column true.
 *
 *   redis: ${REDIS_URL:-}   ->   redis: S12FFFFFFFFFFF   ->   (parsed)   ->   redis: ''
 *
 * S, 1, 2 and F stand for characters of the Private Use Area: start, two digits of the token's number, filler.
 */

const START = '\uE000';
const FILLER = '\uE001';
const DIGIT_BASE = 0xe100;
const DIGITS = 4_096;
const MASKED = /\uE000([\uE100-\uF0FF])([\uE100-\uF0FF])\uE001*/g;

/** No real one is longer; it bounds the work of text that opens braces and closes none. */
const MAX_TOKEN = 4_096;
const VARIABLE = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?\}$/s;

export interface MaskedText {
  readonly text: string;
  readonly tokens: readonly string[];
}

/** Undefined when the text already holds characters that the masks are made of. */
export function maskTokens(text: string): MaskedText | undefined {
  if (/[\uE000\uE001\uE100-\uF0FF]/.test(text)) return undefined;
  const tokens: string[] = [];
  const masked = replaceTokens(text, (token) => {
    const number = tokens.length;
    tokens.push(token);
    const digits = String.fromCharCode(
      DIGIT_BASE + (number % DIGITS),
      DIGIT_BASE + (Math.floor(number / DIGITS) % DIGITS),
    );
    // The shortest token is `${}`, exactly as long as the shortest mask.
    return START + digits + FILLER.repeat(token.length - 3);
  });
  return { text: masked, tokens };
}

/**
 * Each `${...}`, and `$${...}`, to the brace that closes it: a default may hold tokens of its own. One that is not
 * closed on its line is no token, and is read as the text it is.
 */
function replaceTokens(text: string, change: (token: string) => string): string {
  let result = '';
  let from = 0;
  for (let at = text.indexOf('${'); at >= 0; at = text.indexOf('${', Math.max(at + 1, from))) {
    const end = closingBrace(text, at);
    if (end < 0) continue;
    const start = at > from && text[at - 1] === '$' ? at - 1 : at;
    result += text.slice(from, start) + change(text.slice(start, end + 1));
    from = end + 1;
  }
  return result + text.slice(from);
}

function closingBrace(text: string, at: number): number {
  let open = 0;
  const end = Math.min(text.length, at + MAX_TOKEN);
  for (let i = at; i < end; i++) {
    if (text[i] === '\n' || text[i] === '\r') return -1;
    if (text.startsWith('${', i)) open++;
    else if (text[i] === '}' && --open === 0) return i;
  }
  return -1;
}

/** True for a text with a token in it. */
export function isMasked(text: string): boolean {
  return text.includes(START);
}

export interface Substitution {
  readonly text: string;
  /** Names of the variables whose content, or default, is in the text. */
  readonly variables: readonly string[];
  /** True when the scalar was one token and nothing else, so that it may stand for a number or for nothing. */
  readonly isWhole: boolean;
}

/** Puts the variables into one parsed scalar; `undefined` when it holds no token. */
export function substitute(
  scalar: string,
  tokens: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  complain: (message: string, expected: string) => void,
): Substitution | undefined {
  if (!isMasked(scalar)) return undefined;
  const variables: string[] = [];
  /** A token, or a default that holds tokens. */
  const expand = (token: string): string => {
    // `$${NAME}` is the way to write `${NAME}` itself.
    if (token.startsWith('$$')) return token.slice(1);
    const match = VARIABLE.exec(token);
    const name = match?.[1];
    if (name === undefined) {
      complain(
        `${JSON.stringify(token)} is not a substitution`,
        `\${NAME} or \${NAME:-default}; write $\${ for a plain \${`,
      );
      return '';
    }
    variables.push(name);
    const value = env[name];
    const fallback = match?.[2] === undefined ? undefined : (match[3] ?? '');
    // As in the shell, `:-` also stands in for a variable that is set and empty.
    if (value !== undefined && (value !== '' || fallback === undefined)) return value;
    if (fallback !== undefined) return replaceTokens(fallback, expand);
    complain(`the environment variable ${name} is not set`, `it to be set, or a default: \${${name}:-value}`);
    return '';
  };
  let masks = 0;
  let restLength = scalar.length;
  const text = scalar.replace(MASKED, (mask: string, low: string, high: string) => {
    masks++;
    restLength -= mask.length;
    const number = low.charCodeAt(0) - DIGIT_BASE + (high.charCodeAt(0) - DIGIT_BASE) * DIGITS;
    return expand(tokens[number] ?? '');
  });
  return { text, variables, isWhole: masks === 1 && restLength === 0 && variables.length > 0 };
}

/** `8000`, `0.5` and `true` as what they look like; undefined for other text. For a token that stands for a value. */
export function typedValue(text: string): number | boolean | undefined {
  if (/^[-+]?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (text === 'true' || text === 'false') return text === 'true';
  return undefined;
}
