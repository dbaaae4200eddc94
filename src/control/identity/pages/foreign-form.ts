/**
 * Was a form sent by a page of another site? Our pages send no Referer, so browsers say `Origin: null` (Fetch §3.2.5),
 * and so does a sandboxed frame elsewhere; `Sec-Fetch-Site` tells them apart and is believed where it is sent.
 */
export function isForeignForm(publicUrl: string, site: string | undefined, origin: string | undefined): boolean {
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  return origin !== undefined && origin !== 'null' && origin !== new URL(publicUrl).origin;
}
