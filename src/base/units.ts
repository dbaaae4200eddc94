/**
 * The only reader of human units: "250ms" and "5s" to milliseconds, "64kb" and "10mb" to bytes, "20%" to a ratio.
 * Called by the configuration schema and the command line; nothing behind them sees a unit string.
 */

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const DURATION_FACTOR: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const SIZE = /^(\d+(?:\.\d+)?)\s*(b|k|kb|kib|m|mb|mib|g|gb|gib)$/i;
const SIZE_FACTOR: Readonly<Record<string, number>> = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

const PERCENT = /^(\d+(?:\.\d+)?)%$/;

/** Milliseconds of `"250ms"`, `"5s"`, `"1.5h"`, or of a bare number (milliseconds). `undefined` if it is neither. */
export function parseDurationMs(input: unknown): number | undefined {
  if (typeof input === 'number') return Number.isFinite(input) && input >= 0 ? input : undefined;
  if (typeof input !== 'string') return undefined;
  if (/^\d+$/.test(input)) return Number(input);
  const match = DURATION.exec(input.trim());
  if (match === null) return undefined;
  return Number(match[1]) * (DURATION_FACTOR[match[2] ?? ''] ?? Number.NaN);
}

/**
 * The same for a command line, where `--for 30` would be over before it has begun: a number below 1,000 needs its unit.
 */
export function parseUnitDurationMs(text: string): number | undefined {
  const ms = parseDurationMs(text);
  return ms === undefined || (ms > 0 && ms < 1_000 && !text.includes('s')) ? undefined : ms;
}

/** Bytes of `"10mb"`, `"64KiB"` (k, m and g are powers of 1024), or of a bare number. `undefined` if it is neither. */
export function parseSizeBytes(input: unknown): number | undefined {
  if (typeof input === 'number') return Number.isSafeInteger(input) && input >= 0 ? input : undefined;
  if (typeof input !== 'string') return undefined;
  if (/^\d+$/.test(input)) return Number(input);
  const match = SIZE.exec(input.trim());
  if (match === null) return undefined;
  const factor = SIZE_FACTOR[(match[2] ?? '').charAt(0).toLowerCase()] ?? Number.NaN;
  return Math.floor(Number(match[1]) * factor);
}

/** Ratio of `"20%"` (0.2) or of a bare number between 0 and 1. `undefined` if it is neither. */
export function parseRatio(input: unknown): number | undefined {
  if (typeof input === 'number') return input >= 0 && input <= 1 ? input : undefined;
  if (typeof input !== 'string') return undefined;
  const match = PERCENT.exec(input.trim());
  if (match === null) return undefined;
  const ratio = Number(match[1]) / 100;
  return ratio <= 1 ? ratio : undefined;
}

/** `90_000` as `"90s"`: the largest unit that divides evenly. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const factor = DURATION_FACTOR[unit] ?? 1;
    if (ms >= factor && ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return `${ms}ms`;
}
