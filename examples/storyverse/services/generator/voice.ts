/**
 * A voice by formants: a buzz from the vocal folds or a noise goes through resonators that stand where those of a mouth
 * would (Klatt's scheme of 1980, made small). Sounds glide into one another; pitch falls along a sentence and rises
 * before a question mark. It sounds like the speech chips of the eighties, and is understood best with the text at
 * hand.
 */

import { type Sound, soundsOf } from './phonemes.ts';
import { createRandom } from './random.ts';

export const SAMPLE_RATE = 16_000;

interface Shape {
  /** Resonances in hertz. */
  readonly f: readonly [number, number, number];
  /** Loudness of the buzz and of the noise, 0 to 1. */
  readonly voice: number;
  readonly noise: number;
  /** Middle of the band of the noise in hertz; 0 lets it through the resonators. */
  readonly band: number;
  readonly ms: number;
  /** Silence before it: plosives. */
  readonly closureMs: number;
}

const vowel = (f1: number, f2: number, f3: number, ms = 130): Shape => ({
  f: [f1, f2, f3],
  voice: 1,
  noise: 0,
  band: 0,
  ms,
  closureMs: 0,
});
const voiced = (f1: number, f2: number, f3: number, ms: number, voice = 0.6): Shape => ({
  f: [f1, f2, f3],
  voice,
  noise: 0,
  band: 0,
  ms,
  closureMs: 0,
});
const hiss = (band: number, noise: number, voice: number, ms: number): Shape => ({
  f: [320, 1_500, 2_500],
  voice,
  noise,
  band,
  ms,
  closureMs: 0,
});
const burst = (band: number, noise: number, voice: number, f2: number): Shape => ({
  f: [300, f2, 2_500],
  voice,
  noise,
  band,
  ms: 28,
  closureMs: 55,
});

/** Formants of the vowels after Peterson and Barney (1952), men's averages. */
// biome-ignore format: a table
const SHAPES: Readonly<Record<Sound, Shape>> = {
  IY: vowel(270, 2_290, 3_010), IH: vowel(390, 1_990, 2_550, 95), EH: vowel(530, 1_840, 2_480, 105), AE: vowel(660, 1_720, 2_410),
  AA: vowel(730, 1_090, 2_440), AO: vowel(570, 840, 2_410), UH: vowel(440, 1_020, 2_240, 95), UW: vowel(300, 870, 2_240),
  AH: vowel(640, 1_190, 2_390, 90), ER: vowel(490, 1_350, 1_690), W: voiced(290, 610, 2_150, 65), Y: voiced(260, 2_070, 3_020, 60),
  R: voiced(310, 1_060, 1_380, 70), L: voiced(310, 1_050, 2_880, 70), M: voiced(250, 1_000, 2_200, 75, 0.45), N: voiced(250, 1_500, 2_500, 70, 0.45),
  NG: voiced(250, 2_000, 2_600, 80, 0.45), HH: { f: [500, 1_500, 2_500], voice: 0, noise: 0.25, band: 0, ms: 60, closureMs: 0 },
  F: hiss(5_200, 0.14, 0, 95), TH: hiss(5_600, 0.1, 0, 85), S: hiss(6_000, 0.3, 0, 105), SH: hiss(3_200, 0.34, 0, 110),
  V: hiss(5_200, 0.07, 0.4, 60), DH: hiss(5_600, 0.05, 0.4, 45), Z: hiss(6_000, 0.18, 0.35, 85), ZH: hiss(3_200, 0.2, 0.35, 80),
  P: burst(900, 0.3, 0, 900), T: burst(4_200, 0.4, 0, 1_700), K: burst(1_900, 0.4, 0, 1_900), B: burst(800, 0.15, 0.4, 900),
  D: burst(3_800, 0.2, 0.4, 1_700), G: burst(1_800, 0.2, 0.4, 1_900), CH: { ...hiss(3_400, 0.36, 0, 85), closureMs: 45 }, JH: { ...hiss(3_200, 0.22, 0.3, 70), closureMs: 40 },
};

/** Two vowels, one after the other. */
const DIPHTHONGS: Readonly<Record<Sound, readonly [Sound, Sound]>> = {
  EY: ['EH', 'IY'],
  AY: ['AA', 'IY'],
  OW: ['AO', 'UW'],
  AW: ['AA', 'UW'],
  OY: ['AO', 'IY'],
};

export interface VoiceSettings {
  /** Middle pitch in hertz. */
  readonly pitch: number;
  /** 1 is usual; resonances of smaller mouths lie higher. */
  readonly formants: number;
  /** 1 is usual; 2 is twice as fast. */
  readonly speed: number;
}

interface Step {
  readonly shape: Shape;
  readonly samples: number;
  readonly silence: number;
  readonly pitch: number;
}

export interface Spoken {
  readonly samples: Float32Array;
  readonly syllables: number;
}

const PAUSES: Readonly<Record<string, number>> = { ',': 0.18, ';': 0.25, ':': 0.25, '.': 0.42, '!': 0.42, '?': 0.42 };

