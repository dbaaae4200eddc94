/**
 * The web's `Response` as handlers make it. The runtime's own makes a stream of every body and an object of every
 * field, which costs more than the rest of a request; so this one keeps status, fields and a body that is there at once
 * as they are, and makes the runtime's own of them when something is asked for that only that can do. Whatever is not
 * plainly right goes to the runtime's own at once, so errors are its errors, too.
 */

import { WebFields } from './fields.ts';
import { ServiceBody } from './service-body.ts';

/** A body that needs no stream: one that is there at once, or that of a service. */
export type PlainBody = string | Uint8Array<ArrayBuffer> | ServiceBody | null;

export interface PlainResponse {
  readonly status: number;
  readonly fields: WebFields;
  readonly body: PlainBody;
}

type BodyInit = NonNullable<ConstructorParameters<typeof Response>[0]>;

const TEXT = 'text/plain;charset=UTF-8';
const JSON_TYPE = 'application/json';
const BYTE_ORDER_MARK = '\ufeff';

const isInstance = Function.prototype[Symbol.hasInstance];

let Native = null as unknown as typeof Response;

export class WebResponse {
  #body: PlainBody = null;
  #status = 200;
  #fields: WebFields | null = null;
  #isUsed = false;
  /** In place of all of the above. */
  #native: Response | null = null;

  constructor(body: BodyInit | null = null, init?: ResponseInit) {
    if (!this.#takes(body, init)) this.#native = new Native(body, init);
  }

  /** That of a service. */
  static of(status: number, fields: WebFields, body: ServiceBody | null): Response {
    const response = new WebResponse();
    response.#status = status;
    response.#fields = fields;
    response.#body = body;
    return response as unknown as Response;
  }

  /** The runtime's own behind it; its objects and these are each other's instances. */
  static become(native: typeof Response): void {
    Native = native;
    Object.setPrototypeOf(WebResponse, native);
    Object.setPrototypeOf(WebResponse.prototype, native.prototype);
    Object.defineProperty(WebResponse, 'name', { value: 'Response' });
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    // A class of a user's that extends this one has instances of its own.
    // biome-ignore lint/complexity/noThisInStatic: it is that class
    const asked = this as unknown;
    return asked === WebResponse ? value instanceof Native : isInstance.call(asked, value);
  }

  static json(data: unknown, init?: ResponseInit): Response {
    const text = JSON.stringify(data);
    if (text === undefined) throw new TypeError('the data is no JSON');
    const headers = WebFields.of(init?.headers);
    if (!headers.has('content-type')) headers.append('content-type', JSON_TYPE);
    const { status = 200, statusText = '' } = init ?? {};
    const own = new WebResponse(text, { status, statusText, headers: headers as unknown as Headers });
    return own as unknown as Response;
  }

  /** Of a body that has been neither read nor asked for; null: only the runtime's own way leads to it. */
  static plain(value: unknown): PlainResponse | null {
    if (typeof value !== 'object' || value === null || !(#native in value) || value.#native !== null || value.#isUsed)
      return null;
    const { status } = value;
    return { status, fields: value.#ownFields, body: value.#body };
  }

  /** False: it is left to the runtime's own. */
  #takes(body: unknown, init: ResponseInit | undefined): boolean {
    if (body !== null && typeof body !== 'string' && !(body instanceof Uint8Array)) return false;
    if (init !== undefined) {
      if (typeof init !== 'object' || init === null) return false;
      const { status, statusText, headers } = init;
      if (statusText !== undefined && statusText !== '') return false;
      if (status !== undefined) {
        if (!Number.isInteger(status) || status < 200 || status > 599) return false;
        if (body !== null && (status === 204 || status === 205 || status === 304)) return false;
        this.#status = status;
      }
      if (headers !== undefined) this.#fields = WebFields.of(headers);
    }
    if (body instanceof Uint8Array) this.#body = new Uint8Array(body);
    else if (typeof body === 'string') {
      this.#body = body;
      if (this.#fields?.has('content-type') === false) this.#fields.append('content-type', TEXT);
    }
    return true;
  }

  get #ownFields(): WebFields {
    if (this.#fields !== null) return this.#fields;
    const fields = new WebFields();
    if (typeof this.#body === 'string') fields.append('content-type', TEXT);
    this.#fields = fields;
    return fields;
  }

  get #own(): Response {
    if (this.#native !== null) return this.#native;
    const headers = [...this.#ownFields];
    const native = new Native(this.#nativeBody(), { status: this.#status, headers });
    if (this.#isUsed) void native.body?.getReader().cancel();
    this.#native = native;
    return native;
  }

  #nativeBody(): BodyInit | null {
    const body = this.#body;
    // What was read is not there any more.
    if (this.#isUsed) return new Uint8Array(0);
    if (body instanceof ServiceBody) return body.stream();
    // As bytes, of which the runtime does not say that they are text.
    return typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
  }

  // --- Response --------------------------------------------------------------------------------------------------

  get status(): number {
    return this.#native?.status ?? this.#status;
  }

  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  get statusText(): string {
    return this.#native?.statusText ?? '';
  }

  get type(): Response['type'] {
    return this.#native?.type ?? 'default';
  }

  get url(): string {
    return this.#native?.url ?? '';
  }

  get redirected(): boolean {
    return this.#native?.redirected ?? false;
  }

  /** Stays the same object, also when the runtime's own stands behind the rest. */
  get headers(): Headers {
    if (this.#fields !== null || this.#native === null) return this.#ownFields as unknown as Headers;
    return this.#native.headers;
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.#own.body as ReadableStream<Uint8Array<ArrayBuffer>> | null;
  }

  get bodyUsed(): boolean {
    return this.#native?.bodyUsed ?? this.#isUsed;
  }

  clone(): Response {
    return this.#own.clone();
  }

  async text(): Promise<string> {
    if (this.#native !== null) return this.#native.text();
    const body = this.#use();
    if (body === null) return '';
    const text =
      typeof body === 'string'
        ? body.toWellFormed()
        : (body instanceof ServiceBody ? await body.gather() : Buffer.from(body.buffer)).toString('utf8');
    return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
  }

  async json(): Promise<unknown> {
    if (this.#native !== null) return this.#native.json();
    return JSON.parse(await this.text());
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#native !== null) return new Uint8Array(await this.#native.arrayBuffer());
    const body = this.#use();
    if (body === null) return new Uint8Array(0);
    if (body instanceof ServiceBody) return new Uint8Array(await body.gather());
    return typeof body === 'string' ? new Uint8Array(Buffer.from(body, 'utf8')) : body;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).buffer;
  }

  blob(): Promise<Blob> {
    return this.#own.blob();
  }

  formData(): Promise<FormData> {
    return this.#own.formData() as Promise<FormData>;
  }

  #use(): PlainBody {
    if (this.#isUsed) throw new TypeError('Body is unusable: Body has already been read');
    this.#isUsed = this.#body !== null;
    return this.#body;
  }
}
