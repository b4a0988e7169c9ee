/** The head that all pages begin with: a policy before anything is fetched, a title, no icon. */
import { type Markup, markup, trusted } from "./markup.ts";

/** From the document's type to the end of its head; `rest` holds what else stands in it, as its styles. */
export function headOf({ policy, title, rest }: { policy: string; title: string; rest: Markup }): Markup {
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${trusted(policy)}">
<title>${title}</title>
<link rel="icon" href="data:,">
${rest}
</head>`;
}
