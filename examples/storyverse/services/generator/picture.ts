/**
 * Paints a scene as SVG: sky by hour and weather, ground by place, things, then figures, the most important in front.
 * Where things stand comes from the text's own seed, so one text always gives one picture. Everything in it is made
 * here; of the text only the title goes in, escaped.
 */
import { drawFigure } from './figures.ts';
import { createRandom, type Random, seedOf } from './random.ts';
import { describe, type Hour, type Scene, sceneOf } from './scene.ts';

const WIDTH = 800;
const HEIGHT = 600;
const HORIZON = 380;

export interface PictureRequest {
  readonly title: string;
  readonly text: string;
}

export function paint({ title, text }: PictureRequest): { svg: string; scene: Scene } {
  const scene = sceneOf(`${title} ${text}`);
  const random = createRandom(seedOf(text));
  const parts = [
    sky(scene, random),
    ground(scene, random),
    things(scene, random),
    figures(scene, random),
    fall(scene, random),
  ];
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="t d">
<title id="t">${escaped(title)}</title><desc id="d">${escaped(describe(scene))}</desc>
${parts.join('\n')}
</svg>
`;
  return { svg, scene };
}

const escaped = (text: string): string =>
  text
    // What XML 1.0 §2.2 has no place for.
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
    .replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const SKIES: Readonly<Record<Hour, readonly [number, number, number]>> = {
  day: [205, 62, 72],
  morning: [32, 70, 78],
  evening: [18, 58, 58],
  night: [230, 48, 16],
};

function colour(hue: number, saturation: number, light: number): string {
  return `hsl(${Math.round(hue)} ${Math.round(saturation)}% ${Math.round(light)}%)`;
}

function sky({ hour, weather, mood, things, place }: Scene, random: Random): string {
  const [hue, saturation, light] = SKIES[hour];
  const grey = weather === 'clear' ? 0 : weather === 'storm' ? 40 : 24;
  const top = colour(hue, Math.max(8, saturation - grey + mood * 12), Math.max(8, light - grey / 3 + mood * 5));
  const low = colour(place === 'underwater' ? 190 : hue + 18, Math.max(8, saturation - grey), Math.min(90, light + 16));
  const parts = [
    `<defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${top}"/><stop offset="1" stop-color="${low}"/></linearGradient></defs>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="url(#sky)"/>`,
  ];
  const x = random.between(90, WIDTH - 90);
  if (hour === 'night' || things.includes('stars')) {
    for (let i = 0; i < 60; i++) {
      parts.push(
        `<circle cx="${random.between(0, WIDTH)}" cy="${random.between(0, 300)}" r="${1 + random.next() * 1.6}" fill="#fff8dc" opacity="${(0.4 + random.next() * 0.6).toFixed(2)}"/>`,
      );
    }
  }
  if (hour === 'night' || things.includes('moon')) {
    parts.push(
      `<circle cx="${x}" cy="90" r="42" fill="#f4eed2"/><circle cx="${x + 17}" cy="80" r="36" fill="${top}"/>`,
    );
  } else if (weather === 'clear' || things.includes('sun')) {
    parts.push(`<circle cx="${x}" cy="${hour === 'day' ? 90 : 300}" r="46" fill="#ffd54a" opacity="0.95"/>`);
  }
  if (weather !== 'clear' || random.next() < 0.6) {
    const cloud = weather === 'storm' ? '#5b6068' : '#ffffff';
    for (let i = 0; i < 4; i++) {
      const [cx, cy] = [random.between(40, WIDTH - 40), random.between(50, 190)];
      parts.push(
        `<g fill="${cloud}" opacity="0.75"><ellipse cx="${cx}" cy="${cy}" rx="58" ry="20"/><ellipse cx="${cx - 24}" cy="${cy - 12}" rx="28" ry="20"/><ellipse cx="${cx + 18}" cy="${cy - 16}" rx="34" ry="24"/></g>`,
      );
    }
  }
  if (weather === 'storm')
    parts.push(`<path d="M${x} 120 l-26 90 l22 -6 l-18 80 l52 -110 l-24 6 l20 -60Z" fill="#ffe36b"/>`);
  if (things.includes('rainbow')) {
    for (const [i, band] of ['#e74c3c', '#e67e22', '#f1c40f', '#2ecc71', '#3498db', '#8e44ad'].entries())
      parts.push(
        `<path d="M60 ${HORIZON} a340 ${300 - i * 12} 0 0 1 680 0" stroke="${band}" stroke-width="12" fill="none" opacity="0.55"/>`,
      );
  }
  return parts.join('');
}

