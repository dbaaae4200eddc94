/** A path in a command that people copy: in quotes where a shell would take it apart, and never taken for an option. */
export function typedPath(path: string, platform: NodeJS.Platform = process.platform): string {
  const word = path.startsWith('-') ? `./${path}` : path;
  // Letters of all languages are as good as those of ours.
  if (/^[\p{L}\p{N}\p{M}_./:=@%+,-]+$/u.test(word) || (platform === 'win32' && /^[\p{L}\p{N}_.\\:-]+$/u.test(word)))
    return word;
  return platform === 'win32' ? `"${word}"` : `'${word.replaceAll("'", "'\\''")}'`;
}
