/** Which format a scraper gets (RFC 9110 §12.5.1): the one it weighs most, of several the one it names first. */
import type { Format } from './exposition.ts';

interface Wanted {
  readonly format: Format | 'json';
  readonly weight: number;
}

/** Null where `accept` names none of them. `protobuf` only counts if it is offered. */
export function formatFor(accept: string | undefined, offersProtobuf: boolean): Format | 'json' | null {
  let best: Wanted | null = null;
  for (const range of (accept ?? '').split(',')) {
    const wanted = readRange(range, offersProtobuf);
    if (wanted !== null && wanted.weight > (best?.weight ?? 0)) best = wanted;
  }
  return best?.format ?? null;
}

function readRange(range: string, offersProtobuf: boolean): Wanted | null {
  const [type = '', ...rest] = range.split(';').map((part) => part.trim().toLowerCase());
  const parameters = new Map(
    rest.map((part) => [part.split('=', 1)[0]!.trim(), part.slice(part.indexOf('=') + 1).trim()]),
  );
  const format = formatOf(type, parameters, offersProtobuf);
  if (format === null) return null;
  const weight = Number(parameters.get('q') ?? 1);
  return { format, weight: weight >= 0 && weight <= 1 ? weight : 0 };
}

function formatOf(
  type: string,
  parameters: ReadonlyMap<string, string>,
  offersProtobuf: boolean,
): Wanted['format'] | null {
  switch (type) {
    case 'application/json':
      return 'json';
    case 'text/plain':
      return 'prometheus';
    case 'application/openmetrics-text':
      return 'openmetrics';
    case 'application/vnd.google.protobuf': {
      const isOurs =
        parameters.get('proto') === 'io.prometheus.client.metricfamily' && parameters.get('encoding') === 'delimited';
      return isOurs && offersProtobuf ? 'protobuf' : null;
    }
    default:
      return null;
  }
}
