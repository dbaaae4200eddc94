/** What is uploaded and found again, and uploads that are not what they say. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { before, describe, it } from 'node:test';
import { suiteScope } from '../../test/support/scope.ts';
import { type AiVillage, type Answer, type Person, startAiVillage } from './testing.ts';

/** A PDF of one page with a line of text, written by hand. */
function pdfOf(line: string): Buffer {
  const content = `BT /F1 24 Tf 72 700 Td (${line}) Tj ET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  let text = '%PDF-1.4\n';
  const offsets = objects.map((object, i) => {
    const at = text.length;
    text += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return at;
  });
  const table = offsets.map((at) => `${String(at).padStart(10, '0')} 00000 n \n`).join('');
  const trailer = `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${text.length}\n%%EOF\n`;
  return Buffer.from(`${text}xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}${trailer}`, 'latin1');
}

describe('AIVillage: uploads', () => {
  const scope = suiteScope();
  let village: AiVillage;
  let user: Person;

  before(async () => {
    village = await startAiVillage(scope);
    user = village.holder({ sub: 'user123', scopes: ['read', 'write'], rate_limit_tier: 'enterprise' });
  });

  async function upload(who: Person, name: string, content: Uint8Array | string, field = 'file'): Promise<Answer> {
    const form = new FormData();
    form.append(field, new Blob([content as string]), name);
    const response = await fetch(`${village.url}/v1/upload`, {
      method: 'POST',
      headers: { ...who.headers, 'x-forwarded-for': who.address },
      body: form,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: JSON.parse(text) };
  }
  const find = async (who: Person, query: string): Promise<string[]> =>
    (await who.call('POST', '/v1/query', { query })).body.results.map(({ name }: { name: string }) => name);

  it('a PDF and texts are found by their words, by their owner alone', async () => {
    const pdf = await upload(user, 'document.pdf', pdfOf('The walrus paints nine fences'));
    assert.equal(pdf.status, 201, pdf.text);
    assert.deepEqual([pdf.body.success, pdf.body.type, pdf.body.name], [true, 'application/pdf', 'document.pdf']);
    assert.equal((await upload(user, 'notes.md', '# Fences\n\nA fence is painted in spring. Füchse!')).status, 201);
    assert.deepEqual(await find(user, 'walrus'), ['document.pdf']);
    assert.deepEqual(await find(user, 'fuchse'), ['notes.md']);
    assert.deepEqual((await find(user, 'fences')).sort(), ['document.pdf', 'notes.md']);
    const { body } = await user.call('POST', '/v1/query', { query: 'walrus' });
    assert.match(body.results[0].snippet, /\*\*walrus\*\* paints nine fences/);
    const other = village.holder({ sub: 'other', scopes: ['read', 'write'] });
    assert.deepEqual(await find(other, 'walrus'), []);
    // Again: the same document.
    assert.equal(
      (await upload(user, 'copy.pdf', pdfOf('The walrus paints nine fences'))).body.document_id,
      pdf.body.document_id,
    );
  });

  it('nothing in a query is an operator', async () => {
    for (const query of [
      'walrus" OR "fence',
      'text:walrus',
      'NEAR(walrus fence)',
      '*',
      '"',
      "'; DROP TABLE documents; --",
    ]) {
      const { status, body } = await user.call('POST', '/v1/query', { query });
      assert.deepEqual([status, body.success], [200, true], query);
    }
    assert.deepEqual(await find(user, 'walrus'), ['document.pdf']);
    assert.equal((await user.call('POST', '/v1/query', { query: ' ' })).status, 400);
  });

  it('what is not what it says is refused, and leaves nothing behind', async () => {
    const cases: readonly (readonly [string, Uint8Array | string, number, string?])[] = [
      ['virus.exe', 'MZ', 415],
      ['no-ending', 'text', 415],
      ['broken.pdf', '%PDF-1.4 and no more', 400],
      ['binary.txt', Uint8Array.of(0xff, 0xfe, 0), 400],
      ['zero.txt', 'a\0b', 400],
      ['right.txt', 'text', 400, 'document'],
    ];
    for (const [name, content, status, field] of cases) {
      const answer = await upload(user, name, content, field);
      assert.deepEqual(
        [answer.status, answer.body.error_code],
        [status, 'VALIDATION_ERROR'],
        `${name}: ${answer.text}`,
      );
    }
    // A PDF whatever its name says.
    assert.equal((await upload(user, 'letter.txt', pdfOf('Dear walrus'))).body.type, 'application/pdf');
    assert.equal((await upload(user, '../../etc/passwd.txt', 'a path is a name')).body.name.includes('/'), false);
    assert.equal((await user.call('POST', '/v1/upload', { not: 'multipart' })).status, 415);
    const without = new FormData();
    without.append('note', 'no file');
    const none = await fetch(`${village.url}/v1/upload`, { method: 'POST', headers: user.headers, body: without });
    assert.equal(none.status, 400);
    assert.deepEqual(
      readdirSync(village.folder).filter((name) => name.startsWith('upload-')),
      [],
    );
  });

  it('what is too large is 413: by the file at the service, by the body at the gateway', async () => {
    const large = await upload(user, 'large.txt', Buffer.alloc(9 * 1024 ** 2, 'a'));
    assert.deepEqual([large.status, large.body.error_code], [413, 'PAYLOAD_TOO_LARGE']);
    // The gateway says so before a byte of the body is sent.
    const larger = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const call = request(`${village.url}/v1/upload`, {
        method: 'POST',
        headers: {
          ...user.headers,
          'content-type': 'multipart/form-data; boundary=x',
          'content-length': 11 * 1024 ** 2,
          expect: '100-continue',
        },
      });
      call.on('error', reject);
      call.on('continue', () => reject(new Error('the gateway wants the body')));
      call.on('response', (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += String(chunk);
        });
        response.on('end', () => resolve({ status: response.statusCode, text }));
      });
      call.flushHeaders();
    });
    assert.deepEqual([larger.status, JSON.parse(larger.text).error_code], [413, 'PAYLOAD_TOO_LARGE']);
  });

  it('a body that ends early is not a file, and the service goes on', async () => {
    const boundary = 'x';
    const part = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhalf`;
    const cut = await fetch(`${village.url}/v1/upload`, {
      method: 'POST',
      headers: { ...user.headers, 'content-type': `multipart/form-data; boundary=${boundary}` },
      body: part,
    });
    assert.equal(cut.status, 400, await cut.text());
    await new Promise<void>((resolve) => {
      const call = request(`${village.url}/v1/upload`, {
        method: 'POST',
        headers: {
          ...user.headers,
          'content-type': `multipart/form-data; boundary=${boundary}`,
          'content-length': 1_000,
        },
      });
      call.on('error', () => {});
      call.on('close', () => resolve());
      call.write(part, () => call.destroy());
    });
    assert.equal((await upload(user, 'after.txt', 'still here')).status, 201);
  });
});
