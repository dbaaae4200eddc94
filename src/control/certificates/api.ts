/**
 * The API of certificates from an authority, for operators, below `/features/certificates` of the admin API:
 *
 *   GET  /               what each name has, and why one has none
 *   POST /{name}/order   orders it now, whatever is left of the one there is and of the wait after a failure; 202, since
 *                        an order may take minutes. `ordering` of GET says when it is over
 */
import type { ErrorFormat } from '../../base/error-body.ts';
import { refusalResponse } from '../refusal-response.ts';
import type { CertificateManager } from './manager.ts';

/** `manager` gives undefined while the storage of certificates cannot be opened. */
export function certificatesApi(
  manager: () => CertificateManager | undefined,
  errorFormat: () => ErrorFormat,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname } = new URL(request.url);
    const no = (status: number, code: string, message: string): Response =>
      refusalResponse(request, { status, code, message }, errorFormat());
    const running = manager();
    if (running === undefined)
      return no(503, 'SERVICE_UNAVAILABLE', 'the storage of certificates cannot be opened, see the log');
    if (pathname === '/' && request.method === 'GET') return Response.json({ certificates: running.report() });
    const ordered = request.method === 'POST' ? /^\/([^/]+)\/order$/.exec(pathname)?.[1] : undefined;
    if (ordered === undefined)
      return no(404, 'RESOURCE_NOT_FOUND', 'there are GET /certificates and POST /certificates/{name}/order');
    const name = decoded(ordered);
    if (!running.orderNow(name))
      return no(404, 'RESOURCE_NOT_FOUND', `no listener with tls: auto has ${JSON.stringify(name)}`);
    return Response.json({ name, ordering: true }, { status: 202 });
  };
}

/** As it came where it is not encoded well: there is no such name then. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text).toLowerCase();
  } catch {
    return text;
  }
}