function hill(height: number, fill: string, random: Random): string {
  const points: string[] = [`M0 ${HEIGHT} V${HORIZON}`];
  for (let x = 0; x < WIDTH; x += 200) {
    const y = HORIZON - random.between(0, height);
    points.push(`C${x + 60} ${y} ${x + 140} ${y} ${x + 200} ${HORIZON - random.between(0, Math.round(height / 3))}`);
  }
  return `<path d="${points.join(' ')} V${HEIGHT}Z" fill="${fill}"/>`;
}

function ground(scene: Scene, random: Random): string {
  const { place, weather, hour } = scene;
  const dim = hour === 'night' ? 0.5 : hour === 'evening' ? 0.75 : 1;
  const shade = (hue: number, saturation: number, light: number): string => colour(hue, saturation, light * dim);
  const green = weather === 'snow' ? shade(210, 20, 90) : shade(105, 38, 40);
  const far = weather === 'snow' ? shade(212, 22, 80) : shade(120, 28, 50);
  const plain = hill(70, far, random) + hill(24, green, random);
  switch (place) {
    case 'sea':
      return (
        waves(shade(205, 55, 45), random) +
        `<path d="M560 ${HEIGHT} q110 -130 260 -120 V${HEIGHT}Z" fill="${shade(42, 50, 68)}"/>`
      );
    case 'underwater': {
      const weed = (x: number): string =>
        `<path d="M${x} ${HEIGHT} q-22 -60 0 -120 q22 -60 0 -${random.between(80, 150)}" stroke="${shade(150, 50, 34)}" stroke-width="10" fill="none"/>`;
      const coral = (x: number): string =>
        `<path d="M${x} ${HEIGHT} v-60 m0 26 l-26 -34 m26 20 l24 -40" stroke="${shade(350, 60, 60)}" stroke-width="12" stroke-linecap="round" fill="none"/>`;
      return `<rect width="${WIDTH}" height="${HEIGHT}" fill="${shade(195, 60, 42)}" opacity="0.75"/>${hill(20, shade(42, 40, 60), random)}${[60, 190, 640, 730].map(weed).join('')}${[130, 560].map(coral).join('')}`;
    }
    case 'mountains':
      return `<path d="M-20 ${HEIGHT} L140 170 L270 380 L420 130 L600 400 L700 240 L840 ${HEIGHT}Z" fill="${shade(220, 14, 48)}"/><path d="M140 170 l-32 62 l34 -14 l26 22Z M420 130 l-40 74 l44 -16 l32 30Z" fill="#fff"/>${hill(24, green, random)}`;
    case 'desert':
      return hill(60, shade(38, 58, 66), random) + hill(30, shade(34, 62, 58), random);
    case 'room':
      return `<rect width="${WIDTH}" height="${HEIGHT}" fill="${shade(30, 34, 70)}"/><rect x="470" y="80" width="190" height="210" fill="url(#sky)" stroke="#6b4423" stroke-width="12"/><path d="M565 80 v210 M470 185 h190" stroke="#6b4423" stroke-width="7"/><rect y="440" width="${WIDTH}" height="160" fill="${shade(24, 40, 36)}"/><path d="M60 440 v-200 h160 v200" fill="${shade(14, 28, 40)}"/><path d="M92 440 v-110 h96 v110Z" fill="#221510"/><path d="M140 436 q-34 -34 0 -84 q34 50 0 84Z" fill="#f08a24"/>`;
    case 'town': {
      const houses = Array.from({ length: 6 }, (_, i) => {
        const [x, height] = [i * 140 - 10, random.between(110, 210)];
        const wall = shade(random.between(12, 45), 36, 64);
        return `<rect x="${x}" y="${HORIZON + 20 - height}" width="128" height="${height}" fill="${wall}"/><path d="M${x - 8} ${HORIZON + 20 - height} l72 -60 l72 60Z" fill="${weather === 'snow' ? '#f4f6fa' : shade(8, 46, 40)}"/><rect x="${x + 24}" y="${HORIZON + 50 - height}" width="26" height="34" fill="${hour === 'night' ? '#ffd97a' : '#3b4a5a'}"/><rect x="${x + 78}" y="${HORIZON + 50 - height}" width="26" height="34" fill="${hour === 'night' ? '#ffd97a' : '#3b4a5a'}"/>`;
      });
      return (
        houses.join('') +
        `<rect y="${HORIZON + 20}" width="${WIDTH}" height="220" fill="${weather === 'snow' ? '#e8edf4' : shade(30, 10, 52)}"/>`
      );
    }
    case 'castle':
      return hill(60, far, random) + castle(470, HORIZON + 10, 1.5) + hill(20, green, random);
    case 'forest':
      return (
        plain +
        Array.from({ length: 12 }, () =>
          tree(
            random.between(0, WIDTH),
            HORIZON + random.between(-10, 40),
            0.8 + random.next() * 0.7,
            weather === 'snow',
            random,
          ),
        ).join('')
      );
    case 'garden':
      return (
        plain +
        Array.from({ length: 26 }, () =>
          flower(random.between(10, WIDTH - 10), random.between(HORIZON + 40, HEIGHT - 14), random),
        ).join('')
      );
    case 'meadow':
      return (
        plain +
        Array.from({ length: 3 }, () =>
          tree(random.between(20, WIDTH), HORIZON + 8, 0.8, weather === 'snow', random),
        ).join('')
      );
  }
}

