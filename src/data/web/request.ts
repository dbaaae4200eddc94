/**
 * The web's `Request` as handlers get it: what is asked for is read from the exchange then, and a body that is read
 * whole needs no stream. The runtime's own is made of it when something is asked for that only that can do.
 */
import { type FieldSource, WebFields } from './fields.ts';

/** Where a request comes from: what is read here is there until the exchange is over. */
export interface RequestOrigin {
  readonly method: string;
  readonly hasBody: boolean;
  readonly signal: AbortSignal;
  /** As the client wrote it. */
  url(): string;
  fields(): FieldSource;
  /** Once, or `stream`: the body whole. */
  gather(): Promise<Buffer>;
  /** Once, or `gather`: the body as it comes. */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>>;
}

const BYTE_ORDER_MARK = '\ufeff';

let Native = null as unknown as typeof Request;

export class WebRequest {
  readonly method: string;
  readonly #origin: RequestOrigin;
  readonly #fields: WebFields;
  #written = '';
  #url = '';
  #isUsed = false;
  /** Reads the body in place of the above. */
  #native: Request | null = null;

  constructor(origin: RequestOrigin) {
    this.method = origin.method;
    this.#origin = origin;
    this.#fields = new WebFields(origin);
  }

  /** The runtime's own behind it. */
  static become(native: typeof Request): void {
    Native = native;
    Object.setPrototypeOf(WebRequest.prototype, native.prototype);
  }

  /** The runtime's own of whatever is given, for what takes only that. */
  static nativeOf<T>(input: T | WebRequest): T | Request {
    return typeof input === 'object' && input !== null && #native in input ? input.#own : (input as T);
  }

  /** The exchange is over: what may be asked for later is read now, since its memory is used again. */
  detach(): void {
    if (this.#written === '') this.#written = this.#origin.url();
    this.#fields.load();
  }

  get #own(): Request {
    if (this.#native !== null) return this.#native;
    const { method, url } = this;
    const headers = [...this.#fields];
    const signal = this.#origin.signal;
    if (!this.#origin.hasBody) this.#native = new Native(url, { method, headers, signal });
    else {
      // What was read is not there any more.
      const body = this.#isUsed ? '' : this.#origin.stream();
      this.#native = new Native(url, { method, headers, signal, body, duplex: 'half' } as RequestInit);
      if (this.#isUsed) void this.#native.body?.getReader().cancel();
    }
    return this.#native;
  }

  // --- Request ---------------------------------------------------------------------------------------------------

  get url(): string {
    if (this.#url === '') this.#url = new URL(this.#written === '' ? this.#origin.url() : this.#written).href;
    return this.#url;
  }

  get headers(): Headers {
    return this.#fields as unknown as Headers;
  }

  get signal(): AbortSignal {
    return this.#origin.signal;
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.#origin.hasBody ? (this.#own.body as ReadableStream<Uint8Array<ArrayBuffer>>) : null;
  }

  get bodyUsed(): boolean {
    return this.#native?.bodyUsed ?? this.#isUsed;
  }

  get duplex(): string {
    return 'half';
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#native !== null) return new Uint8Array(await this.#native.arrayBuffer());
    return new Uint8Array(await this.#whole());
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).buffer;
  }

  async text(): Promise<string> {
    if (this.#native !== null) return this.#native.text();
    const bytes = await this.#whole();
    const text = bytes.toString('utf8');
    return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  #whole(): Promise<Buffer> {
    if (this.#isUsed) throw new TypeError('Body is unusable: Body has already been read');
    if (!this.#origin.hasBody) return NO_BYTES;
    this.#isUsed = true;
    return this.#origin.gather();
  }

  blob(): Promise<Blob> {
    return this.#own.blob();
  }

  formData(): Promise<FormData> {
    return this.#own.formData() as Promise<FormData>;
  }

  clone(): Request {
    return this.#own.clone() as Request;
  }

  get cache(): Request['cache'] {
    return 'default';
  }

  get credentials(): Request['credentials'] {
    return 'same-origin';
  }

  get destination(): Request['destination'] {
    return '';
  }

  get integrity(): string {
    return '';
  }

  get keepalive(): boolean {
    return false;
  }

  get mode(): Request['mode'] {
    return 'cors';
  }

  get redirect(): Request['redirect'] {
    return 'follow';
  }

  get referrer(): string {
    return 'about:client';
  }

  get referrerPolicy(): Request['referrerPolicy'] {
    return '';
  }
}

const NO_BYTES = Promise.resolve(Buffer.alloc(0));
