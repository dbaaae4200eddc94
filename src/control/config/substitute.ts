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

const TOKEN = /\$?\$\{[^}\r\n]*\}/g;
const VARIABLE = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}$/;

export interface MaskedText {
  readonly text: string;
  readonly tokens: readonly string[];
}

/** Undefined when the text already holds characters that the masks are made of. */
export function maskTokens(text: string): MaskedText | undefined {
  if (/[\uE000\uE001\uE100-\uF0FF]/.test(text)) return undefined;
  const tokens: string[] = [];
  const masked = text.replace(TOKEN, (token) => {
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
  if (!scalar.includes(START)) return undefined;
  const variables: string[] = [];
  let masks = 0;
  let restLength = scalar.length;
  const text = scalar.replace(MASKED, (mask: string, low: string, high: string) => {
    masks++;
    restLength -= mask.length;
    const number = low.charCodeAt(0) - DIGIT_BASE + (high.charCodeAt(0) - DIGIT_BASE) * DIGITS;
    const token = tokens[number] ?? '';
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
    if (fallback !== undefined) return fallback;
    complain(`the environment variable ${name} is not set`, `it to be set, or a default: \${${name}:-value}`);
    return '';
  });
  return { text, variables, isWhole: masks === 1 && restLength === 0 && variables.length === 1 };
}

/** `8000`, `0.5` and `true` as what they look like; undefined for other text. For a token that stands for a value. */
export function typedValue(text: string): number | boolean | undefined {
  if (/^[-+]?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (text === 'true' || text === 'false') return text === 'true';
  return undefined;
}
