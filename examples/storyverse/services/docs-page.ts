/**
 * The page at /docs: a plain list made from the OpenAPI document, without scripts and without anything from elsewhere.
 */

interface Operation {
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security?: readonly unknown[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly example?: unknown }>> };
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}

interface Document {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? sign);

function operationSection(path: string, method: string, operation: Operation): string {
  const answers = Object.entries(operation.responses).map(
    ([status, { description }]) => `<tr><th scope="row">${status}</th><td>${escaped(description)}</td></tr>`,
  );
  const example = Object.values(operation.requestBody?.content ?? {})[0]?.example;
  return `<section>
<h3><code>${method.toUpperCase()} ${escaped(path)}</code></h3>
<p>${escaped(operation.summary)}${operation.security?.length === 0 ? ' <em>Open to all.</em>' : ''}</p>
${example === undefined ? '' : `<pre>${escaped(JSON.stringify(example, null, 2))}</pre>`}
<table><tbody>${answers.join('')}</tbody></table>
</section>`;
}

export function documentationPage({ info, paths }: Document): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation: operation as Operation })),
  );
  const tags = [...new Set(operations.flatMap(({ operation }) => operation.tags))];
  const parts = tags.map((tag) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(tag));
    const sections = own.map(({ path, method, operation }) => operationSection(path, method, operation));
    return `<h2>${escaped(tag)}</h2>\n${sections.join('\n')}`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(info.title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}pre{background:#f3f3f0;padding:.7rem;overflow:auto}
table{border-collapse:collapse}th{text-align:left;padding-right:1rem}h3{margin-bottom:.2rem}a{color:inherit}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}pre{background:#222}}</style>
</head><body><main><h1>${escaped(info.title)} ${escaped(info.version)}</h1>
<p>${escaped(info.description)}</p><p>The same for programs: <a href="/openapi.json">/openapi.json</a>.</p>
${parts.join('\n')}
</main></body></html>
`;
}
