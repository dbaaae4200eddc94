/**
 * The look of the pages: the console's palette (console/style.css; a test holds them equal), what the configuration
 * says in its place, and the contrast of what is read.
 */
import type { PagesOptions, Palette } from './options.ts';

export type Colours = Readonly<Record<keyof Palette, string>>;

export const LIGHT: Colours = {
  ink: '#1b2330',
  soft: '#5a6472',
  paper: '#f6f7f9',
  card: '#ffffff',
  line: '#d9dee6',
  accent: '#1f5fd0',
  bad: '#b3261e',
};
export const DARK: Colours = {
  ink: '#e7ebf1',
  soft: '#a3adba',
  paper: '#12161c',
  card: '#1b212a',
  line: '#333c49',
  accent: '#7fb0ff',
  bad: '#ff8a80',
};

const RULES = `*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);min-height:100vh;display:flex;flex-direction:column;align-items:center;padding:1rem}
header{display:flex;align-items:center;gap:.6rem;margin:2rem 0 1rem;font-weight:600;font-size:1.05rem}
header img{height:2.25rem;max-width:10rem}
main{width:100%;max-width:27rem;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1.5rem;overflow-wrap:anywhere}
footer{margin:1rem 0;font-size:.9rem;display:flex;gap:1rem;flex-wrap:wrap}
h1{font-size:1.3rem;line-height:1.3;margin:0 0 1rem}h2{font-size:1.05rem;line-height:1.3;margin:2rem 0 0}p{margin:0 0 1rem}
.hint{margin:.1rem 0 .3rem;color:var(--soft);font-size:.9rem}.error+input,label+.error{margin-top:.3rem}
label{display:block;font-weight:600;margin-top:1rem}
input{font:inherit;width:100%;padding:.5rem .6rem;border:1px solid var(--soft);border-radius:6px;background:var(--paper);color:inherit}
input[readonly]{border-style:dashed}input[aria-invalid]{border-color:var(--bad)}
input[type=checkbox]{width:auto;margin:0 .5rem 0 0}.choice{margin:1rem 0 0}.choice label{display:inline;font-weight:400}
button{font:inherit;padding:.5rem 1rem;border:1px solid var(--accent);border-radius:6px;background:var(--accent);color:var(--card);margin:1.25rem .5rem 0 0;cursor:pointer}
button.second{background:transparent;color:var(--accent)}
form+form button{margin-top:.6rem}
a{color:var(--accent)}.more{margin:1.25rem 0 0;display:flex;gap:.25rem 1.25rem;flex-wrap:wrap}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.error{border-left:.25rem solid var(--bad);padding:.4rem .8rem;color:var(--bad);font-weight:600;margin:.5rem 0}
.code{font:1.5rem ui-monospace,monospace;letter-spacing:.1em}ul{padding-left:1.25rem;margin:0}`;

const paletteOf = (own: Colours, given: Palette): Colours => ({
  ...own,
  ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<Colours>),
});

export function styleOf({ colours }: Pick<PagesOptions, 'colours'>): string {
  const variables = (palette: Colours): string =>
    Object.entries(palette)
      .map(([name, value]) => `--${name}:${value}`)
      .join(';');
  const light = variables(paletteOf(LIGHT, colours.light));
  const dark = variables(paletteOf(DARK, colours.dark));
  return `:root{color-scheme:light dark;${light}}\n@media (prefers-color-scheme:dark){:root{${dark}}}\n${RULES}`;
}

/** Pairs of text and what is behind it, each at least 4.5 to 1 (WCAG 2.2, 1.4.3). */
const PAIRS: readonly (readonly [keyof Palette, keyof Palette])[] = [
  ['ink', 'card'],
  ['ink', 'paper'],
  ['soft', 'card'],
  ['accent', 'card'],
  ['accent', 'paper'],
  ['bad', 'card'],
];

export interface HardToRead {
  readonly scheme: 'light' | 'dark';
  readonly text: keyof Palette;
  readonly behind: keyof Palette;
  readonly contrast: number;
}

export function hardToRead({ colours }: Pick<PagesOptions, 'colours'>): HardToRead[] {
  return (['light', 'dark'] as const).flatMap((scheme) => {
    const palette = paletteOf(scheme === 'light' ? LIGHT : DARK, colours[scheme]);
    return PAIRS.map(([text, behind]) => ({ scheme, text, behind, contrast: contrast(palette[text], palette[behind]) }))
      .filter((pair) => pair.contrast < 4.5)
      .map((pair) => ({ ...pair, contrast: Math.round(pair.contrast * 100) / 100 }));
  });
}

/** WCAG 2.2, "contrast ratio", of two colours such as `#1f5fd0`. */
function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