function waves(fill: string, random: Random): string {
  const lines = Array.from({ length: 9 }, () => {
    const [x, y] = [random.between(0, WIDTH - 90), random.between(HORIZON + 10, HEIGHT - 20)];
    return `<path d="M${x} ${y} q14 -12 28 0 t28 0 t28 0" stroke="#ffffffaa" stroke-width="3" fill="none"/>`;
  });
  return `<rect y="${HORIZON - 20}" width="${WIDTH}" height="${HEIGHT}" fill="${fill}"/>${lines.join('')}`;
}

function tree(x: number, y: number, size: number, isSnowy: boolean, random: Random): string {
  const leaf = colour(random.between(95, 150), 36, isSnowy ? 78 : random.between(24, 36));
  const crown =
    random.next() < 0.5
      ? `<path d="M0 -150 l-38 70 h22 l-30 56 h92 l-30 -56 h22Z" fill="${leaf}"/>`
      : `<circle cy="-92" r="44" fill="${leaf}"/>`;
  return `<g transform="translate(${x} ${y}) scale(${size.toFixed(2)})"><rect x="-7" y="-50" width="14" height="52" fill="#5b3d22"/>${crown}</g>`;
}

function flower(x: number, y: number, random: Random): string {
  const petal = colour(random.pick([350, 48, 280, 20, 210]), 72, 62);
  const petals = [0, 72, 144, 216, 288].map(
    (turn) => `<ellipse cy="-7" rx="4" ry="7" fill="${petal}" transform="rotate(${turn})"/>`,
  );
  return `<g transform="translate(${x} ${y})"><path d="M0 0 v22" stroke="#3d7a35" stroke-width="3"/>${petals.join('')}<circle r="4" fill="#f6d04d"/></g>`;
}

function castle(x: number, y: number, size: number): string {
  return `<g transform="translate(${x} ${y}) scale(${size})" fill="#a89f94"><rect x="-60" y="-80" width="120" height="84"/><rect x="-76" y="-120" width="34" height="124"/><rect x="42" y="-120" width="34" height="124"/><rect x="-16" y="-140" width="32" height="70"/><path d="M-80 -120 l21 -40 l21 40Z M38 -120 l21 -40 l21 40Z M-20 -140 l20 -44 l20 44Z" fill="#7b3f4a"/><path d="M-14 4 v-34 a14 14 0 0 1 28 0 v34Z" fill="#4a3a2a"/></g>`;
}

