/**
 * What stays the same from request to request on one connection, made once: the fields that tell the upstream of the
 * client, the part of the access record that names client, route, service, instance and agent, and that of spans. Each
 * remembers what it was made of and is made anew when that changes; comparing is far cheaper than joining eight
 * strings.
 */
import { flat, jsonText } from '../../base/text.ts';
import { type FieldBlock, NO_FIELDS } from '../contract/field-block.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import type { InstanceSettings } from '../contract/snapshot.ts';
import { VIA } from '../parser/field-names.ts';
import { FieldRecorder } from '../parser/field-recorder.ts';
import type { Head } from '../parser/head.ts';
import { clientPart, type TracedClient } from '../trace/span-fields.ts';
import type { Tracer } from '../trace/tracer.ts';
import type { CompiledRoute } from './active-config.ts';
import type { Exchange } from './exchange.ts';
import { writeForwarding } from './forwarding.ts';

const NO_BYTES: Buffer = Buffer.alloc(0);

export class PerConnectionCache {
  readonly #protocol: string;
  #authority: string | null = null;
  #via = '';
  #forwarding: FieldBlock = NO_FIELDS;

  #route: CompiledRoute | null = null;
  #instance: InstanceSettings | null = null;
  #host = '';
  #agent: string | null = null;
  #tail = '';

  #traced: TracedClient | null = null;
  #tracer: Tracer | null = null;
  #client: Buffer = NO_BYTES;

  /** `protocol` by its name in ALPN. */
  constructor(protocol: string) {
    this.#protocol = protocol;
  }

  /** The fields that tell the upstream where the request came from. */
  writeForwarding(out: FieldWriter, exchange: Exchange, head: Head): void {
    const { authority, client, peer } = exchange;
    const { via } = exchange.live.gateway;
    // What a trusted proxy says differs from request to request, and so does a Via.
    if (client !== null || head.find(VIA) >= 0) {
      writeForwarding(out, peer, client, head, authority, via);
      return;
    }
    if (authority !== this.#authority || via !== this.#via) {
      const recorder = new FieldRecorder();
      writeForwarding(recorder, peer, null, head, authority, via);
      this.#authority = authority;
      this.#via = via;
      this.#forwarding = recorder.keptBlock();
    }
    out.fields(this.#forwarding);
  }

  /** `"address":...,"host":...,"route":...` to the end of what is usually the same. */
  recordTail(exchange: Exchange): string {
    const { route, host, address } = exchange;
    const instance = exchange.attempt?.endpoint.settings ?? null;
    const agent = exchange.userAgent();
    if (
      route !== this.#route ||
      instance !== this.#instance ||
      host !== this.#host ||
      agent !== this.#agent ||
      this.#tail === '' ||
      exchange.peer.trusted
    ) {
      this.#route = route;
      this.#instance = instance;
      this.#host = host;
      this.#agent = agent;
      this.#tail = `"address":"${address}","protocol":"${this.#protocol}","host":"${host}","route":${jsonText(exchange.routeId)}`;
      if (exchange.call !== null) this.#tail += `,"service":${jsonText(exchange.call.service.settings.name)}`;
      if (instance !== null) this.#tail += `,"instance":${jsonText(instance.url)}`;
      if (agent !== null) this.#tail += `,"user_agent":${jsonText(agent)}`;
      this.#tail = flat(this.#tail);
    }
    return this.#tail;
  }

  /** Attributes of spans that say who asked, without what the settings of this tracer hide. */
  clientPart(exchange: Exchange, tracer: Tracer): Buffer {
    const { host, address, scheme } = exchange;
    const agent = exchange.userAgent();
    const known = this.#traced;
    if (
      known === null ||
      known.host !== host ||
      known.address !== address ||
      known.agent !== agent ||
      known.scheme !== scheme ||
      tracer !== this.#tracer
    ) {
      this.#traced = { scheme, host, address, protocol: exchange.protocol, agent };
      this.#tracer = tracer;
      this.#client = clientPart({
        ...this.#traced,
        host: tracer.shown(host),
        agent: agent === null ? null : tracer.shown(agent),
      });
    }
    return this.#client;
  }
}
