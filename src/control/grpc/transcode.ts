/**
 * `transcode` of a route to what workers translate by. What a file or a rule has wrong stops the start, with the method
 * named.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { KeyPath } from '../../data/contract/options.ts';
import type { RouteAction } from '../../data/contract/snapshot.ts';
import type { TranscodeApi, TranscodeSettings } from '../../data/contract/transcode.ts';
import type { Compilation } from '../config/compile/context.ts';
import { bindingsOf } from './bindings.ts';
import { readDescriptorSet } from './descriptor-set.ts';
import { STATUS_TYPES } from './known-protos.ts';
import { ProtoFault, type ProtoModel, reachable } from './model.ts';
import { readProtoFiles } from './proto-files.ts';
import type { TranscodeOptions } from './transcode-schema.ts';

export function compileTranscode(
  compilation: Compilation,
  routePath: KeyPath,
  options: TranscodeOptions | undefined,
  action: RouteAction,
): TranscodeSettings | undefined {
  if (options === undefined) return undefined;
  const path = [...routePath, 'transcode'];
  checkServices(compilation, path, action);
  const model = readModel(compilation, path, options);
  const api = model === null ? null : apiOf(compilation, path, options, model);
  return {
    api: api ?? { schema: { messages: {}, enums: {} }, bindings: [] },
    fileNames: options.names === 'proto',
    defaults: options.defaults,
    ignoreQuery: options.ignoreQuery ?? [],
    maxMessageBytes: options.maxMessageSize,
  };
}

function checkServices(compilation: Compilation, path: KeyPath, action: RouteAction): void {
  if (action.kind !== 'service') {
    compilation.problem(path, 'has no effect on a route without a service');
    return;
  }
  const { services } = compilation.config.document;
  for (const { service } of action.targets) {
    const protocol = services[service]?.protocol;
    if (protocol === undefined || protocol === 'grpc') continue;
    compilation.problem(path, `needs a gRPC service, and ${service} is none`, {
      got: `protocol: ${protocol}`,
      expected: 'protocol: grpc',
    });
  }
}

function readModel(compilation: Compilation, path: KeyPath, options: TranscodeOptions): ProtoModel | null {
  const { descriptorSet, proto = [] } = options;
  const key = descriptorSet === undefined ? 'proto' : 'descriptorSet';
  try {
    if (descriptorSet !== undefined) {
      const bytes = compilation.readBytes([...path, key], descriptorSet);
      return bytes === undefined ? null : readDescriptorSet(bytes);
    }
    const files = proto.flatMap((name) => {
      const text = compilation.readText([...path, key], name);
      return text === undefined ? [] : [{ name, text }];
    });
    if (files.length < proto.length) return null;
    const folders = [...new Set(proto.map((name) => dirname(name))), ...(options.importPaths ?? []), '.'];
    return readProtoFiles(files, (name) => {
      const file = folders.map((folder) => join(folder, name)).find((each) => existsSync(compilation.resolve(each)));
      return file === undefined ? undefined : compilation.readText([...path, key], file);
    });
  } catch (error) {
    if (!(error instanceof ProtoFault)) throw error;
    compilation.problem([...path, key], `cannot be used: ${error.message}`);
    return null;
  }
}

function apiOf(
  compilation: Compilation,
  path: KeyPath,
  options: TranscodeOptions,
  model: ProtoModel,
): TranscodeApi | null {
  const names = model.services.map(({ name }) => name);
  for (const name of options.services ?? [])
    if (!names.includes(name))
      compilation.problem([...path, 'services'], 'there is no such service in the files', {
        got: JSON.stringify(name),
        expected: names.length === 0 ? 'files with a service' : `one of ${names.join(', ')}`,
      });
  const services = model.services.filter(({ name }) => options.services?.includes(name) ?? true);
  const { bindings, problems } = bindingsOf(model, services, options.unbound);
  for (const problem of problems) compilation.problem(path, problem);
  if (bindings.length === 0 && problems.length === 0)
    compilation.problem(path, 'no method has the option google.api.http, so none could be reached', {
      expected: 'rules in the files, or unbound: true',
    });
  const roots = bindings.flatMap(({ input, output }) => [input, output]);
  return { schema: reachable(model.schema, [...roots, ...STATUS_TYPES]), bindings };
}
