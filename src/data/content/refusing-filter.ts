/** Stands where a response must not pass: its head is held, and the first byte of its body, or its end, is a fault. */
import type { Fault } from '../../base/errors.ts';
import type { BodyFilter, BodyOutput } from '../contract/body-access.ts';

export class RefusingFilter implements BodyFilter {
  readonly #fault: Fault;
  #out: BodyOutput | null = null;

  constructor(fault: Fault) {
    this.#fault = fault;
  }

  attach(out: BodyOutput): void {
    this.#out = out;
  }

  write(): boolean {
    this.end();
    return true;
  }

  flush(): void {}

  end(): void {
    const out = this.#out;
    this.#out = null;
    out?.fail(this.#fault);
  }

  resume(): void {}

  abandon(): void {
    this.#out = null;
  }
}