function things({ things, place, weather }: Scene, random: Random): string {
  const parts: string[] = [];
  const at = (): [number, number] => [random.between(60, WIDTH - 60), random.between(HORIZON + 30, HORIZON + 80)];
  for (const thing of things) {
    const [x, y] = at();
    if (thing === 'house' && place !== 'town' && place !== 'room') {
      parts.push(
        `<g transform="translate(${x} ${y})"><rect x="-46" y="-66" width="92" height="68" fill="#c9a27a"/><path d="M-58 -66 L0 -118 L58 -66Z" fill="${weather === 'snow' ? '#f1f4f8' : '#8a4b3a'}"/><rect x="-12" y="-36" width="24" height="38" fill="#5b3d22"/></g>`,
      );
    } else if (thing === 'castle' && place !== 'castle' && place !== 'room') parts.push(castle(x, HORIZON + 16, 0.8));
    else if (thing === 'ship' && place === 'sea') {
      parts.push(
        `<g transform="translate(${x} ${HORIZON + 40})"><path d="M-70 0 h140 l-24 36 h-92Z" fill="#6b4423"/><path d="M0 0 v-120" stroke="#4a3020" stroke-width="6"/><path d="M4 -112 q60 40 0 88Z M-4 -100 q-46 40 0 70Z" fill="#f3ecd9"/></g>`,
      );
    } else if (thing === 'tree' && place !== 'forest' && place !== 'room' && place !== 'sea')
      parts.push(tree(x, y, 1.1, weather === 'snow', random));
    else if (thing === 'flower' && place !== 'garden') parts.push(flower(x, y + 60, random));
    else if (thing === 'lantern')
      parts.push(
        `<g transform="translate(${x} ${y + 40})"><circle cy="-30" r="46" fill="#ffdf80" opacity="0.35"/><rect x="-9" y="-44" width="18" height="30" rx="4" fill="#ffcf4d" stroke="#3b2a1a" stroke-width="3"/></g>`,
      );
    else if (thing === 'book')
      parts.push(
        `<path d="M${x} ${y + 70} q-26 -14 -46 0 v-34 q20 -14 46 0 q26 -14 46 0 v34 q-20 -14 -46 0Z" fill="#f7f0dc" stroke="#6b3a2a" stroke-width="3"/>`,
      );
    else if (thing === 'cup')
      parts.push(
        `<path d="M${x - 18} ${y + 40} h36 q0 32 -18 32 q-18 0 -18 -32Z" fill="#fdfdfb" stroke="#4a6fa5" stroke-width="3"/><path d="M${x + 17} ${y + 46} q16 2 0 16" stroke="#4a6fa5" stroke-width="3" fill="none"/>`,
      );
    else if (thing === 'mushroom')
      parts.push(
        `<g transform="translate(${x} ${y + 70})"><rect x="-8" y="-30" width="16" height="32" fill="#f3e9d8"/><path d="M-34 -28 a34 30 0 0 1 68 0Z" fill="#c0392b"/></g>`,
      );
    else if (thing === 'balloon')
      parts.push(
        `<path d="M${x} 260 l-6 -50 m6 50 l6 -50" stroke="#333"/><ellipse cx="${x}" cy="170" rx="34" ry="42" fill="#c0504d"/>`,
      );
  }
  return parts.join('');
}

/** Side by side, the most important nearest to the middle and largest. */
function figures({ figures: list, place }: Scene, random: Random): string {
  const spots = [400, 215, 590, 90];
  const drawn = list.map(({ kind }, i) => {
    const size = (i === 0 ? 1.5 : 1.1) * (kind === 'mouse' ? 0.7 : 1);
    const y = place === 'underwater' && kind === 'fish' ? random.between(220, 400) : HEIGHT - 40 - i * 12;
    const turn = random.next() < 0.5 ? -1 : 1;
    return `<g data-figure="${kind}" transform="translate(${(spots[i] ?? 0) + random.between(-20, 20)} ${y}) scale(${(size * turn).toFixed(2)} ${size.toFixed(2)})"><ellipse rx="46" ry="8" fill="#0003"/>${drawFigure(kind)}</g>`;
  });
  return drawn.reverse().join('\n');
}

function fall({ weather, place }: Scene, random: Random): string {
  if (weather === 'clear' || place === 'room' || place === 'underwater') return '';
  const drops = Array.from({ length: 90 }, () => {
    const [x, y] = [random.between(0, WIDTH), random.between(0, HEIGHT)];
    if (weather === 'snow')
      return `<circle cx="${x}" cy="${y}" r="${(1.5 + random.next() * 2.5).toFixed(1)}" fill="#fff" opacity="0.9"/>`;
    return `<path d="M${x} ${y} l-5 16" stroke="#d6e6f5" stroke-width="2" opacity="0.7"/>`;
  });
  return drops.join('');
}
