import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { boundaryOf, MultipartReader, type PartHead } from './multipart-reader.ts';

interface Part extends PartHead {
  content: string;
}

/** The parts, or what was expected. */
function read(body: string, cuts: readonly number[] = [], boundary = 'B'): Part[] | string {
  const parts: Part[] = [];
  let open = false;
  const reader = new MultipartReader<string>(boundary, {
    onPart(head) {
      assert.ok(!open);
      open = true;
      parts.push({ ...head, content: '' });
      return null;
    },
    onData(bytes) {
      assert.ok(open && bytes.length > 0);
      parts.at(-1)!.content += bytes.toString('latin1');
      return null;
    },
    onPartEnd() {
      open = false;
      return null;
    },
    malformed: (expected) => expected,
  });
  const bytes = Buffer.from(body, 'utf8');
  for (const [i, from] of [0, ...cuts].entries()) {
    const piece = Buffer.from(bytes.subarray(from, cuts[i] ?? bytes.length));
    const problem = reader.push(piece);
    piece.fill(0);
    if (problem !== null) return problem;
  }
  return reader.end() ?? parts;
}

const PART = 'Content-Disposition: form-data; name="a"';
const FILE = 'content-disposition: Form-Data; name="f"; filename="x y.png"\r\nContent-Type: image/png';
const BODY = `--B\r\n${PART}\r\n\r\none\r\n--C\r\n\r\n--B\r\n${FILE}\r\n\r\n\r\n--B--\r\n`;

describe('multipart bodies', () => {
  test('are parts with name, file name, type and content, an empty one too, wherever the pieces are cut', () => {
    const expected = [
      { name: 'a', fileName: null, contentType: null, content: 'one\r\n--C\r\n' },
      { name: 'f', fileName: 'x y.png', contentType: 'image/png', content: '' },
    ];
    assert.deepEqual(read(BODY), expected);
    for (let i = 1; i < BODY.length; i++) assert.deepEqual(read(BODY, [i]), expected, `cut at ${i}`);
    for (let i = 1; i < BODY.length - 1; i++) assert.deepEqual(read(BODY, [i, i + 1]), expected, `cut around ${i}`);
    const each = Array.from({ length: BODY.length - 1 }, (_, i) => i + 1);
    assert.deepEqual(read(BODY, each), expected);
    assert.deepEqual(read(BODY.slice(0, -2)), expected);
  });

  test('have names as they are written, in UTF-8', () => {
    const named = (name: string) => read(`--B\r\nContent-Disposition: form-data; name=${name}\r\n\r\n\r\n--B--`);
    assert.equal((named('"naïve %22x%22"') as Part[])[0]!.name, 'naïve %22x%22');
    assert.equal((named('plain') as Part[])[0]!.name, 'plain');
  });

  const head = (fields: string): string => `--B\r\n${fields}\r\n\r\nx\r\n--B--`;
  const REFUSED: readonly (readonly [what: string, body: string, expected: RegExp])[] = [
    ['nothing', '', /closing boundary/],
    ['bytes before the first boundary', `hello\r\n--B\r\n${PART}\r\n\r\nx\r\n--B--`, /begins with its boundary/],
    ['a line end before the first boundary', `\r\n--B\r\n${PART}\r\n\r\nx\r\n--B--`, /begins with its boundary/],
    ['another boundary', `--X\r\n${PART}\r\n\r\nx\r\n--X--`, /begins with its boundary/],
    ['no end', `--B\r\n${PART}\r\n\r\nx\r\n--B`, /closing boundary/],
    ['no end of a part', `--B\r\n${PART}\r\n\r\nx`, /closing boundary/],
    ['bytes behind the end', `${head(PART)}\r\nGET / HTTP/1.1`, /nothing behind/],
    ['one byte behind the end', `${head(PART)}x`, /nothing behind/],
    ['a longer word that begins like the boundary', `--B\r\n${PART}\r\n\r\nx\r\n--BB\r\n\r\n--B--`, /end of the line/],
    ['blanks behind a boundary', `--B \r\n${PART}\r\n\r\nx\r\n--B--`, /end of the line/],
    ['line ends without CR', `--B\n${PART}\n\nx\n--B--`, /end of the line/],
    ['a boundary right behind the head', `--B\r\n${PART}\r\n\r\n--B--`, /between the fields/],
    ['no fields', '--B\r\n\r\nx\r\n--B--', /closing boundary|fields/],
    ['no Content-Disposition', head('Content-Type: text/plain'), /Content-Disposition: form-data/],
    ['another disposition', head('Content-Disposition: attachment; name="a"'), /Content-Disposition: form-data/],
    ['no name', head('Content-Disposition: form-data'), /one name/],
    ['an empty name', head('Content-Disposition: form-data; name=""'), /one name/],
    ['two names', head('Content-Disposition: form-data; name="a"; name="b"'), /one name/],
    ['an escape in a name', head('Content-Disposition: form-data; name="a\\"b"'), /one name/],
    ['a name without end', head('Content-Disposition: form-data; name="a'), /one name/],
    ['filename*', head(`${PART}; filename*=utf-8''a`), /no filename\*/],
    ['a field twice', head(`${PART}\r\ncontent-disposition: form-data; name="b"`), /each field of a part once/],
    ['a folded field', head(`${PART};\r\n filename="a"`), /fields of a part|one name/],
    ['a blank before the colon', head('Content-Disposition : form-data; name="a"'), /fields of a part/],
    ['a control character', head('Content-Disposition: form-data; name="a\u0000b"'), /fields of a part/],
    ['a transfer encoding', head(`${PART}\r\nContent-Transfer-Encoding: base64`), /without transfer encoding/],
    ['a head without end', `--B\r\n${'X: y\r\n'.repeat(2_000)}`, /at most 8192 bytes/],
    ['a head that is too long', head(`${PART}\r\nX: ${'y'.repeat(9_000)}`), /at most 8192 bytes/],
  ];
  for (const [what, body, expected] of REFUSED) {
    test(`with ${what} are refused, in one piece and byte by byte`, () => {
      const each = Array.from({ length: Math.max(0, Buffer.byteLength(body) - 1) }, (_, i) => i + 1);
      for (const outcome of [read(body), read(body, each)]) {
        assert.equal(typeof outcome, 'string', JSON.stringify(outcome));
        assert.match(outcome as string, expected);
      }
    });
  }

  test('that are not UTF-8 in a head are refused', () => {
    const reader = new MultipartReader<string>('B', {
      onPart: () => null,
      onData: () => null,
      onPartEnd: () => null,
      malformed: (expected) => expected,
    });
    assert.equal(
      reader.push(Buffer.from('--B\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n', 'latin1')),
      'UTF-8 in the fields of a part',
    );
  });
});

describe('boundaries', () => {
  test('are read where they have one reading', () => {
    assert.equal(boundaryOf('multipart/form-data; boundary=abc'), 'abc');
    assert.equal(boundaryOf('multipart/form-data;charset=utf-8; Boundary="a b:c"'), 'a b:c');
    for (const wrong of [
      'multipart/form-data',
      'multipart/form-data; boundary=',
      'multipart/form-data; boundary="a "',
      'multipart/form-data; boundary=a; boundary=b',
      'multipart/form-data; boundary=a b',
      'multipart/form-data; boundary="a\\"b"',
      `multipart/form-data; boundary=${'a'.repeat(71)}`,
    ])
      assert.equal(typeof boundaryOf(wrong), 'object', wrong);
  });
});
