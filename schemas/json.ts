/** The value of a JSON text; undefined where it is none, as what a kill tore, or where there is no text. */
export function parsedJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}
