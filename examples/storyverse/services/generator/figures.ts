/**
 * Animals and people of simple shapes, as SVG, standing on the point (0, 0) and about 100 units high. Each kind is a
 * few numbers and colours; the shapes are the same for all of a family, which is why a fox and a bear look related.
 */

interface Beast {
  readonly fur: string;
  readonly ears: 'pointed' | 'round' | 'long' | 'flat';
  readonly tail: 'bushy' | 'thin' | 'short' | 'curly' | 'long';
  readonly girth: number;
  readonly mane?: string;
  readonly woolly?: boolean;
}

const BEASTS: Readonly<Record<string, Beast>> = {
  fox: { fur: '#d2691e', ears: 'pointed', tail: 'bushy', girth: 22 },
  wolf: { fur: '#7d8590', ears: 'pointed', tail: 'bushy', girth: 25 },
  bear: { fur: '#6b4423', ears: 'round', tail: 'short', girth: 36 },
  cat: { fur: '#4a4a55', ears: 'pointed', tail: 'long', girth: 20 },
  dog: { fur: '#a9743a', ears: 'flat', tail: 'thin', girth: 24 },
  mouse: { fur: '#9a928c', ears: 'round', tail: 'long', girth: 14 },
  hare: { fur: '#b79f86', ears: 'long', tail: 'short', girth: 18 },
  lion: { fur: '#d9a441', ears: 'round', tail: 'thin', girth: 28, mane: '#8a5a1c' },
  pig: { fur: '#e8a5a5', ears: 'flat', tail: 'curly', girth: 29 },
  horse: { fur: '#7a5230', ears: 'pointed', tail: 'bushy', girth: 28 },
  sheep: { fur: '#efeae0', ears: 'flat', tail: 'short', girth: 28, woolly: true },
};

interface Person {
  readonly dress: string;
  readonly hair: string;
  readonly height: number;
  readonly hat: 'crown' | 'none' | 'cap' | 'hood' | 'plume';
  readonly skirt: boolean;
}

const PEOPLE: Readonly<Record<string, Person>> = {
  king: { dress: '#7b1e3b', hair: '#c9c2b8', height: 100, hat: 'crown', skirt: true },
  queen: { dress: '#5b2a86', hair: '#3a2a20', height: 98, hat: 'crown', skirt: true },
  princess: { dress: '#d977a8', hair: '#e0b04c', height: 88, hat: 'crown', skirt: true },
  prince: { dress: '#2a5d9f', hair: '#5a3b22', height: 94, hat: 'plume', skirt: false },
  girl: { dress: '#5aa0d8', hair: '#e0b04c', height: 72, hat: 'none', skirt: true },
  boy: { dress: '#3f8f4f', hair: '#5a3b22', height: 72, hat: 'cap', skirt: false },
  man: { dress: '#6a5a48', hair: '#4a3424', height: 96, hat: 'cap', skirt: false },
  woman: { dress: '#a0522d', hair: '#6a4a34', height: 92, hat: 'hood', skirt: true },
  giant: { dress: '#4c6444', hair: '#3a2a20', height: 150, hat: 'none', skirt: false },
  soldier: { dress: '#c0392b', hair: '#2a2a2a', height: 86, hat: 'plume', skirt: false },
};

export const FIGURE_KINDS: readonly string[] = [
  ...Object.keys(BEASTS),
  ...Object.keys(PEOPLE),
  ...['tortoise', 'frog', 'bird', 'swan', 'dragon', 'owl', 'fish'],
];

export function drawFigure(kind: string): string {
  const beast = BEASTS[kind];
  if (beast !== undefined) return drawBeast(beast);
  const person = PEOPLE[kind];
  if (person !== undefined) return drawPerson(person);
  return OTHERS[kind] ?? OTHERS['bird']!;
}

const eye = (x: number, y: number): string => `<circle cx="${x}" cy="${y}" r="2.4" fill="#1b1b1b"/>`;

