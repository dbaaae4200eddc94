/**
 * Texts that stay the same from request to request on one connection, made once: what the upstream is told of the
 * caller, and the part of the access record that names caller, route, service, instance and agent. Each remembers what
 * it was made of and is made anew when that changes; comparing is far cheaper than joining eight strings.
 */
import { flat, jsonText } from '../../base/text.ts';
import type { CompiledRoute } from '../config/active-config.ts';
import type { InstanceSettings } from '../contract/snapshot.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { forwardingLines } from '../exchange/forwarding.ts';
import { VIA } from '../parser/field-names.ts';
import type { Head } from '../parser/head.ts';

export class PerConnectionCache {
  #authority: string | null = null;
  #via = '';
  #forwarding = '';

  #route: CompiledRoute | null = null;
  #instance: InstanceSettings | null = null;
  #host = '';
  #agent: string | null = null;
  #tail = '';

  /** Field lines that tell the upstream where the request came from. */
  forwarding(exchange: Exchange, head: Head): string {
    const { authority, peer } = exchange;
    const { via } = exchange.live.gateway;
    // What a trusted proxy says differs from request to request, and so does a Via.
    if (peer.trusted || head.find(VIA) >= 0) return forwardingLines(peer, head, authority, via);
    if (authority !== this.#authority || via !== this.#via) {
      this.#authority = authority;
      this.#via = via;
      this.#forwarding = flat(forwardingLines(peer, head, authority, via));
    }
    return this.#forwarding;
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
      this.#tail = `"address":"${address}","host":"${host}","route":${jsonText(exchange.routeId)}`;
      if (exchange.service !== null) this.#tail += `,"service":${jsonText(exchange.service.settings.name)}`;
      if (instance !== null) this.#tail += `,"instance":${jsonText(instance.url)}`;
      if (agent !== null) this.#tail += `,"user_agent":${jsonText(agent)}`;
      this.#tail = flat(this.#tail);
    }
    return this.#tail;
  }
}
