/**
 * What a response says of its own service's URLs, in the client's words: `Location`, `Content-Location` (RFC 9110
 * §10.2.2, §8.7), `Refresh` and the `Path` and `Domain` of cookies. A service behind `stripPrefix`, a prefix of its
 * instances or another `Host` knows itself by other paths and hosts than its clients do.
 *
 * URLs at a host of the service become paths, which a client takes from where it asked: no scheme, port or name that a
 * proxy in front has changed can be wrong in them. Paths lose what was put before them on the way there, and get back
 * what was taken off, unless they begin with it: a service that heeds `X-Forwarded-Prefix` has done it itself. What
 * points elsewhere, and relative references, stay as they are.
 */
import { spellPrefix } from '../contract/route-pattern.ts';
import type { InstanceSettings, ResponseRewriteSettings, RouteSettings } from '../contract/snapshot.ts';
import type { Head } from '../parser/head.ts';
import { hasPrefix, strippedPrefixOf } from '../router/path-prefix.ts';
import type { UpstreamService } from './attempt.ts';
import type { Exchange } from './exchange.ts';
import { authorityOf } from './forwarding.ts';

const NOTHING_MORE: ResponseRewriteSettings = { paths: [], hosts: [] };

export class ResponseReferences {
  readonly #services: readonly UpstreamService[];
  /** Names that the service uses for itself, besides the addresses of its instances. */
  readonly #hosts: ReadonlySet<string>;
  readonly #paths: readonly (readonly [from: string, to: string])[];
  readonly #stripped: string;
  readonly #added: string;
  /** The path was another one altogether, so nothing follows from it about the paths of responses. */
  readonly #isReplaced: boolean;

  /** Null where nothing is to be put right: not a service that speaks HTTP, or `rewrite.response: off`. */
  static of(
    { action, rewrite, transcode }: RouteSettings,
    known: ReadonlyMap<string, UpstreamService>,
  ): ResponseReferences | null {
    if (action.kind !== 'service' || transcode !== undefined || rewrite?.response === null) return null;
    const services = action.targets.flatMap(({ service }) => known.get(service) ?? []);
    if (services.some(({ settings }) => settings.protocol === 'grpc')) return null;
    return new ResponseReferences(rewrite, services);
  }

  private constructor(rewrite: RouteSettings['rewrite'], services: readonly UpstreamService[]) {
    const { paths, hosts } = rewrite?.response ?? NOTHING_MORE;
    this.#services = services;
    const fixed = services.flatMap(({ settings: { host } }) => (typeof host === 'object' ? [host.fixed] : []));
    const own = rewrite?.host ?? null;
    this.#hosts = new Set([...hosts, ...fixed, ...(own === null ? [] : [own])].map(plainAuthority));
    this.#paths = [...paths].sort(([a], [b]) => b.length - a.length);
    this.#isReplaced = rewrite !== null && (rewrite.path !== null || rewrite.regex !== null);
    this.#stripped = strippedPrefixOf(rewrite);
    this.#added = spellPrefix(rewrite?.addPrefix ?? '');
  }

  /** `head`: of the service. */
  putRight(exchange: Exchange, head: Head): void {
    const { status } = head;
    if (status === 201 || (status >= 300 && status < 400)) this.#setUrl(exchange, head, 'location');
    if (!this.#changesPaths(exchange) && this.#hosts.size === 0 && !this.#asksByInstance(exchange)) return;
    this.#setUrl(exchange, head, 'content-location');
    const refresh = head.valueOf('refresh');
    if (refresh !== null) this.#setRefresh(exchange, refresh);
    if (head.valueOf('set-cookie') !== null) this.#setCookies(exchange, head);
  }

  #setUrl(exchange: Exchange, head: Head, name: 'location' | 'content-location'): void {
    const url = head.valueOf(name);
    const changed = url === null ? null : this.#changed(exchange, url);
    if (changed !== null) exchange.setResponseHeader(name === 'location' ? 'Location' : 'Content-Location', changed);
  }

  /** `5; url=/next`: its form is that of browsers (HTML Standard §4.2.5.3). */
  #setRefresh(exchange: Exchange, value: string): void {
    const before = /^[\d.]+\s*[;,]\s*(?:url\s*=\s*)?/i.exec(value)?.[0];
    if (before === undefined) return;
    const rest = value.slice(before.length);
    const quote = /^(["']).*\1$/.exec(rest)?.[1] ?? '';
    const changed = this.#changed(exchange, rest.slice(quote.length, rest.length - quote.length));
    if (changed !== null) exchange.setResponseHeader('Refresh', `${before}${quote}${changed}${quote}`);
  }

  #setCookies(exchange: Exchange, head: Head): void {
    const cookies: string[] = [];
    let differ = false;
    for (let i = 0; i < head.count; i++) {
      if (head.name(i).toLowerCase() !== 'set-cookie') continue;
      const cookie = head.value(i);
      const changed = this.#cookie(exchange, cookie);
      differ ||= changed !== cookie;
      cookies.push(changed);
    }
    if (differ) exchange.replaceResponseHeader('Set-Cookie', cookies);
  }

