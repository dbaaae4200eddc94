/**
 * A text read aloud as a WAV file: the voice of voice.ts, and behind it a quiet tune on five notes, in major for merry
 * texts and in minor for sad ones. Tune and tempo come from the words, so a text sounds the same each time.
 */
import { createRandom, seedOf } from './random.ts';
import { sceneOf } from './scene.ts';
import { SAMPLE_RATE, speak, type VoiceSettings } from './voice.ts';

export const VOICES: Readonly<Record<'low' | 'high' | 'child', VoiceSettings>> = {
  low: { pitch: 108, formants: 1, speed: 1 },
  high: { pitch: 190, formants: 1.15, speed: 1 },
  child: { pitch: 260, formants: 1.28, speed: 1.05 },
};

export interface Narration {
  readonly wav: Buffer;
  readonly seconds: number;
  readonly syllables: number;
}

export function narrate(text: string, voice: keyof typeof VOICES, melody: boolean): Narration {
  const { samples, syllables } = speak(text, VOICES[voice]);
  normalize(samples, 0.8);
  if (melody) addMelody(samples, text);
  return { wav: wavOf(samples), seconds: samples.length / SAMPLE_RATE, syllables };
}

function normalize(samples: Float32Array, peak: number): void {
  let most = 0;
  for (const sample of samples) most = Math.max(most, Math.abs(sample));
  if (most === 0) return;
  for (let i = 0; i < samples.length; i++) samples[i] = (samples[i]! / most) * peak;
}

const MAJOR = [0, 2, 4, 7, 9, 12];
const MINOR = [0, 3, 5, 7, 10, 12];
const LOWEST_NOTE_HZ = 196;

function addMelody(samples: Float32Array, text: string): void {
  const random = createRandom(seedOf(text));
  const { mood } = sceneOf(text);
  const scale = mood >= 0 ? MAJOR : MINOR;
  const beat = Math.round(SAMPLE_RATE * (0.62 - 0.16 * mood));
  let step = 2;
  for (let start = 0; start < samples.length - beat; start += beat) {
    step = Math.min(scale.length - 1, Math.max(0, step + random.between(-2, 2)));
    const hertz = LOWEST_NOTE_HZ * 2 ** (scale[step]! / 12);
    const length = Math.min(beat * 2, samples.length - start);
    for (let i = 0; i < length; i++) {
      const seconds = i / SAMPLE_RATE;
      const angle = 2 * Math.PI * hertz * seconds;
      const tone = Math.sin(angle) + 0.35 * Math.sin(2 * angle) * Math.exp(-6 * seconds);
      const sample = samples[start + i]! + tone * 0.06 * Math.min(1, i / 160) * Math.exp(-2.6 * seconds);
      samples[start + i] = Math.max(-1, Math.min(1, sample));
    }
  }
}

/** RIFF, 16 bits, one channel. */
function wavOf(samples: Float32Array): Buffer {
  const data = Buffer.alloc(44 + samples.length * 2);
  data.write('RIFF', 0, 'latin1');
  data.writeUInt32LE(data.length - 8, 4);
  data.write('WAVEfmt ', 8, 'latin1');
  data.writeUInt32LE(16, 16);
  data.writeUInt16LE(1, 20);
  data.writeUInt16LE(1, 22);
  data.writeUInt32LE(SAMPLE_RATE, 24);
  data.writeUInt32LE(SAMPLE_RATE * 2, 28);
  data.writeUInt16LE(2, 32);
  data.writeUInt16LE(16, 34);
  data.write('data', 36, 'latin1');
  data.writeUInt32LE(samples.length * 2, 40);
  for (const [i, sample] of samples.entries()) data.writeInt16LE(Math.round(sample * 32_767), 44 + i * 2);
  return data;
}
