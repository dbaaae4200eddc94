/**
 * Numbers without a unit are milliseconds everywhere. Who writes `timeout: 5` means seconds, as other gateways take it,
 * and would find out when every call fails: durations that short are warned of unless they have their unit.
 */
import type { KeyPath } from '../../data/contract/options.ts';
import { schemasAt } from './json-schema.ts';
import { formatKey, type Problem } from './problems.ts';
import { type ConfigSource, type EnvironmentValue, isMapping, pathId } from './source.ts';

/** Below this, milliseconds. */
const SUSPICIOUS_MS = 100;
/** Of a variable such as `SERVICE_TIMEOUT=300`, whose name tells no unit either. */
const SUSPICIOUS_VARIABLE_MS = 1_000;
/** Its specification says milliseconds. */
const OF_OPENTELEMETRY = /^OTEL_/;

/** `value` is the document with its variables in it. */
export function bareDurationWarnings(value: unknown, source: ConfigSource): Problem[] {
  const found: Problem[] = [];
  const walk = (at: unknown, path: KeyPath): void => {
    if (Array.isArray(at)) for (const [i, item] of at.entries()) walk(item, [...path, i]);
    else if (isMapping(at)) for (const [key, item] of Object.entries(at)) walk(item, [...path, key]);
    else if (isSuspicious(at, source.environmentValues.get(pathId(path))) && isDuration(path))
      found.push({
        severity: 'warning',
        ...source.place(path, 'value'),
        key: formatKey(path),
        message: `is ${Number(at)} milliseconds; write a unit, such as ${Number(at)}s where seconds are meant`,
      });
  };
  walk(value, []);
  return found;
}

/** 0 is "off", or "at once". */
function isSuspicious(value: unknown, origin: EnvironmentValue | undefined): boolean {
  const isVariable = origin?.isDeclared === true;
  if (isVariable && origin.variables.every((name) => OF_OPENTELEMETRY.test(name))) return false;
  if (typeof value !== 'number' && (typeof value !== 'string' || !/^\d{1,3}$/.test(value))) return false;
  const ms = Number(value);
  return ms > 0 && ms < (isVariable ? SUSPICIOUS_VARIABLE_MS : SUSPICIOUS_MS);
}

function isDuration(path: KeyPath): boolean {
  // `windowMs` tells its unit itself.
  if (String(path.at(-1)).endsWith('Ms')) return false;
  const schemas = schemasAt(path);
  return (
    schemas.some((schema) => schema['x-unit']?.startsWith('duration') === true) &&
    // Where a plain number may stand as well it is not known what was meant.
    schemas.every((schema) => schema['x-unit'] !== undefined || !isNumeric(schema))
  );
}

function isNumeric({ type }: ReturnType<typeof schemasAt>[number]): boolean {
  return [type ?? []].flat().some((one) => one === 'number' || one === 'integer');
}
