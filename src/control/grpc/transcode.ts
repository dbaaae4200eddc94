/**
 * `transcode` of a route to what workers translate by. What a file or a rule has wrong stops the start, with the method
 * named.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { KeyPath } from '../../data/contract/options.ts';
import type { RouteAction } from '../../data/contract/snapshot.ts';
import type { ReflectionSettings, TranscodeApi, TranscodeSettings } from '../../data/contract/transcode.ts';
import type { Compilation } from '../config/compile/context.ts';
import { buildApi } from './build-api.ts';
import { readDescriptorSet } from './descriptor-set.ts';
import { ProtoFault, type ProtoModel } from './model.ts';
import { readProtoFiles } from './proto-files.ts';
import type { TranscodeOptions } from './transcode-schema.ts';

const DEFAULT_REFRESH_MS = 60_000;

export function compileTranscode(
  compilation: Compilation,
  routePath: KeyPath,
  options: TranscodeOptions | undefined,
  action: RouteAction,
): TranscodeSettings | undefined {
  if (options === undefined) return undefined;
  const path = [...routePath, 'transcode'];
  checkServices(compilation, path, action);
  const reflection = reflectionOf(options, action);
  return {
    api: reflection === null ? apiOf(compilation, path, options) : null,
    reflection,
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

function apiOf(compilation: Compilation, path: KeyPath, options: TranscodeOptions): TranscodeApi {
  const model = options.reflection === undefined ? readModel(compilation, path, options) : null;
  if (model === null) return { schema: { messages: {}, enums: {} }, bindings: [] };
  const { services = null, unbound } = options;
  const { api, problems } = buildApi(model, { services, unbound });
  for (const { key, message, ...more } of problems)
    compilation.problem(key === '' ? path : [...path, key], message, more);
  return api;
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

/** The same question for all routes that ask it of the same service. */
function reflectionOf(options: TranscodeOptions, action: RouteAction): ReflectionSettings | null {
  const { reflection, services = null, unbound } = options;
  if (reflection === undefined || action.kind !== 'service') return null;
  const service = action.targets[0]!.service;
  return {
    topic: `grpc:reflection:${JSON.stringify([service, services, unbound])}`,
    service,
    services,
    unbound,
    refreshMs: reflection === true ? DEFAULT_REFRESH_MS : reflection.refresh,
  };
}
