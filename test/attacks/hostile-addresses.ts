/**
 * Addresses that send a browser elsewhere when a page takes one from a link: what browsers, proxies and libraries read
 * differently, as it is written in reports of open redirects. `own` is the origin that such a link pretends to be.
 */
export function hostileAddresses(own: string): string[] {
  const { host, protocol } = new URL(own);
  return [
    // Another host, in the ways to say so.
    'https://evil.example/',
    'HTTPS://EVIL.EXAMPLE',
    '//evil.example/',
    '///evil.example/',
    '////evil.example/',
    'https:evil.example',
    'https:/evil.example',
    'https:///evil.example',
    'http:evil.example',
    // Backslashes are slashes to browsers.
    '/\\evil.example/',
    '\\/evil.example/',
    '\\\\evil.example',
    '/\\/evil.example',
    '//\\evil.example',
    'https:\\\\evil.example',
    '/ok/../../\\evil.example',
    // Tabs, line feeds and blanks are dropped by browsers.
    '/\t/evil.example',
    '\t//evil.example',
    '/\n/evil.example',
    '/\r\n/evil.example',
    '/\t\\evil.example',
    ' //evil.example',
    '\u0000//evil.example',
    'ht\ntps://evil.example',
    '/x\r\nLocation: https://evil.example/',
    // What looks like this host up to the sign that makes it a user, or behind a dot that makes it a part of another.
    `${own}@evil.example/`,
    `${protocol}//${host}:x@evil.example/`,
    `//${host}@evil.example/`,
    `${own}.evil.example/`,
    `${own}%2f@evil.example/`,
    `${own}\\@evil.example/`,
    `${protocol}//evil.example\\@${host}/`,
    `https://evil.example/${own}/`,
    `https://evil.example?${own}/`,
    `https://evil.example#${own}/`,
    '@evil.example',
    '.evil.example',
    // No address of a page at all.
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\tscript:alert(1)',
    ' javascript:alert(1)',
    '\u0001javascript:alert(1)',
    `javascript://${host}/%0aalert(1)`,
    'data:text/html,<script>alert(1)</script>',
    'vbscript:msgbox(1)',
    'blob:https://evil.example/x',
    'view-source:https://evil.example/',
    // Encoded once and twice: good for nothing unless somebody decodes.
    '%2f%2fevil.example',
    '/%2fevil.example',
    '/%5cevil.example',
    '/%09/evil.example',
    '/%0d%0aLocation:%20https://evil.example/',
    '/%252f%252fevil.example',
    '%68ttps://evil.example',
    '/..//evil.example',
    '/.//evil.example',
    '/a/..//evil.example',
    // Other alphabets: full width, and letters that look like ours.
    '／／evil.example',
    '/／evil.example',
    '//ｅvil.example',
    'https://evil。example/',
    'https://аpi.example.com/',
    `//${host.replace('a', 'а')}/`,
    '//xn--pi-7kc.example/',
    '"><script>alert(1)</script>',
    '/'.padEnd(3_000, 'a'),
  ];
}

/** Where a browser goes from a page of `own` when it is sent to `address`: an origin, or a scheme without one. */
export function leadsTo(address: string, own: string): string {
  if (!URL.canParse(address, `${own}/page`)) return 'nowhere';
  const { origin, protocol } = new URL(address, `${own}/page`);
  return origin === 'null' ? protocol : origin;
}
