/**
 * Between texts and tokens. A token is a word as it is written, a mark, a quotation mark with its side, or one of three
 * signs of structure: the beginning of a tale, of its last paragraph, and of any other paragraph.
 */

export const TALE = '<tale>';
export const PARAGRAPH = '<paragraph>';
export const LAST = '<last>';
export const OPEN = '“';
export const CLOSE = '”';

export interface Tale {
  readonly title: string;
  readonly source: string;
  readonly tokens: readonly string[];
}

const TOKEN = /[A-Za-z]+(?:['-][A-Za-z]+)*|[.,;:!?"]/g;
export const SENTENCE_ENDS: ReadonlySet<string> = new Set(['.', '!', '?']);

/** The tales of a file: a heading `# title | source`, then a paragraph a line. */
export function readTales(text: string): Tale[] {
  return text
    .split(/^# /m)
    .slice(1)
    .map((part) => {
      const [heading = '', ...lines] = part.split('\n');
      const [title = '', source = ''] = heading.split('|').map((piece) => piece.trim());
      const paragraphs = lines.filter((line) => line.trim() !== '');
      const tokens = paragraphs.flatMap((line, index) => {
        const sign = index === 0 ? TALE : index === paragraphs.length - 1 ? LAST : PARAGRAPH;
        return [sign, ...tokenize(line)];
      });
      return { title, source, tokens };
    });
}

export function tokenize(line: string): string[] {
  const tokens: string[] = [];
  let isOpen = false;
  for (const [token] of line.matchAll(TOKEN)) {
    if (token !== '"') tokens.push(token);
    else {
      tokens.push(isOpen ? CLOSE : OPEN);
      isOpen = !isOpen;
    }
  }
  return tokens;
}

/**
 * A paragraph as people write it: blanks, quotation marks, capitals at the beginning of sentences. After a speech that
 * ends in `?` or `!` the sentence may go on (said the fox), so there the word is left as it is.
 */
export function write(tokens: readonly string[]): string {
  let text = '';
  let capital = true;
  let glued = true;
  for (const token of tokens) {
    const isMark = /^[.,;:!?”]$/.test(token);
    const word = capital && /^[a-z]/.test(token) ? token[0]?.toUpperCase() + token.slice(1) : token;
    text += (glued || isMark ? '' : ' ') + word;
    glued = token === OPEN;
    capital = SENTENCE_ENDS.has(token) || (token === OPEN && capital);
  }
  return text;
}