function drawBeast({ fur, ears, tail, girth, mane, woolly }: Beast): string {
  const y = -girth - 16;
  const head = { x: 44, y: y - girth * 0.7, r: girth * 0.62 + 4 };
  const leg = (x: number): string =>
    `<rect x="${x}" y="${y + girth * 0.4}" width="8" height="${-y - girth * 0.4}" rx="4" fill="${fur}"/>`;
  const ear = (x: number): string => {
    const top = head.y - head.r;
    if (ears === 'round') return `<circle cx="${x}" cy="${top + 3}" r="${head.r * 0.38}" fill="${fur}"/>`;
    if (ears === 'long') return `<ellipse cx="${x}" cy="${top - 14}" rx="4.5" ry="20" fill="${fur}"/>`;
    if (ears === 'flat')
      return `<ellipse cx="${x}" cy="${head.y - 2}" rx="5" ry="${head.r * 0.8}" fill="${fur}" stroke="#0003"/>`;
    return `<path d="M${x - 7} ${top + 8} L${x} ${top - 12} L${x + 7} ${top + 8}Z" fill="${fur}"/>`;
  };
  const tails = {
    bushy: `<path d="M-36 ${y} C-74 ${y - 8} -70 ${y - 44} -56 ${y - 40} C-50 ${y - 18} -44 ${y - 10} -32 ${y - 6}Z" fill="${fur}"/>`,
    thin: `<path d="M-36 ${y} q-22 -6 -18 -26" stroke="${fur}" stroke-width="5" fill="none" stroke-linecap="round"/>`,
    long: `<path d="M-30 ${y + 4} c-30 6 -16 -34 -36 -32" stroke="${fur}" stroke-width="4" fill="none" stroke-linecap="round"/>`,
    curly: `<path d="M-38 ${y} q-12 -4 -8 -12 q8 -2 4 8" stroke="${fur}" stroke-width="4" fill="none"/>`,
    short: `<circle cx="-40" cy="${y - 4}" r="7" fill="${fur}"/>`,
  };
  const curls =
    woolly === true
      ? [-24, -8, 8, 24].map((x) => `<circle cx="${x}" cy="${y - girth * 0.6}" r="13" fill="${fur}"/>`).join('')
      : '';
  return [
    tails[tail],
    leg(-30),
    leg(-18),
    leg(14),
    leg(26),
    `<ellipse cx="0" cy="${y}" rx="42" ry="${girth * 0.85}" fill="${fur}"/>`,
    curls,
    mane === undefined ? '' : `<circle cx="${head.x}" cy="${head.y}" r="${head.r + 10}" fill="${mane}"/>`,
    ear(head.x - 9),
    ear(head.x + 9),
    `<circle cx="${head.x}" cy="${head.y}" r="${head.r}" fill="${fur}"/>`,
    `<ellipse cx="${head.x + head.r * 0.75}" cy="${head.y + 5}" rx="${head.r * 0.55}" ry="${head.r * 0.38}" fill="${fur}" stroke="#0002"/>`,
    `<circle cx="${head.x + head.r * 1.2}" cy="${head.y + 2}" r="3" fill="#2a1a1a"/>`,
    eye(head.x + head.r * 0.35, head.y - 5),
  ].join('');
}

function drawPerson({ dress, hair, height, hat, skirt }: Person): string {
  const head = -height + 14;
  const hats = {
    none: '',
    cap: `<path d="M-15 ${head - 8} q15 -18 30 0Z" fill="#4b3a2a"/>`,
    crown: `<path d="M-13 ${head - 10} l0 -16 l7 8 l6 -11 l6 11 l7 -8 l0 16Z" fill="#f2c230"/>`,
    hood: `<path d="M-17 ${head + 8} q0 -28 17 -28 q17 0 17 28Z" fill="${dress}"/>`,
    plume: `<path d="M-14 ${head - 8} h28 l-4 -12 h-20Z" fill="#24324a"/><path d="M8 ${head - 20} q12 -20 2 -26 q-10 8 -2 26Z" fill="#e9e4d4"/>`,
  };
  const legs = skirt
    ? `<path d="M-12 ${head + 26} L-30 0 H30 L12 ${head + 26}Z" fill="${dress}"/>`
    : `<rect x="-13" y="${head + 50}" width="10" height="${-head - 50}" fill="#39424e"/><rect x="3" y="${head + 50}" width="10" height="${-head - 50}" fill="#39424e"/>`;
  return [
    `<circle cx="0" cy="${head - 3}" r="16" fill="${hair}"/>`,
    skirt ? `<path d="M-16 ${head} q-6 30 0 38 h32 q6 -8 0 -38Z" fill="${hair}"/>` : '',
    legs,
    `<rect x="-15" y="${head + 12}" width="30" height="${skirt ? 24 : 44}" rx="9" fill="${dress}"/>`,
    `<path d="M-14 ${head + 18} L-28 ${head + 44}" stroke="${dress}" stroke-width="8" stroke-linecap="round"/>`,
    `<path d="M14 ${head + 18} L28 ${head + 40}" stroke="${dress}" stroke-width="8" stroke-linecap="round"/>`,
    hat === 'hood' ? hats.hood : '',
    `<circle cx="0" cy="${head}" r="13" fill="#f0cdae"/>`,
    hat === 'hood' ? '' : hats[hat],
    eye(-4, head - 1),
    eye(5, head - 1),
    `<path d="M-4 ${head + 5} q4 4 8 0" stroke="#7a3b2a" stroke-width="1.6" fill="none"/>`,
  ].join('');
}

