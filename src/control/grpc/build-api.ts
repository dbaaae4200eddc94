/** What a model offers over HTTP: from files, from a descriptor set or from reflection alike. */
import type { TranscodeApi } from '../../data/contract/transcode.ts';
import { bindingsOf } from './bindings.ts';
import { STATUS_TYPES } from './known-protos.ts';
import { type ProtoModel, reachable } from './model.ts';

export interface ApiProblem {
  /** Below `transcode`; empty: all of it. */
  readonly key: '' | 'services';
  readonly message: string;
  readonly got?: string;
  readonly expected?: string;
}

export interface ApiChoice {
  /** Full names; null: all. */
  readonly services: readonly string[] | null;
  /** Methods without a rule too. */
  readonly unbound: boolean;
}

export function buildApi(
  model: ProtoModel,
  { services: wanted, unbound }: ApiChoice,
): { readonly api: TranscodeApi; readonly problems: readonly ApiProblem[] } {
  const found: ApiProblem[] = [];
  const names = model.services.map(({ name }) => name);
  for (const name of wanted ?? [])
    if (!names.includes(name))
      found.push({
        key: 'services',
        message: 'there is no such service in the files',
        got: JSON.stringify(name),
        expected: names.length === 0 ? 'files with a service' : `one of ${names.join(', ')}`,
      });
  const services = model.services.filter(({ name }) => wanted?.includes(name) ?? true);
  const { bindings, problems } = bindingsOf(model, services, unbound);
  found.push(...problems.map((message) => ({ key: '' as const, message })));
  if (bindings.length === 0 && problems.length === 0)
    found.push({
      key: '',
      message: 'no method has the option google.api.http, so none could be reached',
      expected: 'rules in the files, or unbound: true',
    });
  const roots = bindings.flatMap(({ input, output }) => [input, output]);
  return { api: { schema: reachable(model.schema, [...roots, ...STATUS_TYPES]), bindings }, problems: found };
}
