/** What a service offers: the first instance that answers by reflection says it, or why none does. */
import { messageOf } from '../../base/errors.ts';
import type { ReflectionSettings, TranscodeApi } from '../../data/contract/transcode.ts';
import type { ProbeAddress } from '../health/probe.ts';
import { buildApi } from './build-api.ts';
import { readDescriptors } from './descriptor-set.ts';
import { ProtoFault } from './model.ts';
import { ReflectionFault, reflect } from './reflection-client.ts';

export interface Instance {
  readonly url: string;
  readonly address: ProbeAddress;
}

export async function offeredBy(
  settings: ReflectionSettings,
  instances: readonly Instance[],
): Promise<{ readonly api: TranscodeApi } | { readonly problem: string }> {
  let problem = 'the service has no instance';
  for (const { url, address } of instances) {
    try {
      const files = await reflect(address, settings.services);
      return { api: apiOf(readDescriptors(files.filter(({ length }) => length > 0)), settings) };
    } catch (error) {
      const isKnown = error instanceof ReflectionFault || error instanceof ProtoFault;
      problem = `${url}: ${isKnown ? (error as Error).message : messageOf(error)}`;
    }
  }
  return { problem };
}

function apiOf(model: ReturnType<typeof readDescriptors>, settings: ReflectionSettings): TranscodeApi {
  const services = model.services.filter(({ name }) => !/^grpc\.(reflection|health|channelz)\./.test(name));
  const { api, problems } = buildApi({ ...model, services }, settings);
  if (problems.length > 0) throw new ProtoFault(problems.map(({ message }) => message).join('; '));
  return api;
}
