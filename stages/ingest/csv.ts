/**
 * The rows of a CSV text (RFC 4180): quoted fields may hold commas, doubled quotes and line breaks; lines end in LF or
 * CRLF; a byte order mark and blank lines are passed over. A quote inside an unquoted field is taken as it stands.
 */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = "";
  let at = text.startsWith("\ufeff") ? 1 : 0;
  const endField = () => {
    row.push(field);
    field = "";
  };
  const endRow = () => {
    endField();
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  };
  while (at < text.length) {
    const c = text[at];
    if (c === '"' && field === "") {
      let close = at + 1;
      while (close < text.length && (text[close] !== '"' || text[close + 1] === '"')) close += text[close] === '"' ? 2 : 1;
      field = text.slice(at + 1, close).replaceAll('""', '"');
      at = close + 1;
    } else if (c === ",") {
      endField();
      at++;
    } else if (c === "\n" || (c === "\r" && text[at + 1] === "\n")) {
      endRow();
      at += c === "\n" ? 1 : 2;
    } else {
      field += c;
      at++;
    }
  }
  if (field !== "" || row.length > 0) endRow();
  return rows;
}
