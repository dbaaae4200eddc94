/** Instances over HTTP: added, taken out and put back, drained, weighed, beside the configuration. */
import * as z from 'zod';
import type { InstanceSettings, ServiceSettings } from '../../data/contract/snapshot.ts';
import { instanceId, readAddress } from '../config/compile/instances.ts';
import { endByHand, forMs, reason, setByHand } from './by-hand.ts';
import { AdminError, type Kit, notThere, operation } from './kit.ts';
import { override } from './responses.ts';

const target = z.object({
  id: z.string().min(1).max(500).describe('Id of the instance, as `/services` has it; percent-encoded.'),
});
const serviceTarget = z.object({ name: z.string().min(1).max(200).describe('Name of the service.') });
const weight = z.number().min(0).max(65_535);
const ended = z.object({ ended: z.boolean() });
const why = { reason, forMs: forMs.optional() };

export function instanceRoutes(kit: Kit): void {
  addRoutes(kit);
  removeRoutes(kit);
  drainRoutes(kit);
  weightRoutes(kit);
}

function addRoutes(kit: Kit): void {
  const { host } = kit;
  operation(
    kit,
    {
      method: 'put',
      path: '/services/{name}/instances',
      tag: 'traffic',
      summary: 'Adds an instance beside those of configuration and discovery; once more changes reason, end and weight',
      // It names a host to which requests go, with all that is in them.
      role: 'admin',
      params: serviceTarget,
      body: z.strictObject({
        url: z.string().min(1).max(2_048).describe('As in the configuration, such as `http://10.0.0.7:4001`.'),
        weight: weight.prefault(1).describe('Share beside other instances; 0 is standby.'),
        zone: z.string().min(1).max(100).optional().describe('Zone that it is in.'),
        ...why,
      }),
      response: override,
      errors: { 404: 'No such service', 409: 'The service has it already, or the configuration does not take it' },
    },
    async ({ params: { name }, body, operator }) => {
      const service = host.configuration.snapshot.services.find((each) => each.name === name);
      if (service === undefined || name.startsWith('builtin:')) throw notThere('service');
      const { url, id } = addressOf(kit, service, body.url);
      if (host.overrides.find('removed', id) !== undefined)
        throw new AdminError(409, 'CONFLICT', `${id} was taken out by hand: put it back`);
      const isOwn = host.overrides.find('added', id) !== undefined;
      if (!isOwn && service.instances.some((each) => each.id === id))
        throw new AdminError(409, 'CONFLICT', `the service has the instance ${id} already`);
      const instance = { service: name, url, weight: body.weight, zone: body.zone ?? null };
      const wish = {
        kind: 'added',
        target: id,
        value: true,
        instance,
        reason: body.reason,
        forMs: body.forMs,
      } as const;
      return setByHand(host, operator.name, wish);
    },
  );
  operation(
    kit,
    {
      method: 'delete',
      path: '/instances/{id}/added',
      tag: 'traffic',
      summary: 'An instance that was added by hand goes again; what is in flight finishes',
      role: 'operator',
      params: target,
      response: ended,
    },
    ({ params, operator }) => endByHand(host, operator.name, { kind: 'added', target: params.id }),
  );
}

/** Throws 400 for what is no address, or none for this service. */
function addressOf({ host }: Kit, { name }: ServiceSettings, text: string) {
  const address = readAddress(text, host.compiled.plan.baseDir);
  const refuse = (expected: string): never => {
    const fields = [{ field: 'url', expected }];
    throw new AdminError(400, 'VALIDATION_ERROR', 'the request is not valid', { fields });
  };
  if (typeof address === 'string') return refuse(`a URL such as http://10.0.0.7:4001: ${address}`);
  if (address.protocol === 'https' && host.listed()[name]?.protocol === 'h2c')
    return refuse('an http URL: the service speaks h2c, which is without TLS');
  return { url: address.url, id: instanceId(name, address) };
}

function removeRoutes(kit: Kit): void {
  const { host } = kit;
  operation(
    kit,
    {
      method: 'put',
      path: '/instances/{id}/removed',
      tag: 'traffic',
      summary: 'Takes an instance out of its service, also over discovery: no requests, no probes',
      role: 'operator',
      params: target,
      body: z.strictObject(why),
      response: override,
      errors: { 404: 'No such instance', 409: 'It is the last one of its service' },
    },
    ({ params: { id }, body, operator }) => {
      const wish = { kind: 'removed', target: id, value: true, ...body } as const;
      const former = host.overrides.find('removed', id)?.instance;
      if (former !== undefined) return setByHand(host, operator.name, { ...wish, instance: former });
      const { service, instance } = findInstance(kit, id);
      // Of two that go at once, the second finds the first gone.
      const left = service.instances.filter((each) => host.overrides.find('removed', each.id) === undefined);
      if (left.length === 1)
        throw new AdminError(
          409,
          'CONFLICT',
          `it is the last instance of ${service.name}: drain it, or add another first`,
        );
      return setByHand(host, operator.name, { ...wish, instance: { service: service.name, url: instance.url } });
    },
  );
  operation(
    kit,
    {
      method: 'delete',
      path: '/instances/{id}/removed',
      tag: 'traffic',
      summary: 'Puts an instance back that was taken out',
      role: 'operator',
      params: target,
      response: ended,
    },
    ({ params, operator }) => endByHand(host, operator.name, { kind: 'removed', target: params.id }),
  );
}

function drainRoutes(kit: Kit): void {
  const { host } = kit;
  operation(
    kit,
    {
      method: 'put',
      path: '/instances/{id}/drain',
      tag: 'traffic',
      summary: 'No new requests for an instance; what is in flight finishes',
      role: 'operator',
      params: target,
      body: z.strictObject(why),
      response: override,
      errors: { 404: 'No such instance', 409: 'Too many overrides' },
    },
    ({ params: { id }, body, operator }) => {
      findInstance(kit, id);
      return setByHand(host, operator.name, { kind: 'drain', target: id, value: true, ...body });
    },
  );
  operation(
    kit,
    {
      method: 'delete',
      path: '/instances/{id}/drain',
      tag: 'traffic',
      summary: 'The instance takes traffic again',
      role: 'operator',
      params: target,
      response: ended,
    },
    ({ params, operator }) => endByHand(host, operator.name, { kind: 'drain', target: params.id }),
  );
}

function weightRoutes(kit: Kit): void {
  const { host } = kit;
  operation(
    kit,
    {
      method: 'put',
      path: '/instances/{id}/weight',
      tag: 'traffic',
      summary: 'Another weight than the configured one; 0 is standby',
      role: 'operator',
      params: target,
      body: z.strictObject({ ...why, weight }),
      response: override,
      errors: { 404: 'No such instance', 409: 'Too many overrides' },
    },
    ({ params: { id }, body: { weight: value, ...rest }, operator }) => {
      findInstance(kit, id);
      return setByHand(host, operator.name, { kind: 'weight', target: id, value, ...rest });
    },
  );
  operation(
    kit,
    {
      method: 'delete',
      path: '/instances/{id}/weight',
      tag: 'traffic',
      summary: 'The configured weight holds again',
      role: 'operator',
      params: target,
      response: ended,
    },
    ({ params, operator }) => endByHand(host, operator.name, { kind: 'weight', target: params.id }),
  );
}

function findInstance({ host }: Kit, id: string): { service: ServiceSettings; instance: InstanceSettings } {
  for (const service of host.configuration.snapshot.services) {
    const instance = service.instances.find((each) => each.id === id);
    if (instance !== undefined) return { service, instance };
  }
  throw notThere('instance');
}
