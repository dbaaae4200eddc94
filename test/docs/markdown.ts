/**
 * What the tests of the documents need of Markdown: fenced blocks, links, headings. No more of its grammar than that.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const CHECKOUT = fileURLToPath(new URL('../../', import.meta.url));

export interface Page {
  /** From the root of the checkout. */
  readonly path: string;
  readonly text: string;
}

export interface Block {
  readonly language: string;
  /** What stands behind the language. */
  readonly info: string;
  readonly text: string;
  /** `docs/guide/x.md:12` */
  readonly place: string;
}

/** README and its neighbours, everything under docs/, and the pages of the examples. */
export function pages(): Page[] {
  const under = (folder: string): string[] =>
    readdirSync(`${CHECKOUT}${folder}`, { recursive: true })
      .map(String)
      .filter((file) => file.endsWith('.md') && !file.includes('node_modules'))
      .sort()
      .map((file) => `${folder}/${file}`);
  const atRoot = readdirSync(CHECKOUT).filter((file) => file.endsWith('.md'));
  return [...atRoot, ...under('docs'), ...under('examples')].map((path) => ({
    path,
    text: readFileSync(`${CHECKOUT}${path}`, 'utf8'),
  }));
}

export function blocks({ path, text }: Page): Block[] {
  return [...text.matchAll(/^```(\w+)([^\n]*)\n(.*?)^```$/gms)].map((match) => ({
    language: match[1]!,
    info: match[2]!.trim(),
    text: match[3]!,
    place: `${path}:${text.slice(0, match.index).split('\n').length}`,
  }));
}

/** Targets of links and images, outside of code. */
export function links({ text }: Page): string[] {
  const prose = text.replace(/^```.*?^```$/gms, '').replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^()\s]+)(?:\s+"[^"]*")?\)/g)].map((match) => match[1]!);
}

/** Anchors of the headings, as the usual sites make them. */
export function anchors({ text }: Page): Set<string> {
  const seen = new Map<string, number>();
  const found = new Set<string>();
  for (const [, heading] of text.replace(/^```.*?^```$/gms, '').matchAll(/^#{1,6} +(.*)$/gm)) {
    const slug = heading!
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .trim()
      .replaceAll(' ', '-');
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    found.add(times === 0 ? slug : `${slug}-${times}`);
  }
  return found;
}