  #cookie(exchange: Exchange, cookie: string): string {
    const kept: string[] = [];
    for (const part of cookie.split(';')) {
      const equals = Math.max(0, part.indexOf('='));
      const name = part.slice(0, equals).trim();
      const value = part.slice(equals + 1).trim();
      if (kept.length === 0 || !/^(?:path|domain)$/i.test(name)) kept.push(part);
      else if (name.length === 4)
        kept.push(value.startsWith('/') ? ` ${name}=${this.#cookiePath(exchange, value)}` : part);
      // A browser takes no cookie for a host that it did not ask; without the attribute it is the host's that it asked.
      else if (!this.#isOwnDomain(exchange, value)) kept.push(part);
    }
    return kept.join(';');
  }

  /** A cookie for all paths comes back to the service as it is, and may be meant for others too. */
  #cookiePath(exchange: Exchange, path: string): string {
    return path === '/' && !this.#paths.some(([from]) => from === '') ? path : this.#clientPath(exchange, path);
  }

  #isOwnDomain(exchange: Exchange, value: string): boolean {
    const domain = value.toLowerCase().replace(/^\./, '');
    const covers = (host: string): boolean => host === domain || host.endsWith(`.${domain}`);
    return !covers(hostOf(plainAuthority(exchange.authority))) && this.#knowsItselfAs((own) => covers(hostOf(own)));
  }

  /** Null: it stays. */
  #changed(exchange: Exchange, url: string): string | null {
    const [, scheme = '', host, rest = ''] = /^(https?:)?\/\/([^/?#]*)(.*)$/i.exec(url) ?? [];
    if (host === undefined) {
      if (!url.startsWith('/')) return null;
      const path = this.#clientPath(exchange, url);
      return path === url || isHostToBrowsers(path) ? null : path;
    }
    const authority = plainAuthority(host);
    const path = this.#clientPath(exchange, rest.startsWith('/') ? rest : `/${rest}`);
    if (authority === plainAuthority(exchange.authority)) return path === rest ? null : `${scheme}//${host}${path}`;
    if (isHostToBrowsers(path) || !this.#knowsItselfAs((own) => own === authority)) return null;
    return path;
  }

  #knowsItselfAs(fits: (authority: string) => boolean): boolean {
    for (const host of this.#hosts) if (fits(host)) return true;
    const byInstance = ({ settings }: UpstreamService): boolean =>
      settings.instances.some((instance) => fits(plainAuthority(authorityOf(instance))));
    return this.#services.some(byInstance);
  }

  #clientPath(exchange: Exchange, path: string): string {
    for (const [from, to] of this.#paths) if (hasPrefix(path, from)) return to + path.slice(from.length) || '/';
    if (exchange.isTargetChanged || this.#isReplaced) return path;
    const stripped = this.#strippedFrom(exchange);
    const inFront = (this.#instance(exchange)?.basePath ?? '') + this.#added;
    if (inFront !== '') return hasPrefix(path, inFront) ? stripped + path.slice(inFront.length) || '/' : path;
    return stripped === '' || hasPrefix(path, stripped) ? path : stripped + path;
  }

  #strippedFrom(exchange: Exchange): string {
    return this.#stripped !== '' && hasPrefix(exchange.target.path, this.#stripped) ? this.#stripped : '';
  }

  #changesPaths(exchange: Exchange): boolean {
    return (
      this.#paths.length > 0 ||
      this.#stripped !== '' ||
      this.#added !== '' ||
      (this.#instance(exchange)?.basePath ?? '') !== ''
    );
  }

  #asksByInstance(exchange: Exchange): boolean {
    const service = exchange.call?.service ?? this.#services[0];
    return service?.settings.host === 'instance';
  }

  /** The one that has responded; of a stored response any. */
  #instance(exchange: Exchange): InstanceSettings | null {
    return exchange.attempt?.endpoint.settings ?? this.#services[0]?.settings.instances[0] ?? null;
  }
}

/**
 * A path that begins with two slashes, or with what browsers take for one, would be a host. They take tabs off first
 * (URL Standard §4.4).
 */
function isHostToBrowsers(path: string): boolean {
  return /^\t*\/\t*[/\\]/.test(path);
}

/** In lower case, without the port of a scheme. */
function plainAuthority(authority: string): string {
  return authority.toLowerCase().replace(/:(?:80|443)$/, '');
}

function hostOf(authority: string): string {
  return authority.replace(/:\d+$/, '');
}
