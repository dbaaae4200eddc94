/**
 * What the tests of both sides of OAuth share: a service on a real port, and a browser as far as the flows need one.
 */
import { systemClock } from '../../../src/base/clock.ts';
import type { IdentityInput } from '../../../src/control/identity/options.ts';
import { freePort } from '../../support/ports.ts';
import { type Bench, makeBench } from './harness.ts';

/** A browser as far as these flows need one: cookies by path, no redirects followed by itself. */
export class Browser {
  readonly #cookies = new Map<string, { value: string; path: string }>();

  /** The `Cookie` field for an address. */
  cookieFor(url: string | URL): string {
    const { pathname } = new URL(url);
    return [...this.#cookies]
      .filter(([, { path }]) => pathname.startsWith(path))
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ');
  }

  async send(url: string | URL, form?: Record<string, string>, origin?: string): Promise<Response> {
    const target = new URL(url);
    const cookie = this.cookieFor(target);
    const response = await fetch(target, {
      redirect: 'manual',
      headers: { ...(cookie === '' ? {} : { cookie }), ...(origin === undefined ? {} : { origin }) },
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split('; ');
      const at = pair.indexOf('=');
      const path = attributes.find((each) => /^path=/i.test(each))?.slice(5) ?? '/';
      const name = pair.slice(0, at);
      if (pair.slice(at + 1) === '' || attributes.some((each) => /expires=Thu, 01 Jan 1970/i.test(each)))
        this.#cookies.delete(name);
      else this.#cookies.set(name, { value: pair.slice(at + 1), path });
    }
    return response;
  }

  /** Follows redirects until something else than one, or until an address begins with `stop`. */
  async follow(url: string | URL, stop: string): Promise<{ url: URL; response: Response | undefined }> {
    let next = new URL(url);
    for (let hops = 0; hops < 15; hops++) {
      if (next.href.startsWith(stop)) return { url: next, response: undefined };
      const response = await this.send(next);
      const location = response.headers.get('location');
      if (location === null) return { url: next, response };
      await response.body?.cancel();
      next = new URL(location, next);
    }
    throw new Error('too many redirects');
  }
}

export async function served(input: IdentityInput): Promise<{ bench: Bench; url: string }> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const bench = await makeBench({ publicUrl: url, ...input }, { clock: systemClock as never });
  await bench.identity.start({ host: '127.0.0.1', port });
  return { bench, url };
}
