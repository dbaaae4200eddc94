/**
 * One request with the whole answer in memory, for the checks before a timing. It is node:http, which knows nothing
 * of the code it judges.
 */
import http from 'node:http';
import https from 'node:https';

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface RequestOptions {
  readonly port: number;
  readonly tls: boolean;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly upload?: Buffer;
}

/** Rejects when no whole answer came within ten seconds. */
export function request(options: RequestOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = (options.tls ? https : http).request({
      host: '127.0.0.1',
      port: options.port,
      path: options.path,
      method: options.upload === undefined ? 'GET' : 'POST',
      headers: {
        ...options.headers,
        ...(options.upload === undefined ? {} : { 'content-length': String(options.upload.length) }),
      },
      agent: false,
      // The certificate is made for the run and signed by itself.
      rejectUnauthorized: false,
      signal: AbortSignal.timeout(10_000),
    });
    call.once('error', reject);
    call.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    call.end(options.upload);
  });
}
