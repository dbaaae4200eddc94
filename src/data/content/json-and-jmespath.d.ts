/** What the compiler's own declarations do not have yet, and a package without declarations. */
interface JSON {
  /** ECMAScript "JSON.parse source text access": written as it is. */
  rawJSON(text: string): { readonly rawJSON: string };
  isRawJSON(value: unknown): boolean;
}

declare module 'jmespath' {
  const jmespath: {
    /** Throws an Error that says what is wrong with the expression. */
    compile(expression: string): unknown;
    search(data: unknown, expression: string): unknown;
  };
  export default jmespath;
}
