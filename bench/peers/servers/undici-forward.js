/**
 * node:http in front, undici's `dispatch` behind: the fastest way to proxy with well-known parts of Node. Backpressure
 * and aborts are handled in both directions. The gateway job uses the same function.
 */
import { Pool } from 'undici';
import { forwardable, hasBody, options } from './listen.js';

const pool = new Pool(options.upstream, { connections: 128, pipelining: 1 });

/** Sends the request on with the given fields and relays the answer; `more` is added to the answer's fields. */
export function forward(request, response, headers, more) {
  const body = hasBody(request) ? request : null;
  pool.dispatch({ path: request.url, method: request.method, headers, body }, new Relay(request, response, more));
}

class Relay {
  constructor(request, response, more) {
    this.request = request;
    this.response = response;
    this.more = more;
    this.controller = undefined;
  }

  onRequestStart(controller) {
    this.controller = controller;
    const { response } = this;
    response.on('close', () => {
      if (!response.writableFinished) controller.abort(new Error('downstream closed'));
    });
  }

  onResponseStart(_controller, status, headers) {
    const kept = forwardable(headers);
    this.response.writeHead(status, this.more === undefined ? kept : Object.assign(kept, this.more));
  }

  onResponseData(controller, chunk) {
    if (this.response.write(chunk)) return;
    controller.pause();
    this.response.once('drain', () => controller.resume());
  }

  onResponseEnd() {
    this.response.end();
  }

  onResponseError() {
    if (this.response.headersSent) this.response.destroy();
    else this.response.writeHead(502).end();
  }
}
