/** Why the cluster does not do what was asked of it, as a value that the API answers with and a program can read. */
import type { FieldError } from '../../base/error-body.ts';

export type RefusalStatus = 400 | 401 | 403 | 404 | 409 | 412 | 413 | 422 | 429 | 503;

export class ClusterRefusal extends Error {
  readonly status: RefusalStatus;
  readonly code: string;
  readonly fields: readonly FieldError[];

  constructor(status: RefusalStatus, code: string, message: string, fields: readonly FieldError[] = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

export function notFound(what: string, id: string): ClusterRefusal {
  return new ClusterRefusal(404, 'RESOURCE_NOT_FOUND', `there is no ${what} ${JSON.stringify(id.slice(0, 100))}`);
}

export function conflict(code: string, message: string): ClusterRefusal {
  return new ClusterRefusal(409, code, message);
}