export function speak(text: string, settings: VoiceSettings): Spoken {
  const steps: Step[] = [];
  let syllables = 0;
  for (const sentence of text.match(/[^.!?]+[.!?]*/g) ?? []) {
    const words = sentence.match(/[A-Za-z]+(?:['’-][A-Za-z]+)*|[,;:.!?]/g) ?? [];
    const rises = sentence.includes('?');
    for (const [i, word] of words.entries()) {
      const pause = PAUSES[word];
      if (pause !== undefined) {
        steps.push(rest(pause / settings.speed, settings.pitch));
        continue;
      }
      const along = i / Math.max(1, words.length - 1);
      const fall = rises ? (along > 0.7 ? 0.95 + (along - 0.7) * 0.9 : 0.98) : 1.12 - 0.28 * along;
      const read = word.split(/[-’']/).flatMap((part) => soundsOf(part));
      syllables += read.filter((sound) => sound in DIPHTHONGS || SHAPES[sound]?.voice === 1).length;
      const sounds = read.flatMap((sound) => DIPHTHONGS[sound] ?? [sound]);
      const isHeavy = word.length > 3;
      let isFirstVowel = true;
      for (const sound of sounds) {
        const shape = SHAPES[sound];
        if (shape === undefined) continue;
        const isVowel = shape.voice === 1;
        const stress = isVowel && isFirstVowel && isHeavy ? 1.1 : 1;
        if (isVowel) isFirstVowel = false;
        const ms = (shape.ms * (stress > 1 ? 1.15 : 1)) / settings.speed;
        steps.push({
          shape,
          samples: Math.round((ms / 1_000) * SAMPLE_RATE),
          silence: Math.round((shape.closureMs / settings.speed / 1_000) * SAMPLE_RATE),
          pitch: settings.pitch * fall * stress,
        });
      }
      steps.push(rest(0.02 / settings.speed, settings.pitch * fall));
    }
  }
  return { samples: render(steps, settings.formants), syllables };
}

function rest(seconds: number, pitch: number): Step {
  return {
    shape: { f: [500, 1_500, 2_500], voice: 0, noise: 0, band: 0, ms: 0, closureMs: 0 },
    samples: 0,
    silence: Math.round(seconds * SAMPLE_RATE),
    pitch,
  };
}

/** A resonance: second-order, with unit gain at 0 Hz. */
class Resonator {
  #a = 1;
  #b = 0;
  #c = 0;
  #y1 = 0;
  #y2 = 0;

  tune(hertz: number, width: number): void {
    const radius = Math.exp((-Math.PI * width) / SAMPLE_RATE);
    this.#c = -radius * radius;
    this.#b = 2 * radius * Math.cos((2 * Math.PI * Math.min(hertz, SAMPLE_RATE * 0.45)) / SAMPLE_RATE);
    this.#a = 1 - this.#b - this.#c;
  }

  step(x: number): number {
    const y = this.#a * x + this.#b * this.#y1 + this.#c * this.#y2;
    this.#y2 = this.#y1;
    this.#y1 = y;
    return y;
  }
}

/** Resonators are tuned anew this often, on the way from one sound to the next. */
const BLOCK = 80;
const WIDTHS = [70, 100, 150] as const;

function render(steps: readonly Step[], scale: number): Float32Array {
  const total = steps.reduce((sum, { samples, silence }) => sum + samples + silence, 0);
  const out = new Float32Array(total + Math.round(0.2 * SAMPLE_RATE));
  const chain = WIDTHS.map(() => new Resonator());
  const band = new Resonator();
  const random = createRandom(1);
  let at = 0;
  let phase = 0;
  let voice = 0;
  let noise = 0;
  let pitch = steps[0]?.pitch ?? 110;
  const f: [number, number, number] = [500, 1_500, 2_500];
  let before = 0;
  const run = (samples: number, target: Shape, pitchTarget: number, isSilent: boolean): void => {
    for (let i = 0; i < samples; i++, at++) {
      if (i % BLOCK === 0) {
        // A third of the way in each block of 5 ms: about 15 ms from one sound to the next.
        for (const n of [0, 1, 2] as const) {
          if (!isSilent || i > samples / 2) f[n] += (target.f[n] * scale - f[n]) * 0.34;
          chain[n]!.tune(f[n], WIDTHS[n]);
        }
        band.tune(target.band || 2_000, 900);
        pitch += (pitchTarget - pitch) * 0.15;
      }
      voice += ((isSilent ? 0 : target.voice) - voice) * 0.012;
      noise += ((isSilent ? 0 : target.noise) - noise) * 0.03;
      phase += pitch / SAMPLE_RATE;
      if (phase >= 1) phase -= 1;
      // Rosenberg's pulse: opens for 40 % of the period, closes in 16 %.
      const pulse =
        phase < 0.4
          ? 0.5 * (1 - Math.cos((Math.PI * phase) / 0.4))
          : phase < 0.56
            ? Math.cos((Math.PI / 2) * ((phase - 0.4) / 0.16))
            : 0;
      const breath = (random.next() * 2 - 1) * noise;
      const throughMouth = target.band === 0 ? breath : 0;
      // What leaves the lips is the change of pressure, not the pressure.
      const source = pulse - before + throughMouth * 0.3;
      before = pulse;
      let sound = source * voice + throughMouth * 0.3;
      for (const resonator of chain) sound = resonator.step(sound);
      const hissed = target.band === 0 ? 0 : band.step(breath) * 1.4;
      out[at] = sound * 2.2 + hissed;
    }
  };
  for (const { shape, samples, silence, pitch: wanted } of steps) {
    if (silence > 0) run(silence, shape, wanted, true);
    run(samples, shape, wanted, false);
  }
  return out;
}
