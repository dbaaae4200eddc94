/** What comes out of the filters of a body, one behind the other, whose pieces come as a test says. */
import type { Fault } from '../base/errors.ts';
import type { BodyFilter } from '../data/contract/body-access.ts';

export async function filtered(
  filters: readonly BodyFilter[],
  pieces: readonly Uint8Array[],
): Promise<readonly Uint8Array[] | Fault> {
  let passing = pieces;
  for (const filter of filters) {
    const made = await throughOne(filter, passing);
    if (!Array.isArray(made)) return made as Fault;
    passing = made as Uint8Array[];
  }
  return passing;
}

function throughOne(filter: BodyFilter, pieces: readonly Uint8Array[]): Promise<readonly Uint8Array[] | Fault> {
  return new Promise((resolve) => {
    const made: Uint8Array[] = [];
    let resume = (): void => {};
    let isOver = false;
    const over = (result: readonly Uint8Array[] | Fault): void => {
      isOver = true;
      resume();
      resolve(result);
    };
    filter.attach({
      write(bytes, start, end) {
        made.push(Buffer.from(bytes.subarray(start, end)));
        return true;
      },
      flush() {},
      whole: (bytes) => over([...made, Buffer.from(bytes)]),
      end: () => over(made),
      fail: (fault) => over(fault),
      resume: () => resume(),
    });
    void (async () => {
      for (const piece of pieces) {
        if (isOver) return;
        const bytes = Buffer.from(piece);
        if (!filter.write(bytes, 0, bytes.length))
          await new Promise<void>((goOn) => {
            resume = goOn;
          });
        filter.flush();
      }
      if (!isOver) filter.end(null);
    })();
  });
}
