/**
 * A document of the cluster in place of this node's own, around the source that has the own one. What belongs to the
 * node alone stays its own (load-order.ts): where it listens, its name and folders, its stores, its place in the
 * cluster. Without a document of the cluster it is the source that it wraps. Called by live-configuration.ts; the
 * cluster sets what lies over.
 */
import type { LoadOrder, Overlay } from './build-order.ts';
import type { Change, DocumentSource } from './document-source.ts';

export class OverlaySource implements DocumentSource {
  readonly #own: DocumentSource;
  overlay: Overlay | null = null;

  constructor(own: DocumentSource) {
    this.#own = own;
  }

  get name(): string {
    return this.overlay === null ? this.#own.name : `${this.overlay.name} of the cluster`;
  }

  get whyReadOnly(): string | null {
    if (this.overlay === null) return this.#own.whyReadOnly;
    return 'the cluster rolls the configuration out: propose a rollout instead';
  }

  order(): LoadOrder {
    return { ...this.#own.order(), overlay: this.overlay };
  }

  /** A text in place of what `order` would give now. */
  orderFor(text: string): LoadOrder {
    return this.overlay === null ? this.#own.orderFor(text) : this.orderUnder({ ...this.overlay, text });
  }

  /** As if this lay over the node's own document. */
  orderUnder(overlay: Overlay): LoadOrder {
    return { ...this.#own.order(), overlay };
  }

  watch(files: readonly string[], changed: (change: Change) => void): void {
    this.#own.watch(files, changed);
  }

  async write(text: string): Promise<void> {
    if (this.whyReadOnly !== null) throw new Error(this.whyReadOnly);
    await this.#own.write(text);
  }

  close(): void {
    this.#own.close();
  }
}
