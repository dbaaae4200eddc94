/**
 * What stays the same from request to request on one connection, made once: the fields that tell the upstream of the
 * client, the part of the access record that names client, route, service, instance and agent, and that of spans. Each
 * remembers what it was made of and is made anew when that changes; comparing is far cheaper than joining eight
 * strings. Connections of one address share what was made last for any of them: a client that opens one for each
 * request is mostly the same client.
 */
import { flat, jsonText } from '../../base/text.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { FieldWriter } from '../contract/field-writer.ts';
import type { InstanceSettings } from '../contract/snapshot.ts';
import { VIA } from '../parser/field-names.ts';
import { FieldRecorder } from '../parser/field-recorder.ts';
import type { Head } from '../parser/head.ts';
import { clientPart, type TracedClient } from '../trace/span-fields.ts';
import type { Tracer } from '../trace/tracer.ts';
import type { Source } from '../wire/sources.ts';
import type { CompiledRoute } from './active-config.ts';
import type { Exchange } from './exchange.ts';
import { writeForwarding } from './forwarding.ts';

/** The fields, and what they were made of. */
interface Forwarding {
  readonly address: string;
  readonly isSecure: boolean;
  readonly authority: string;
  readonly via: string;
  readonly minor: number;
  readonly fields: FieldBlock;
}

/** The part of the access record, and what it was made of. */
interface Tail {
  readonly address: string;
  readonly protocol: string;
  readonly route: CompiledRoute | null;
  readonly instance: InstanceSettings | null;
  readonly host: string;
  readonly agent: string | null;
  readonly text: string;
}

/** Attributes of spans, and what they were made of. */
interface Client {
  readonly traced: TracedClient;
  readonly tracer: Tracer;
  readonly part: Buffer;
}

/** What was made last for any connection of an address. */
class LastOfAddress {
  forwarding: Forwarding | null = null;
  tail: Tail | null = null;
  client: Client | null = null;
}

export class PerConnectionCache {
  readonly #protocol: string;
  readonly #source: Source | null;
  #forwarding: Forwarding | null = null;
  #tail: Tail | null = null;
  #client: Client | null = null;

  /** `protocol` by its name in ALPN. `source`: null for a trusted proxy, whose requests are of many clients. */
  constructor(protocol: string, source: Source | null) {
    this.#protocol = protocol;
    this.#source = source;
  }

  get #shared(): LastOfAddress | null {
    const source = this.#source;
    if (source === null) return null;
    if (source.made instanceof LastOfAddress) return source.made;
    const shared = new LastOfAddress();
    source.made = shared;
    return shared;
  }

  /** The fields that tell the upstream where the request came from. */
  writeForwarding(out: FieldWriter, exchange: Exchange, head: Head): void {
    const { client, peer } = exchange;
    // What a trusted proxy says differs from request to request, and so does a Via.
    if (client !== null || head.find(VIA) >= 0) {
      writeForwarding(out, peer, client, head, exchange.authority, exchange.live.gateway.via);
      return;
    }
    if (!isForwardingOf(this.#forwarding, exchange, head)) {
      const shared = this.#shared;
      const known = shared === null ? null : shared.forwarding;
      this.#forwarding = isForwardingOf(known, exchange, head) ? known : forwardingOf(exchange, head);
      if (shared !== null) shared.forwarding = this.#forwarding;
    }
    out.fields(this.#forwarding!.fields);
  }

  /** `"address":...,"host":...,"route":...` to the end of what is usually the same. */
  recordTail(exchange: Exchange): string {
    const protocol = this.#protocol;
    if (!isTailOf(this.#tail, exchange, protocol)) {
      const shared = this.#shared;
      const known = shared === null ? null : shared.tail;
      this.#tail = isTailOf(known, exchange, protocol) ? known : tailOf(exchange, protocol);
      if (shared !== null) shared.tail = this.#tail;
    }
    return this.#tail!.text;
  }

  /** Attributes of spans that say who asked, without what the settings of this tracer hide. */
  clientPart(exchange: Exchange, tracer: Tracer): Buffer {
    if (!isClientOf(this.#client, exchange, tracer)) {
      const shared = this.#shared;
      const known = shared === null ? null : shared.client;
      this.#client = isClientOf(known, exchange, tracer) ? known : clientOf(exchange, tracer);
      if (shared !== null) shared.client = this.#client;
    }
    return this.#client!.part;
  }
}

function isClientOf(known: Client | null, exchange: Exchange, tracer: Tracer): boolean {
  if (known === null || known.tracer !== tracer) return false;
  const { traced } = known;
  return (
    traced.host === exchange.host &&
    traced.address === exchange.address &&
    traced.agent === exchange.userAgent() &&
    traced.scheme === exchange.scheme &&
    traced.protocol === exchange.protocol
  );
}

function clientOf(exchange: Exchange, tracer: Tracer): Client {
  const { host, address, scheme, protocol } = exchange;
  const agent = exchange.userAgent();
  const traced = { scheme, host, address, protocol, agent };
  const part = clientPart({
    ...traced,
    host: tracer.shown(host),
    agent: agent === null ? null : tracer.shown(agent),
  });
  return { traced, tracer, part };
}

function isForwardingOf(known: Forwarding | null, { authority, peer, live }: Exchange, head: Head): boolean {
  return (
    known !== null &&
    known.authority === authority &&
    known.via === live.gateway.via &&
    known.minor === head.minor &&
    known.address === peer.address &&
    known.isSecure === peer.secure
  );
}

function forwardingOf({ authority, peer, live }: Exchange, head: Head): Forwarding {
  const { via } = live.gateway;
  const recorder = new FieldRecorder();
  writeForwarding(recorder, peer, null, head, authority, via);
  const { address, secure: isSecure } = peer;
  return { address, isSecure, authority, via, minor: head.minor, fields: recorder.keptBlock() };
}

function isTailOf(known: Tail | null, exchange: Exchange, protocol: string): boolean {
  return (
    known !== null &&
    known.route === exchange.route &&
    known.instance === (exchange.attempt?.endpoint.settings ?? null) &&
    known.host === exchange.host &&
    known.agent === exchange.userAgent() &&
    known.address === exchange.address &&
    known.protocol === protocol
  );
}

function tailOf(exchange: Exchange, protocol: string): Tail {
  const { route, host, address } = exchange;
  const instance = exchange.attempt?.endpoint.settings ?? null;
  const agent = exchange.userAgent();
  let text = `"address":"${address}","protocol":"${protocol}","host":"${host}","route":${jsonText(exchange.routeId)}`;
  if (exchange.call !== null) text += `,"service":${jsonText(exchange.call.service.settings.name)}`;
  if (instance !== null) text += `,"instance":${jsonText(instance.url)}`;
  if (agent !== null) text += `,"user_agent":${jsonText(agent)}`;
  return { address, protocol, route, instance, host, agent, text: flat(text) };
}