const OTHERS: Readonly<Record<string, string>> = {
  tortoise: `<rect x="-30" y="-14" width="12" height="14" rx="5" fill="#7a8f4a"/><rect x="16" y="-14" width="12" height="14" rx="5" fill="#7a8f4a"/><path d="M-42 -10 a42 34 0 0 1 84 0Z" fill="#5d6f2f"/><path d="M-22 -14 l10 -18 h20 l12 18Z" fill="#7f9444"/><ellipse cx="50" cy="-22" rx="13" ry="10" fill="#8ba356"/>${eye(54, -25)}`,
  frog: `<ellipse cx="0" cy="-18" rx="30" ry="18" fill="#4f9a3d"/><circle cx="16" cy="-36" r="9" fill="#5fb04a"/><circle cx="0" cy="-37" r="9" fill="#5fb04a"/><path d="M-28 0 q-14 -18 4 -22" stroke="#4f9a3d" stroke-width="9" fill="none"/><path d="M20 0 h18" stroke="#4f9a3d" stroke-width="7" stroke-linecap="round"/>${eye(18, -38)}${eye(2, -39)}<path d="M-4 -20 q14 8 26 -2" stroke="#2c5b22" stroke-width="2" fill="none"/>`,
  bird: `<path d="M-8 0 v-12 M6 0 v-12" stroke="#c7882b" stroke-width="3"/><ellipse cx="0" cy="-26" rx="26" ry="16" fill="#33485e"/><path d="M-20 -28 l-26 -8 l20 16Z" fill="#2a3c4f"/><path d="M-12 -30 q10 -24 26 -4Z" fill="#4a6480"/><circle cx="24" cy="-40" r="11" fill="#33485e"/><path d="M33 -42 l14 4 l-13 4Z" fill="#e0a030"/>${eye(27, -43)}`,
  swan: `<path d="M-40 -14 q6 -32 40 -24 q28 4 26 24 q-30 16 -66 0Z" fill="#f5f3ec" stroke="#0002"/><path d="M20 -20 C44 -40 14 -70 34 -82" stroke="#f5f3ec" stroke-width="10" fill="none" stroke-linecap="round"/><path d="M37 -86 l16 6 l-15 5Z" fill="#e08a30"/>${eye(34, -85)}`,
  dragon: `<path d="M-34 -22 q-50 6 -62 -26 l-12 2 l10 -16 l14 12 q10 12 46 8Z" fill="#3f7f4a"/><path d="M-10 -44 q-30 -52 -62 -44 q14 10 10 22 q16 -2 18 12 q14 -4 20 12Z" fill="#2f6a5a"/><path d="M14 -44 q12 -58 48 -56 q-12 12 -6 24 q-16 0 -16 14 q-14 -2 -16 14Z" fill="#357563"/><ellipse cx="0" cy="-32" rx="40" ry="22" fill="#3f7f4a"/><ellipse cx="4" cy="-26" rx="26" ry="14" fill="#c9b96a"/><rect x="-26" y="-18" width="11" height="18" rx="4" fill="#356b3f"/><rect x="14" y="-18" width="11" height="18" rx="4" fill="#356b3f"/><path d="M26 -38 q12 -34 26 -36" stroke="#3f7f4a" stroke-width="15" fill="none" stroke-linecap="round"/><path d="M44 -86 q26 -2 36 14 q-14 10 -36 6Z" fill="#3f7f4a"/><path d="M46 -84 l-8 -14 l14 10Z" fill="#c9b96a"/><path d="M80 -70 q18 -6 34 4 q-12 2 -10 8 q-14 -2 -24 -12Z" fill="#e8742c"/>${eye(58, -78)}`,
  owl: `<ellipse cx="0" cy="-32" rx="22" ry="30" fill="#7a5c3c"/><ellipse cx="0" cy="-24" rx="13" ry="20" fill="#d8c39a"/><path d="M-18 -54 l-2 -18 l12 10Z M18 -54 l2 -18 l-12 10Z" fill="#7a5c3c"/><circle cx="-8" cy="-48" r="8" fill="#f4e6bd"/><circle cx="8" cy="-48" r="8" fill="#f4e6bd"/>${eye(-8, -48)}${eye(8, -48)}<path d="M-3 -44 h6 l-3 7Z" fill="#d99a2b"/><path d="M-8 -4 v4 M8 -4 v4" stroke="#c7882b" stroke-width="4"/>`,
  fish: `<path d="M-26 -30 q26 -26 54 0 q-28 26 -54 0Z" fill="#e08a4a"/><path d="M-24 -30 l-20 -14 v28Z" fill="#d07030"/><path d="M0 -44 q8 -10 14 0" fill="#d07030"/>${eye(16, -34)}`,
};
