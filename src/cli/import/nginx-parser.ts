/**
 * nginx's configuration syntax to a tree: words, quotes, comments, blocks, with the line of each directive. Knows no
 * directive. A block in braces behind a regular expression with braces must be quoted, as nginx itself demands.
 */

export interface Directive {
  readonly name: string;
  readonly args: readonly string[];
  readonly line: number;
  /** Null for a directive that ends with a semicolon. */
  readonly block: readonly Directive[] | null;
}

interface Token {
  readonly text: string;
  readonly line: number;
  readonly isQuoted: boolean;
}

/** nginx's own limit is lower; every level costs stack here. */
const DEEPEST = 200;

/** Throws a `SyntaxError` with the line. `firstLine`: where the text begins in the file that people see. */
export function parseNginx(text: string, firstLine = 1): Directive[] {
  const tokens = tokenize(text, firstLine);
  let at = 0;
  let depth = 0;
  const block = (isTop: boolean, openedAt: number): Directive[] => {
    if (++depth > DEEPEST) throw new SyntaxError(`line ${openedAt}: more than ${DEEPEST} blocks stand in each other`);
    const found: Directive[] = [];
    let words: Token[] = [];
    for (; at < tokens.length; at++) {
      const token = tokens[at]!;
      if (token.isQuoted || !['{', '}', ';'].includes(token.text)) {
        words.push(token);
        continue;
      }
      if (token.text === '}') {
        if (isTop) throw new SyntaxError(`line ${token.line}: a brace closes what is not open`);
        if (words.length > 0) throw new SyntaxError(`line ${token.line}: a semicolon is missing`);
        depth--;
        return found;
      }
      const [first, ...rest] = words;
      if (first === undefined) throw new SyntaxError(`line ${token.line}: "${token.text}" without a directive`);
      words = [];
      const args = rest.map((word) => word.text);
      if (token.text === ';') found.push({ name: first.text, args, line: first.line, block: null });
      else {
        at++;
        found.push({ name: first.text, args, line: first.line, block: block(false, first.line) });
      }
    }
    if (!isTop) throw new SyntaxError(`line ${openedAt}: the block is not closed`);
    if (words.length > 0) throw new SyntaxError(`line ${words[0]!.line}: a semicolon is missing`);
    return found;
  };
  return block(true, firstLine);
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\' };

/** `${name}` is part of a word; other braces end it. */
const WORD = /(?:\\[\s\S]|\$\{\w+\}|[^\s;{}\\])+/y;
/** What a Lua program has before a brace of its own counts: comments and quoted texts, on one line or long ones. */
const LUA =
  /--\[(=*)\[[\s\S]*?\]\1\]|--[^\n]*|\[(=*)\[[\s\S]*?\]\2\]|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*'|[\s\S]/y;

/** Index of the brace that ends a Lua program that begins at `at`. */
function endOfLua(text: string, at: number, line: number): number {
  let depth = 1;
  for (LUA.lastIndex = at; ; ) {
    const begin = LUA.lastIndex;
    const piece = LUA.exec(text)?.[0];
    if (piece === undefined) throw new SyntaxError(`line ${line}: the block is not closed`);
    if (piece === '{') depth++;
    if (piece === '}' && --depth === 0) return begin;
  }
}

function tokenize(text: string, firstLine: number): Token[] {
  const tokens: Token[] = [];
  let line = firstLine;
  for (let at = 0; at < text.length; ) {
    const letter = text[at]!;
    if (letter === '\n') line++;
    if (letter === '\0') throw new SyntaxError(`line ${line}: a zero byte; this is no text in UTF-8`);
    if (letter === '{' && /_by_lua_block$/.test(tokens.at(-1)?.text ?? '')) {
      tokens.push({ text: '{', line, isQuoted: false });
      const end = endOfLua(text, at + 1, line);
      line += text.slice(at, end).split('\n').length - 1;
      at = end;
      continue;
    }
    if (/\s/.test(letter)) at++;
    else if (letter === '#') {
      const end = text.indexOf('\n', at);
      at = end < 0 ? text.length : end;
    } else if (letter === ';' || letter === '{' || letter === '}') {
      tokens.push({ text: letter, line, isQuoted: false });
      at++;
    } else if (letter === '"' || letter === "'") {
      const begin = line;
      let word = '';
      for (at++; text[at] !== letter; at++) {
        if (at >= text.length) throw new SyntaxError(`line ${begin}: a quote is not closed`);
        if (text[at] === '\n') line++;
        if (text[at] !== '\\') word += text[at];
        else {
          const escaped = text[++at] ?? '';
          // What is no escape keeps its backslash: expressions are quoted too.
          word += ESCAPES[escaped] ?? (escaped === letter ? escaped : `\\${escaped}`);
        }
      }
      at++;
      tokens.push({ text: word, line: begin, isQuoted: true });
    } else {
      WORD.lastIndex = at;
      const word = WORD.exec(text)?.[0] ?? letter;
      tokens.push({ text: word, line, isQuoted: false });
      at += word.length;
    }
  }
  return tokens;
}
