/** The message of an error body, for people. */
export function messageIn(text: string): string {
  try {
    const body = JSON.parse(text) as { message?: unknown; errors?: readonly { field: string; expected: string }[] };
    const [field] = body.errors ?? [];
    const more = field === undefined ? '' : `: ${field.field} must be ${field.expected}`;
    return `${String(body.message ?? text)}${more}`;
  } catch {
    return text;
  }
}
