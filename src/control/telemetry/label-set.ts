/** Labels of a series, worked out once for all samples that have them. */

export type Labels = Readonly<Record<string, string>>;

export class LabelSet {
  readonly labels: Labels;
  /** As the text formats write them, without braces. */
  readonly text: string;

  constructor(labels: Labels) {
    this.labels = labels;
    let text = '';
    for (const name in labels) text += `${text === '' ? '' : ','}${name}="${escapeLabel(labels[name]!)}"`;
    this.text = text;
  }

  and(labels: Labels): LabelSet {
    return new LabelSet({ ...this.labels, ...labels });
  }
}

export const NO_LABELS: LabelSet = new LabelSet({});

const SPECIAL = /[\\"\n]/;
const EACH_SPECIAL = /[\\"\n]/g;

export function escapeLabel(text: string): string {
  if (!SPECIAL.test(text)) return text;
  return text.replace(EACH_SPECIAL, (found) => (found === '\n' ? '\\n' : `\\${found}`));
}
