/**
 * Puts the classes of this folder in the place of the runtime's `Request`, `Response` and `fetch`, once in a thread and
 * before a handler is loaded, so that what handlers make is cheap and what they are given is taken everywhere.
 */
import { WebFields } from './fields.ts';
import { WebRequest } from './request.ts';
import { WebResponse } from './response.ts';

const isInstance = Function.prototype[Symbol.hasInstance];
let isDone = false;

export function useOwnWebClasses(): void {
  if (isDone) return;
  isDone = true;
  const { Headers: NativeHeaders, Request: NativeRequest, Response: NativeResponse, fetch: nativeFetch } = globalThis;
  WebFields.become(NativeHeaders);
  WebRequest.become(NativeRequest);
  WebResponse.become(NativeResponse);

  class OwnRequest extends NativeRequest {
    constructor(input: string | URL | Request, init?: RequestInit) {
      super(WebRequest.nativeOf(input) as string | URL | Request, init);
    }

    static override [Symbol.hasInstance](value: unknown): boolean {
      // biome-ignore lint/complexity/noThisInStatic: a class of a user's that extends this one
      const asked = this as unknown;
      return asked === OwnRequest ? value instanceof NativeRequest : isInstance.call(asked, value);
    }
  }

  const ownFetch: typeof fetch = (input, init) =>
    nativeFetch(WebRequest.nativeOf(input) as Parameters<typeof fetch>[0], init);
  put('Request', OwnRequest);
  put('Response', WebResponse);
  put('fetch', ownFetch);
}

function put(name: string, value: object): void {
  Object.defineProperty(value, 'name', { value: name });
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}
