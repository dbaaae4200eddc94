/** A request of a worker's call: what it asks, and responses in the gateway's shape. */
import { randomUUID } from 'node:crypto';
import { errorBody } from '../../../base/error-body.ts';
import type { OpenedChannel } from '../../../data/contract/channel-link.ts';
import type { ChannelCall } from '../../../data/contract/events.ts';
import type { ErrorFormat } from '../../../data/contract/snapshot.ts';
import type { Refusal } from '../http.ts';
import type { Channel } from './channel.ts';

export class ChannelRequest {
  readonly channel: Channel;
  readonly call: ChannelCall;
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly isUpgrade: boolean;
  /** Whole. */
  readonly body: Buffer;

  constructor(channel: Channel, opened: OpenedChannel, body: Buffer) {
    this.channel = channel;
    this.call = opened.channel;
    this.method = opened.method;
    this.url = opened.url;
    this.headers = opened.headers;
    this.isUpgrade = opened.isUpgrade;
    this.body = body;
  }

  get path(): string {
    const query = this.url.indexOf('?');
    return query < 0 ? this.url : this.url.slice(0, query);
  }

  get query(): URLSearchParams {
    const query = this.url.indexOf('?');
    return new URLSearchParams(query < 0 ? '' : this.url.slice(query + 1));
  }

  sendJson(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
    const type = { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' };
    this.channel.reply(status, { ...type, ...headers }, JSON.stringify(body));
  }

  refuse(refusal: Refusal, format: ErrorFormat): void {
    const { contentType, body } = errorBody(refusal, {
      format,
      accept: this.headers['accept'],
      requestId: this.headers['x-request-id'] ?? randomUUID(),
      path: this.path,
      wallMs: Date.now(),
    });
    const headers = { 'Content-Type': contentType, 'Cache-Control': 'no-store', ...refusal.headers };
    this.channel.reply(refusal.status, headers, body);
  }
}
